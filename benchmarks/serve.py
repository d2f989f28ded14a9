"""What answering costs, for a document that was asked for before and has not changed.

`pyfly-config serve` serves the example repository; a request needs six bundles. The baseline is an
empty ASGI handler on the same server, with the same options and one worker. It answers the same
headers and bytes without looking at the request, so that a ratio of 1 is the fastest that an
application on this server can be. `no-cache` are requests that make the server look at its store
again. `bearer` has a credential, which is checked; `plugin` is a Litestar application with the
plugin. Connections are kept. Needs wrk (apt-get install wrk).
"""

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import boto3
from litestar import Litestar

from _empty import record
from _load import add_short, compare, option_parser, report_pairs
from _processes import (
    EXAMPLES,
    Answer,
    Meter,
    Running,
    asgi,
    ask,
    free_port,
    need_wrk,
    program,
    running,
    serve,
)
from pyfly.config_litestar import ConfigServerPlugin, ReadyApp, create_asgi_app
from pyfly.config_server import ConfigServer, FilesystemConfigBackend, InMemoryConfigBackend

DOCUMENT = "/config/orders/prod,eu/main"
TEXT = "/config/main/orders-prod,eu"
EXTENSIONS = ("json", "yml", "properties")
NOT_MODIFIED = "/not-modified"
ALIKE = 20
"""Answers whose lengths differ by less than this part are compared."""
TOKEN = "a-token-of-the-benchmark-0123456789"  # noqa: S105 - of a server that ends with it
BEARER = {"Authorization": f"Bearer {TOKEN}"}
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testsecret"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table: what is asked of whom, and what it is compared with."""

    server: Running
    path: str = DOCUMENT
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    base: str = ""

    def ask(self) -> Answer:
        return ask(self.server.port, self.path, headers=self.headers)


def make_memory() -> ReadyApp:
    """Serve the examples from memory."""
    backend = InMemoryConfigBackend()
    asyncio.run(_copy(FilesystemConfigBackend(EXAMPLES), backend))
    return create_asgi_app(ConfigServer(backend), auth=None)


async def _copy(files: FilesystemConfigBackend, memory: InMemoryConfigBackend) -> None:
    for source in await files.list():
        await memory.save(source)


def make_plugin() -> Litestar:
    """Serve the examples in an application of somebody else."""
    server = ConfigServer(FilesystemConfigBackend(EXAMPLES))
    return Litestar([], plugins=[ConfigServerPlugin(server, auth=None)], openapi_config=None)


def copied_to(url: str) -> str:
    """Copy the examples into a store; return its URL."""
    command = [program("pyfly-config"), "copy", str(EXAMPLES), url]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return url


def make_bucket(stack: contextlib.ExitStack) -> str:
    """Start moto, which keeps objects in memory; return the URL of a bucket in it."""
    os.environ |= KEYS
    port = free_port()
    quiet = f"exec {sys.executable} -m moto.server -p {port} 2>/dev/null"  # it logs each request
    stack.enter_context(running(["sh", "-c", quiet], port, "/"))
    address = f"http://127.0.0.1:{port}"
    client: Any = boto3.client(  # pyright: ignore[reportUnknownMemberType] - stubs for S3 only
        "s3", endpoint_url=address, region_name="us-east-1"
    )
    client.create_bucket(Bucket="bench")
    client.close()
    return f"s3://bench/team?endpoint_url={address}"


def start(
    stack: contextlib.ExitStack,
    command: Callable[[int], list[str]],
    variables: Mapping[str, str] | None = None,
) -> Running:
    """Start a server until the end of the stack."""
    port = free_port()
    started = running(command(port), port, "/config/nobody", variables=variables)
    return Running(port=port, pid=stack.enter_context(started).pid)


def rows_of_files(server: Running) -> dict[str, Row]:
    """Return the rows of one server: every form of a document."""
    etag = Row(server=server).ask().headers["etag"]
    return {
        "files": Row(server=server, base="empty"),
        "files, 304": Row(server=server, headers={"If-None-Match": etag}, base="empty, 304"),
        **{
            f"files, .{one}": Row(server=server, path=f"{TEXT}.{one}", base=f"empty, .{one}")
            for one in EXTENSIONS
        },
        "files, no-cache": Row(server=server, headers={"Cache-Control": "no-cache"}, base="empty"),
    }


def start_empty(stack: contextlib.ExitStack, files: Mapping[str, Row]) -> dict[str, Row]:
    """Start the empty handler with what the server of the files answers; return its rows."""
    forms = {"empty": files["files"], "empty, 304": files["files, 304"]}
    forms |= {f"empty, .{one}": files[f"files, .{one}"] for one in EXTENSIONS}
    paths = {name: NOT_MODIFIED if "304" in name else row.path for name, row in forms.items()}
    ready = record((paths[name], row.ask()) for name, row in forms.items())
    port = free_port()
    command = asgi(port, "_empty:make_empty")
    process = stack.enter_context(running(command, port, DOCUMENT, variables=ready))
    server = Running(port=port, pid=process.pid)
    return {
        name: Row(server=server, path=paths[name], headers=row.headers)
        for name, row in forms.items()
    }


def start_all(stack: contextlib.ExitStack, directory: Path) -> dict[str, Row]:
    """Start every server; return all rows, the baselines first."""
    files = rows_of_files(start(stack, partial(serve, store=EXAMPLES)))
    sqlite = copied_to(f"sqlite:///{directory}/bundles.db")
    bucket = copied_to(make_bucket(stack))
    token = {"PYFLY_CONFIG_SERVER_TOKEN": TOKEN}
    others = {
        "memory": start(stack, partial(asgi, factory="serve:make_memory")),
        "SQLite": start(stack, partial(serve, store=sqlite)),
        "S3": start(stack, partial(serve, store=bucket)),
        "plugin": start(stack, partial(asgi, factory="serve:make_plugin")),
    }
    return {
        **start_empty(stack, files),
        **files,
        "files, bearer": Row(
            server=start(stack, partial(serve, store=EXAMPLES), token), headers=BEARER, base="empty"
        ),
        **{name: Row(server=server, base="empty") for name, server in others.items()},
    }


def check(rows: Mapping[str, Row]) -> None:
    """Check that what is compared is alike; stores differ in the names of their sources.

    Raises:
        RuntimeError: A row answers something else than its baseline.
    """
    for name, row in rows.items():
        answer, other = row.ask(), rows[row.base or name].ask()
        wanted = HTTPStatus.NOT_MODIFIED if "304" in name else HTTPStatus.OK
        alike = abs(len(answer.body) - len(other.body)) <= len(other.body) / ALIKE
        if not answer.status == other.status == wanted or not alike:
            raise RuntimeError(f"{name} answers {answer.status}, and not as {row.base or name}")


def main() -> int:
    parser = option_parser(__doc__, rounds=5)
    add_short(parser)
    parser.add_argument("names", nargs="*", help="rows, or parts of their names; otherwise all")
    options = parser.parse_args()
    need_wrk()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        rows = start_all(stack, Path(directory))
        check(rows)
        measure(choose(rows, options.names), options)
    return 0


def choose(rows: Mapping[str, Row], names: list[str]) -> dict[str, Row]:
    """Return the rows with such names, and their baselines."""
    chosen = {name for name in rows if any(part in name for part in names or [""])}
    chosen |= {rows[name].base for name in chosen}
    return {name: row for name, row in rows.items() if name in chosen}


def measure(rows: Mapping[str, Row], options: argparse.Namespace) -> None:
    """Measure the rows in turns, and report."""
    seconds = 1 if options.short else 3
    options.rounds = 1 if options.short else options.rounds
    meters = {
        name: Meter(row.server, row.path, seconds=seconds, headers=row.headers)
        for name, row in rows.items()
    }
    rates = compare(meters, options, warm=not options.short)
    costs = {name: meter.microseconds[-options.rounds :] for name, meter in meters.items()}
    report_pairs(rates, {name: row.base for name, row in rows.items() if row.base}, options, costs)


if __name__ == "__main__":
    sys.exit(main())
