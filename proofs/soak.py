"""Minutes of mixed load: the memory and the descriptors of the server end where they were."""

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from _server import HOST, descriptors, resident, serving, table

TOKEN = "a-token-of-the-proof-0123456789"  # noqa: S105 - of a server that ends with it
APPLICATIONS = 200
READERS, WATCHERS, WRITERS, VISITORS, OFFENDERS = 4, 200, 1, 4, 2
PAUSES = {"read": 0.02, "write": 0.2, "visit": 0.04, "offend": 0.05}
"""Seconds between two requests of one client."""
BACK_SECONDS = 30.0
SPARE_DESCRIPTORS = 2
GROWTH_MB = 4.0
"""The memory that may be added in the second half: what an allocator scatters, no more."""
OFFENCES = (
    b"GET /config/orders/prod/no-such-label HTTP/1.1\r\nHost: a\r\n%b\r\n",
    b"GET /config/_bundles/a/b/c HTTP/1.1\r\nHost: a\r\n%b\r\n",
    b"GET /config/%%zz/prod HTTP/1.1\r\nHost: a\r\n%b\r\n",
    b"GET /config/orders/prod HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer no\r\n\r\n",
    b"PUT /config/_bundles/a/b/main HTTP/1.1\r\nHost: a\r\n%bContent-Length: 9\r\n\r\nnot a map",
    b"GET /config/orders/prod HTTP/1.1\r\nHost: a\r\nPrefer: wait=x\r\n%b\r\n",
    b"nonsense\r\n\r\n",
)


@dataclass(kw_only=True)
class Load:
    """Clients of one server, and how their requests ended."""

    port: int
    names: int
    until: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(20261127))  # noqa: S311
    statuses: Counter[str] = field(default_factory=Counter[str])
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def document(self) -> bytes:
        """Return the path of a document that there is."""
        return b"/config/app%d/prod" % self.chance.randrange(APPLICATIONS)


Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


def get(path: bytes, more: bytes = b"") -> bytes:
    """Return a request with the credential."""
    return b"GET %b HTTP/1.1\r\nHost: %b\r\n%b%b\r\n" % (path, HOST.encode(), CREDENTIAL, more)


CREDENTIAL = f"Authorization: Bearer {TOKEN}\r\n".encode()


async def take(reader: Reader) -> tuple[str, bytes, bytes]:
    """Return status, entity tag and body of an answer.

    Raises:
        OSError: There is no whole answer.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        status = head[9:12].decode()
        length = 0 if status == "304" else int(fields.get(b"content-length", b"0"))
        return status, fields.get(b"etag", b""), await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("no whole answer") from error


async def read(load: Load, reader: Reader, writer: Writer) -> None:
    """Read documents that there are."""
    writer.write(get(load.document()))
    load.statuses[f"read {(await take(reader))[0]}"] += 1
    await asyncio.sleep(PAUSES["read"])


async def write(load: Load, reader: Reader, writer: Writer) -> None:
    """Store a bundle, now and then the one that all documents contain."""
    name = b"application" if load.chance.random() < 1 / 20 else load.document().split(b"/")[2]
    body = json.dumps({"number": next(load.numbers), "text": "x" * 900}).encode()
    writer.write(
        b"PUT /config/_bundles/%b/prod/main HTTP/1.1\r\nHost: a\r\n%bIf-Match: *\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (name, CREDENTIAL, len(body), body)
    )
    load.statuses[f"write {(await take(reader))[0]}"] += 1
    await asyncio.sleep(PAUSES["write"])


async def visit(load: Load, reader: Reader, writer: Writer) -> None:
    """Read a document for the first time, on a new connection."""
    number = next(load.numbers) % load.names
    writer.write(get(b"/config/visitor%d/prod" % number, b"Connection: close\r\n"))
    load.statuses[f"visit {(await take(reader))[0]}"] += 1
    await asyncio.sleep(PAUSES["visit"])
    raise ConnectionError("done")


async def offend(load: Load, reader: Reader, writer: Writer) -> None:
    """Ask for something that is refused."""
    offence = load.chance.choice(OFFENCES)
    writer.write(offence % CREDENTIAL if b"%b" in offence else offence)
    load.statuses[f"offend {(await take(reader))[0]}"] += 1
    await asyncio.sleep(PAUSES["offend"])


async def watch(load: Load, reader: Reader, writer: Writer) -> None:
    """Hold a request for some seconds, or go away before its end."""
    path = load.document()
    writer.write(get(path))
    _, etag, _ = await take(reader)
    for _ in range(load.chance.randrange(1, 5)):
        seconds = load.chance.randrange(1, 8)
        writer.write(get(path, b"If-None-Match: %b\r\nPrefer: wait=%d\r\n" % (etag, seconds)))
        if load.chance.random() < 1 / 4:
            await asyncio.sleep(load.chance.random())
            writer.transport.abort()
            load.statuses["watch aborted"] += 1
            raise ConnectionError("gone")
        status, etag, _ = await take(reader)
        load.statuses[f"watch {status}"] += 1
        if time.monotonic() > load.until:
            return
    raise ConnectionError("gone")


Step: TypeAlias = Callable[[Load, Reader, Writer], Awaitable[None]]


async def client(load: Load, step: Step) -> None:
    """Repeat a step until the end; connect again when the connection has ended."""
    while time.monotonic() < load.until:
        reader, writer = await asyncio.open_connection(HOST, load.port)
        with contextlib.suppress(OSError):
            while time.monotonic() < load.until:
                await step(load, reader, writer)
        writer.close()


async def fill(load: Load, visits: int) -> None:
    """Read so many documents for the first time, so that what is bounded is full."""
    reader, writer = await asyncio.open_connection(HOST, load.port)
    for number in range(visits):
        writer.write(get(b"/config/visitor%d/prod" % (number % load.names)))
        await take(reader)
    writer.close()


async def sample(load: Load, pid: int) -> list[tuple[float, float]]:
    """Return the memory of the server in MB, once a second."""
    began = time.monotonic()
    found: list[tuple[float, float]] = []
    while time.monotonic() < load.until:
        found.append((time.monotonic() - began, resident(pid)))
        await asyncio.sleep(1)
    return found


def growth(samples: list[tuple[float, float]]) -> float:
    """Return the MB that a straight line through the second half of the samples rises."""
    half = samples[len(samples) // 2 :]
    times, sizes = [one[0] for one in half], [one[1] for one in half]
    return statistics.linear_regression(times, sizes).slope * (times[-1] - times[0])


def write_store(root: Path) -> None:
    """Write the bundles."""
    (root / "main").mkdir()
    for name in ("application", "orders", *(f"app{number}" for number in range(APPLICATIONS))):
        (root / "main" / f"{name}-prod.json").write_text(
            json.dumps({"name": name, "text": "x" * 900}), encoding="utf-8"
        )


async def prove(options: argparse.Namespace) -> int:
    """Load a server, and print what became of it."""
    with tempfile.TemporaryDirectory() as directory:
        write_store(Path(directory))
        async with serving(store=Path(directory), settings={"TOKEN": TOKEN}) as (port, process):
            load = Load(port=port, names=options.names)
            await fill(load, options.fill)
            before = open_files(process.pid)
            load.until = time.monotonic() + options.seconds
            clients = [
                client(load, step)
                for step, count in {
                    read: READERS,
                    write: WRITERS,
                    visit: VISITORS,
                    offend: OFFENDERS,
                    watch: WATCHERS,
                }.items()
                for _ in range(count)
            ]
            sampling = asyncio.create_task(sample(load, process.pid))
            await asyncio.gather(*clients)
            samples = await sampling
            left = await left_open(process.pid, before)
    grown = growth(samples)
    table(("requests", "number"), sorted(load.statuses.items()))
    print()
    head = ("seconds", "MB at the start", "MB at the end", "MB in the second half", "files more")
    sizes = [size for _, size in samples]
    row = (options.seconds, f"{sizes[0]:.1f}", f"{sizes[-1]:.1f}", f"{grown:+.2f}", left)
    table(head, [row])
    failed = sum(count for name, count in load.statuses.items() if wrong(name))
    return int(grown > GROWTH_MB or left > SPARE_DESCRIPTORS or failed > 0)


def wrong(name: str) -> bool:
    """True for a status that the server should not have answered.

    503 says that a look at the store took too long, as it may on a busy machine.
    """
    kind, status = name.split()
    if status == "503":
        return False
    return status.startswith("5") or (kind in {"read", "write", "visit"} and status != "200")


def open_files(pid: int) -> int:
    """Return how many files and connections a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def left_open(pid: int, before: int) -> int:
    """Wait until a process has closed its connections; return how many more are open."""
    deadline = time.monotonic() + BACK_SECONDS
    while open_files(pid) > before + SPARE_DESCRIPTORS and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return open_files(pid) - before


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove soak", description=__doc__)
    parser.add_argument("--seconds", type=int, default=480, help="(%(default)s)")
    parser.add_argument(
        "--fill", type=int, default=20_000, help="documents read before, once each (%(default)s)"
    )
    parser.add_argument(
        "--names", type=int, default=1_000_000, help="of documents that are read (%(default)s)"
    )
    descriptors(10_000)
    return asyncio.run(prove(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
