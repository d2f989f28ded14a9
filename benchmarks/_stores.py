"""The stores of the benchmarks of many documents, and a server in front of them."""

import contextlib
import json
import tempfile
from collections.abc import Generator
from pathlib import Path

from _fleet import mark, run
from _processes import Running, asgi, free_port, running, serve
from _publisher import FILLING, connect, publish, put

TOKEN = "a-token-of-the-benchmark-0123456789"  # noqa: S105 - of a server that ends with it
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SETTINGS = {"PYFLY_CONFIG_SERVER_TOKEN": TOKEN}
LIVE = "/health/live"
STORES = ("files", "memory", "sqlite")


def application(number: int) -> str:
    """Return the name of an application."""
    return f"app{number:05}"


def path_of(number: int) -> str:
    """Return the path of its document, which has the shared bundle below its own."""
    return f"/config/{application(number)}/prod/main"


def write_files(root: Path, documents: int) -> None:
    """Write a directory of so many applications."""
    main = root / "main"
    main.mkdir(parents=True)
    for number in range(documents):
        text = json.dumps({"name": application(number), **FILLING})
        (main / f"{application(number)}-prod.json").write_text(text, encoding="utf-8")
    shared = json.dumps({"publish": mark(0)})
    (main / "application-prod.json").write_text(shared, encoding="utf-8")


async def fill(port: int, documents: int) -> None:
    """Store as many applications through HTTP."""
    connection = await connect(port)
    headers = {**BEARER, "If-None-Match": "*"}
    for number in range(documents):
        name = application(number)
        answer = await connection.ask(put(name, {"name": name, **FILLING}, headers))
        if answer[9:12] != b"201":
            raise RuntimeError(f"the server refuses to store: {answer[:400]!r}")
    await publish(connection, 0, BEARER, new=True)
    connection.close()


@contextlib.contextmanager
def serving(store: str, documents: int) -> Generator[Running]:
    """Run `pyfly-config serve` with so many applications in a new store."""
    with tempfile.TemporaryDirectory() as directory:
        url = {"memory": "memory:", "sqlite": f"sqlite:///{directory}/bundles.db"}.get(store)
        if url is None:
            write_files(Path(directory), documents)
        with serving_store(url or directory) as server:
            if url is not None:
                run(fill(server.port, documents))
            yield server


@contextlib.contextmanager
def serving_store(store: str) -> Generator[Running]:
    """Run `pyfly-config serve` on a store."""
    port = free_port()
    with running(serve(port, store), port, LIVE, variables=SETTINGS) as process:
        yield Running(port=port, pid=process.pid)


@contextlib.contextmanager
def serving_app(factory: str) -> Generator[Running]:
    """Run `module:function` as `pyfly-config serve` runs its application."""
    port = free_port()
    with running(asgi(port, factory), port, path_of(0), variables=SETTINGS) as process:
        yield Running(port=port, pid=process.pid)
