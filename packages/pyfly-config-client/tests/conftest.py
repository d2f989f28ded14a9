"""Servers that answer whatever a test tells them to, and the two clients."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from holding_server import DOCUMENT, HoldingServer
from live_programs import Program, threads
from scripted_server import ScriptedServer
from watched_clients import Watched

from pyfly.config_client import ConfigClient, SyncConfigClient


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads(json.dumps(DOCUMENT))


@pytest.fixture
def make_server() -> Iterator[Callable[[], ScriptedServer]]:
    made: list[ScriptedServer] = []

    def make() -> ScriptedServer:
        made.append(ScriptedServer())
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def server(make_server: Callable[[], ScriptedServer]) -> ScriptedServer:
    return make_server()


@pytest.fixture
def server_url(server: ScriptedServer, document: dict[str, Any]) -> str:
    """The address of a server that answers with the document."""
    server.answer_json(document)
    return server.url


@pytest.fixture
def free_url() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def another_server(make_server: Callable[[], ScriptedServer]) -> ScriptedServer:
    return make_server()


@pytest.fixture
def kept(tmp_path: Path) -> dict[str, Any]:
    """The arguments that let a client keep snapshots."""
    return {"snapshot_dir": tmp_path / "state"}


Fetch = Callable[..., Any]


@pytest.fixture(params=["async", "sync", "sync inside a loop"])
def fetch(request: pytest.FixtureRequest, server: ScriptedServer) -> Fetch:
    """Fetch with one of the clients; the result is a coroutine."""

    async def run(**how: Any) -> Any:
        arguments: Any = {"server_url": server.url, "application": "orders", "profile": "prod"}
        arguments |= {"attempts": 1} | how
        if request.param == "async":
            return await ConfigClient(**arguments).fetch()
        client = SyncConfigClient(**arguments)
        if request.param == "sync":
            return await asyncio.to_thread(client.fetch)
        return client.fetch()

    return run


@pytest.fixture
def holding_server() -> Iterator[HoldingServer]:
    server = HoldingServer()
    yield server
    server.stop()


@pytest.fixture
def arguments(server: ScriptedServer) -> dict[str, Any]:
    """The arguments of a client that asks once."""
    return {"server_url": server.url, "application": "orders", "profile": "prod", "attempts": 1}


@pytest.fixture(params=["async", "sync"])
async def program(
    request: pytest.FixtureRequest, arguments: dict[str, Any]
) -> AsyncIterator[Callable[..., Program]]:
    kind = ConfigClient if request.param == "async" else SyncConfigClient
    async with contextlib.AsyncExitStack() as stack:
        yield lambda **how: Program(kind(**arguments | how), stack)
    assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("pyfly-config")]
    assert threads() == []


@pytest.fixture(params=["async", "sync"])
async def make_client(request: pytest.FixtureRequest, holding_server: Any) -> Any:
    def make(**how: Any) -> Watched:
        names: Any = {"server_url": holding_server.url, "application": "orders", "profile": "prod"}
        kind = ConfigClient if request.param == "async" else SyncConfigClient
        return Watched(kind(**names | {"attempts": 1} | how))

    return make


@pytest.fixture
async def watch(make_client: Any, holding_server: Any) -> Any:
    """Start to watch, and wait until the server holds the request."""
    ends: list[Any] = []

    async def start(**how: Any) -> Watched:
        watched = make_client(**how)
        client = watched.client
        await watched.fetch()
        client.on_status(watched.statuses.put)
        if isinstance(client, ConfigClient):
            watcher = client.watch(interval=0.05)

            async def follow() -> None:
                async for change in watcher:
                    watched.changes.put(change)

            task = asyncio.create_task(follow())

            async def end() -> None:
                task.cancel()
                await asyncio.wait([task])

            ends.append(end)
        else:
            sync_watcher = client.watch(watched.changes.put, interval=0.05)

            async def stop() -> None:
                await asyncio.to_thread(sync_watcher.stop)
                assert not sync_watcher.alive

            ends.append(stop)
        await holding_server.until(lambda: holding_server.held or not holding_server.holds)
        return watched

    yield start
    for end in ends:
        await end()
