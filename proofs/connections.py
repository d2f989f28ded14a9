"""Honest requests beside thousands of connections that are idle, half, slow or deaf.

Fails if one of them failed, or if answers that nobody reads hold more memory as time goes on.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from _server import (
    EXAMPLES,
    HOST,
    REQUEST,
    ask,
    descriptors,
    percentile,
    resident,
    serving,
    table,
)

HALF = b"GET /config/orders/prod HTTP/1.1\r\nHost: c\r\nX: "
LARGE = f"GET /config/orders/default/main/large.txt HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
LARGE_BYTES = 8_000_000
DEAF = 20
BATCH = 50
MOST_GROWN = 16
"""Megabytes by which answers that nobody reads may grow while nobody reads them."""


async def hold_idle(port: int) -> None:
    """Send nothing."""
    await _hold(port, b"")


async def hold_half(port: int) -> None:
    """Send half a head."""
    await _hold(port, HALF)


async def hold_kept(port: int) -> None:
    """Make a request, read the answer, keep the connection."""
    await _hold(port, REQUEST)


async def write_slowly(port: int) -> None:
    """Send a byte of a head every second."""
    _, writer = await asyncio.open_connection(HOST, port)
    for byte in HALF * 20:
        writer.write(bytes([byte]))
        await asyncio.sleep(1)


async def read_slowly(port: int) -> None:
    """Read an answer of 8 MB at 64 KiB a second."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=65_536)
    writer.write(LARGE)
    while await reader.read(65_536):
        await asyncio.sleep(1)


async def read_nothing(port: int) -> None:
    """Ask for 8 MB and never read."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=1)
    writer.write(LARGE)
    await asyncio.sleep(3600)
    del reader


async def _hold(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(sent)
    await reader.read(-1)
    writer.close()


async def _again(hold: Callable[[int], Awaitable[None]], port: int) -> None:
    """Hold a connection, and a new one as soon as the server closes it."""
    while True:
        with contextlib.suppress(OSError):
            await hold(port)
        await asyncio.sleep(0.05)


async def measure(
    hold: Callable[[int], Awaitable[None]], count: int, store: Path, requests: int
) -> tuple[list[object], int]:
    """Return a row, and how many failed: honest requests beside `count` held connections."""
    async with serving(store=store) as (port, process):
        before = resident(process.pid)
        holders: list[asyncio.Task[None]] = []
        for number in range(count):
            holders.append(asyncio.create_task(_again(hold, port)))
            if number % BATCH == 0:
                await asyncio.sleep(0.02)
        await asyncio.sleep(2 + count / 500)  # until all of them are held
        times: list[float] = []
        failed = 0
        for _ in range(requests):
            try:
                async with asyncio.timeout(10):
                    times.append(await ask(port))
            except (OSError, TimeoutError):
                failed += 1
            await asyncio.sleep(0.05)
        held = resident(process.pid)
        for holder in holders:
            holder.cancel()
        await asyncio.gather(*holders, return_exceptions=True)
    row: list[object] = [
        hold.__name__.replace("_", " "),
        count,
        f"{percentile(times, 0.5) * 1000:.0f} ms",
        f"{percentile(times, 0.99) * 1000:.0f} ms",
        failed,
        f"{held - before:.0f} MB",
    ]
    return row, failed


async def deaf(store: Path, seconds: float) -> tuple[list[object], float]:
    """Return a row, and the growth in MB: clients that ask for 8 MB, never read, never leave."""
    async with serving(store=store) as (port, process):
        for _ in range(3):
            await ask(port, LARGE)
        before = resident(process.pid)
        holders = [asyncio.create_task(read_nothing(port)) for _ in range(DEAF)]
        await asyncio.sleep(3)
        held = resident(process.pid)
        await asyncio.sleep(seconds)
        after = resident(process.pid)
        for holder in holders:
            holder.cancel()
        await asyncio.gather(*holders, return_exceptions=True)
    return [DEAF, f"{before:.0f} MB", f"{held:.0f} MB", f"{after:.0f} MB"], after - held


async def prove(options: argparse.Namespace) -> bool:
    """Print both tables; return true if no request failed and nothing grew."""
    with tempfile.TemporaryDirectory() as place:
        store = Path(place)
        (store / "main").mkdir()
        for file in (EXAMPLES / "main").iterdir():
            if file.is_file():
                (store / "main" / file.name).write_bytes(file.read_bytes())
        (store / "main" / "large.txt").write_bytes(b"x" * LARGE_BYTES)
        holds = (hold_idle, hold_half, hold_kept, write_slowly, read_slowly)
        measured = [
            await measure(hold, min(count, 200) if hold is read_slowly else count, store, options.n)
            for count in options.counts
            for hold in holds
        ]
        head = ("beside them", "connections", "median", "p99", "failed", "memory")
        table(head, [row for row, _ in measured])
        grown = 0.0
        if options.deaf:
            print()
            row, grown = await deaf(store, options.deaf)
            table(("never read", "before", "after 3 s", f"after {options.deaf:.0f} s more"), [row])
    return not any(failed for _, failed in measured) and grown <= MOST_GROWN


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove connections", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("-n", type=int, default=100, help="honest requests (%(default)s)")
    parser.add_argument(
        "--deaf", type=float, default=35, help="seconds without reading (%(default)s); 0: none"
    )
    options = parser.parse_args()
    descriptors(20_000)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # each write to a closed connection
    return 0 if asyncio.run(prove(options)) else 1


if __name__ == "__main__":
    sys.exit(main())
