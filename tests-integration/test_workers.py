"""Our client in the worker processes of real application servers, forked and started anew."""

import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.packaging

PATIENCE = 60.0
WORKERS = 2

FORKED = '''
"""A WSGI and an ASGI application that watch from the moment they are imported."""

import os

from pyfly.config_client import SyncConfigClient

client = SyncConfigClient.from_env()
watcher = client.watch(interval=0.1)


def answer():
    return f"{os.getpid()} {client.current['db.url']}".encode()


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer()]


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer()})
'''

LIFESPAN = '''
"""A Litestar application that has its configuration while it lives."""

import os

from litestar import Litestar, get
from litestar.datastructures import State

from pyfly.config_client import ConfigClient, config_lifespan


@get("/", media_type="text/plain")
async def answer(state: State) -> str:
    return f"{os.getpid()} {state.config['db.url']}"


app = Litestar([answer], lifespan=[config_lifespan(ConfigClient.from_env(), interval=0.1)])
'''

SERVERS = {
    "gunicorn, forked with the application": "gunicorn --preload forked:wsgi",
    "gunicorn, forked before it": "gunicorn forked:wsgi",
    "gunicorn with asyncio, forked with the application": (
        "gunicorn --preload -k uvicorn_worker.UvicornWorker forked:asgi"
    ),
    "uvicorn": "uvicorn lifespan:app",
}


@pytest.fixture(scope="module")
def python(install: Callable[..., Path]) -> Path:
    """An environment as a service has it."""
    return install("pyfly-config-client", "gunicorn", "litestar", "uvicorn", "uvicorn-worker")


@pytest.fixture
def start_workers(
    python: Path, tmp_path: Path, free_port: Callable[[], int]
) -> Iterator[Callable[[str, str], str]]:
    """Start an application server in front of two workers; return its address."""
    (tmp_path / "forked.py").write_text(FORKED, encoding="utf-8")
    (tmp_path / "lifespan.py").write_text(LIFESPAN, encoding="utf-8")
    with contextlib.ExitStack() as stack:

        def start(command: str, config: str) -> str:
            program, *arguments = command.split()
            port = str(free_port())
            where = ["--bind", f"127.0.0.1:{port}"] if program == "gunicorn" else ["--port", port]
            environment = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
            environment |= {
                "PYFLY_CONFIG_URL": config,
                "PYFLY_CONFIG_APPLICATION": "orders",
                "PYFLY_CONFIG_SNAPSHOT_DIR": "off",
            }
            process = subprocess.Popen(
                [python.with_name(program), "--workers", str(WORKERS), *where, *arguments],
                cwd=tmp_path,
                env=environment,
            )
            stack.callback(process.wait, PATIENCE)
            stack.callback(process.terminate)
            return f"http://127.0.0.1:{port}/"

        yield start


def wait_for_all(address: str, value: str) -> set[str]:
    """Return the process numbers of the workers once each of them answers with a value."""
    values: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE
    while len(values) < WORKERS or {*values.values()} != {value}:
        assert time.monotonic() < deadline, values
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            worker, _, given = answer.read().decode().partition(" ")
            values[worker] = given
        time.sleep(0.01)
    return {*values}


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_every_worker_sees_a_change(
    start_server: Callable[..., Any],
    start_workers: Callable[[str, str], str],
    tmp_path: Path,
    command: str,
) -> None:
    file = tmp_path / "store" / "main" / "orders-default.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("db: {url: first}\n", encoding="utf-8")
    server = start_server(tmp_path / "store")
    address = start_workers(command, server.url)
    workers = wait_for_all(address, "first")
    file.write_text("db: {url: second}\n", encoding="utf-8")
    assert wait_for_all(address, "second") == workers
