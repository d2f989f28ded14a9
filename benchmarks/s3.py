"""What a request costs on S3: six bundles in parallel against a bare loop of boto3.

The store is the one that AWS_ENDPOINT_URL_S3 names, `http://127.0.0.1:PORT`, with the credentials
in the environment; a new bucket is made in it, and left. Without that variable it is a moto
server, a mock whose own work is most of the time. A proxy holds every answer back for 20 ms, as a
network does; the round trip is printed.

`bare` gets six objects one after the other. `backend` is one batch of the same six keys, whose
names are known; `cold` looks up first which of them exist; `backend-many` and `cold-many` do the
same with 10,000 objects below the prefix. `environment` is a whole request, with bundles without
a profile looked for, of which there are none.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import boto3
from botocore.config import Config

from _load import compare, read_options, report
from _processes import free_port, running
from pyfly.config_core import ConfigKey
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_server import ConfigServer

DELAY_SECONDS = 0.02
REQUESTS = 20
MANY = 10_000
BUCKET = f"bench-{secrets.token_hex(4)}"
TEXT = "\n".join(f"key{number}: value{number}" for number in range(50)).encode()
KEYS = [
    ConfigKey(application=application, profile=profile)
    for profile in ("eu", "prod", "default")
    for application in ("orders", "application")
]
NAMES = [f"main/{key.application}-{key.profile}.yaml" for key in KEYS]


async def pass_on(reader: Any, writer: Any, delay: float) -> None:
    """Copy one direction; every piece is sent on that much after it arrived."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    clock = asyncio.get_running_loop().time

    async def read() -> None:
        data = b"-"
        while data:
            data = await reader.read(65_536)
            pieces.put_nowait((clock() + delay, data))

    async def write() -> None:
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not data:
                break
            writer.write(data)
        writer.close()

    with contextlib.suppress(ConnectionError):
        await asyncio.gather(read(), write())


def serve_delayed(port: int, listening: int) -> None:
    """Listen; answers from the port take longer."""

    async def connect(reader: Any, writer: Any) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, forth, 0), pass_on(back, writer, DELAY_SECONDS))

    async def serve() -> None:
        server = await asyncio.start_server(connect, "127.0.0.1", listening)
        await server.serve_forever()

    asyncio.run(serve())


@contextlib.contextmanager
def delayed(port: int) -> Generator[int]:
    """Run the proxy in a process of its own until the end of the block; wait for it."""
    listening = free_port()
    process = multiprocessing.Process(target=serve_delayed, args=(port, listening), daemon=True)
    process.start()
    while True:
        try:
            socket.create_connection(("127.0.0.1", listening)).close()
        except OSError:
            time.sleep(0.05)
        else:
            break
    yield listening
    process.terminate()


@contextlib.contextmanager
def store() -> Generator[int]:
    """Return the port of the store; one is started where none is named."""
    named = os.environ.pop("AWS_ENDPOINT_URL_S3", "")
    if named:
        yield int(named.rpartition(":")[2])
        return
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    port = free_port()
    with running([sys.executable, "-m", "moto.server", "-p", str(port)], port, "/"):
        yield port


def client_of(port: int) -> Any:
    return boto3.client(  # pyright: ignore[reportUnknownMemberType] - stubs for S3 only
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=16),
    )


def fill(client: Any) -> None:
    def put(name: str) -> None:
        client.put_object(Bucket=BUCKET, Key=name, Body=TEXT)

    client.create_bucket(Bucket=BUCKET)
    others = [f"main/other{number:05}-prod.yaml" for number in range(MANY)]
    names = [f"few/{name}" for name in NAMES] + [f"many/{name}" for name in (*NAMES, *others)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, names))


def bare(client: Any) -> float:
    began = time.perf_counter()
    for _ in range(REQUESTS):
        for name in NAMES:
            answer = client.get_object(Bucket=BUCKET, Key=f"few/{name}")
            if answer["Body"].read() != TEXT:
                raise RuntimeError("the bytes differ")
    return REQUESTS / (time.perf_counter() - began)


async def batches(backend: S3ConfigBackend) -> float:
    began = time.perf_counter()
    for _ in range(REQUESTS):
        if None in await backend.fetch_many(KEYS):
            raise RuntimeError("a bundle is missing")
    return REQUESTS / (time.perf_counter() - began)


async def cold(location: S3Location) -> float:
    """Fetch as a process does that has not asked before."""
    seconds = 0.0
    for _ in range(REQUESTS):
        backend = S3ConfigBackend(location)
        await backend.check()  # a connection, as the others have
        began = time.perf_counter()
        if None in await backend.fetch_many(KEYS):
            raise RuntimeError("a bundle is missing")
        seconds += time.perf_counter() - began
        await backend.aclose()
    return REQUESTS / seconds


async def environments(server: ConfigServer) -> float:
    began = time.perf_counter()
    for _ in range(REQUESTS):
        document = await server.fetch("orders", "prod,eu")
        if len(document["propertySources"] or ()) != len(KEYS):  # type: ignore[arg-type]
            raise RuntimeError("a source is missing")
    return REQUESTS / (time.perf_counter() - began)


def round_trip(client: Any) -> float:
    began = time.perf_counter()
    for _ in range(REQUESTS):
        client.head_object(Bucket=BUCKET, Key=f"few/{NAMES[0]}")
    return (time.perf_counter() - began) / REQUESTS


def main() -> int:
    options = read_options(__doc__)
    # Every new backend says again what the store does not honour.
    logging.getLogger("pyfly.config_s3").setLevel(logging.ERROR)
    with (
        store() as port,
        delayed(port) as far,
        asyncio.Runner() as runner,
    ):
        fill(client_of(port))
        few = S3Location(bucket=BUCKET, prefix="few", endpoint_url=f"http://127.0.0.1:{far}")
        many = replace(few, prefix="many")
        client, backend, other = client_of(far), S3ConfigBackend(few), S3ConfigBackend(many)
        server = ConfigServer(S3ConfigBackend(few))
        measures: dict[str, Callable[[], float]] = {
            "bare": partial(bare, client),
            "backend": lambda: runner.run(batches(backend)),
            "backend-many": lambda: runner.run(batches(other)),
            "cold": lambda: runner.run(cold(few)),
            "cold-many": lambda: runner.run(cold(many)),
            "environment": lambda: runner.run(environments(server)),
        }
        rates = compare(measures, options)
        if not options.json:
            print(f"one round trip with boto3: {round_trip(client) * 1000:.1f} ms")
            for name, values in rates.items():
                print(f"{name}: {1000 / sorted(values)[len(values) // 2]:.1f} ms a request")
        for one in (backend, other, server):
            runner.run(one.aclose())
    report(rates, options, unit="requests")
    return 0


if __name__ == "__main__":
    sys.exit(main())
