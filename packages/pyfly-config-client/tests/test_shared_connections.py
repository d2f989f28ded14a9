"""Which clients share a connection, and what becomes of it."""

import asyncio
import gc
import os
import queue
import subprocess
import sys
import threading
import warnings
from typing import Any

import pytest
from watched_clients import PATIENCE, clients

from pyfly.config_client import ConfigClient

pytestmark = pytest.mark.anyio


def test_the_clients_of_a_process_share_a_connection(holding_server: Any) -> None:
    for client in clients(holding_server, 5):
        client.fetch()
        client.refresh()
    assert len(holding_server.requests) == 10
    assert len(holding_server.connections) == 1


async def test_the_clients_of_an_event_loop_share_a_connection(holding_server: Any) -> None:
    for client in clients(holding_server, 5):
        other = ConfigClient.from_config(client.config)
        await other.fetch()
        await other.refresh()
    assert len(holding_server.requests) == 10
    assert len(holding_server.connections) == 1


async def test_a_watch_holds_one_connection_and_a_fetch_uses_another(
    watch: Any, holding_server: Any
) -> None:
    watched = await watch()
    for _ in range(5):
        await watched.fetch()
    assert len(holding_server.connections) == 2
    holding_server.end_waits()
    await holding_server.until(lambda: holding_server.let_go == 1)
    await holding_server.until(lambda: holding_server.held == 1)
    assert len(holding_server.connections) == 2


async def test_an_idle_connection_that_the_server_closed_is_replaced(
    make_client: Any, holding_server: Any
) -> None:
    watched = make_client()
    await watched.fetch()
    holding_server.drop_next = True  # the connection ends when the next request arrives
    assert await watched.refresh() == {"a": 0}
    assert len(holding_server.connections) == 2
    assert watched.client.status.last_error is None


def test_an_event_loop_that_ends_closes_its_connections(holding_server: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            asyncio.run(
                ConfigClient(
                    server_url=holding_server.url, application="orders", profile="prod"
                ).fetch()
            )
            gc.collect()
    assert len(holding_server.connections) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_worker_uses_a_connection_of_its_own(holding_server: Any) -> None:
    client = clients(holding_server, 1)[0]
    client.fetch()
    holding_server.answer(a=1)
    child = os.fork()
    if child == 0:  # in the worker nothing may escape, or there would be two test runs
        code = 1
        try:
            code = 0 if client.refresh() == {"a": 1} else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(holding_server.connections) == 2
    assert client.refresh() == {"a": 1}
    assert len(holding_server.connections) == 2, "the parent still uses its own"


WATCHING = """
import gc, os, sys, time
from pyfly.config_client import SyncConfigClient

client = SyncConfigClient(
    server_url=sys.argv[1], application="orders", profile="prod", policy="require_server"
)
{watch}:
    sys.stdin.readline()  # a fork while a connection is opened has tests of its own
    child = os.fork()
    while client.current != {{"a": 1}}:
        time.sleep(0.01)
if child == 0:
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(
    "watch",
    ["with client.watch(interval=3600)", "client.watch(interval=3600); gc.collect()\nif True"],
    ids=["kept", "forgotten"],
)
def test_a_forked_watcher_holds_a_request_of_its_own(holding_server: Any, watch: str) -> None:
    command = [sys.executable, "-c", WATCHING.format(watch=watch), holding_server.url]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as process:
        holding_server.wait_until(lambda: holding_server.held == 1)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        holding_server.wait_until(lambda: holding_server.held == 2)
        holding_server.answer(a=1)
        assert process.wait(PATIENCE) == 0


def test_many_threads_fetch_at_once(holding_server: Any) -> None:
    client = clients(holding_server, 1)[0]
    found: queue.Queue[Any] = queue.Queue()
    threads = [threading.Thread(target=lambda: found.put(client.fetch())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [found.get_nowait() for _ in threads] == [{"a": 0}] * 8
