"""SIGTERM at every moment of a start, and SIGKILL of the command and of its workers."""

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from _server import answers, free_port, serving, start, table

STEP = 0.05
TOGETHER = 4


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def handles(pid: int) -> bool:
    """True if a process has a handler for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


async def terminate(seconds: float, workers: int) -> tuple[int, float, bool, bool]:
    """Return exit code, seconds to the end, whether it had a handler, whether it listens."""
    port = free_port()
    process = start(port, "--workers", workers)
    await asyncio.sleep(seconds)
    handled = handles(process.pid)
    began = time.monotonic()
    process.terminate()
    code = await asyncio.to_thread(process.wait, 60)
    took = time.monotonic() - began
    process.communicate()
    return code, took, handled, await answers(port)


async def terminations(workers: int, until: float) -> list[object]:
    """Return a row over all moments of a start."""
    moments = [number * STEP for number in range(int(until / STEP) + 1)]
    ends: list[tuple[int, float, bool, bool]] = []
    for some in range(0, len(moments), TOGETHER):
        starts = [terminate(moment, workers) for moment in moments[some : some + TOGETHER]]
        ends += await asyncio.gather(*starts)
    wrong = [end for end in ends if end[0] != 0 and (end[2] or end[0] != -signal.SIGTERM)]
    early = sum(end[0] == -signal.SIGTERM and not end[2] for end in ends)
    took = sorted(end[1] for end in ends)
    return [
        workers,
        len(ends),
        sum(end[0] == 0 for end in ends),
        early,
        len(wrong),
        sum(end[3] for end in ends),
        f"{took[len(took) // 2]:.2f} s",
        f"{took[-1]:.2f} s",
    ]


async def kills(rounds: int) -> list[object]:
    """Return a row over rounds in which workers, then the command are killed."""
    lost, slowest, stayed = 0, 0.0, 0
    for _ in range(rounds):
        async with serving("--workers", 2) as (port, process):
            os.kill(children(process.pid)[0], signal.SIGKILL)
            for _ in range(20):
                lost += not await answers(port)
            workers = children(process.pid)
            process.kill()
            began = time.monotonic()
            while [pid for pid in workers if alive(pid)] and time.monotonic() < began + 20:
                await asyncio.sleep(0.01)
            slowest = max(slowest, time.monotonic() - began)
            stayed += len([pid for pid in workers if alive(pid)])
    return [rounds, 20 * rounds, lost, stayed, f"{slowest * 1000:.0f} ms"]


def alive(pid: int) -> bool:
    """True if a process runs and is not merely waiting for its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] != "Z"


async def prove(options: argparse.Namespace) -> None:
    """Print both tables."""
    rows = [await terminations(workers, options.until) for workers in (1, 2)]
    head = ("workers", "starts", "exit code 0", "before the handler", "wrong", "listening after")
    table((*head, "median to the end", "longest"), rows)
    print()
    head = ("rounds", "requests after a worker's death", "failed", "workers left", "longest")
    table(head, [await kills(options.rounds)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove stops", description=__doc__)
    parser.add_argument("--until", type=float, default=3, help="seconds (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of kills (%(default)s)")
    asyncio.run(prove(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
