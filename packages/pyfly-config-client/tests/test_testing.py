"""The server in memory for the tests of programs."""

import asyncio
import contextlib
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import (
    ClientConfig,
    ConfigClient,
    InvalidPayloadError,
    Properties,
    ServerRejectedError,
    ServerUnreachableError,
    StaleResponseError,
    SyncConfigClient,
)
from pyfly.config_client.testing import FakeConfigServer, Fault
from pyfly.config_core import ConfigFormatError

pytestmark = pytest.mark.anyio


def program() -> str:
    """Stand for a program that knows nothing of its tests."""
    client = SyncConfigClient(server_url="http://config:8888", application="orders", profile="prod")
    return client.fetch().get("db.url", str)


async def test_every_client_asks_the_server_in_memory(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "prod", {"db": {"url": "x"}})
    assert program() == "x"
    assert await config_server.async_client("orders", "prod").fetch() == {"db.url": "x"}
    other = ConfigClient(server_url="https://elsewhere", application="orders", profile="prod")
    assert (await other.fetch()).get("db.url") == "x"
    assert config_server.requests[0] == "http://config:8888/config/orders/prod"
    with pytest.raises(InvalidPayloadError, match="nothing is stored"):
        config_server.client("billing").fetch()


def test_labels_and_several_profiles(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "prod", {"a": 1, "b": 1})
    config_server.put("orders", "eu", {"a": 2})
    config_server.put("orders", "prod", {"a": 3}, label="next")
    assert config_server.client("orders", "prod,eu").fetch() == {"a": 2, "b": 1}
    assert config_server.client("orders", "prod", label=["none", "next"]).fetch() == {"a": 3}


def test_overrides_end_with_their_block(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "prod", {"db": {"url": "x", "size": 1}})
    with config_server.override({"db.url": "y"}), config_server.override({"db": {"size": 9}}):
        assert program() == "y"
        assert config_server.client("orders", "prod").fetch().get("db.size", int) == 9
    assert program() == "x"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("down", ServerUnreachableError),
        ("slow", ServerUnreachableError),
        ("torn", InvalidPayloadError),
        ("401", ServerRejectedError),
    ],
)
@pytest.mark.parametrize("attempts", [None, 50])
async def test_a_program_sees_a_fault_at_once(
    config_server: FakeConfigServer,
    fault: Fault,
    error: type[Exception],
    attempts: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits, although the program asks for retries: a pause here would end them."""
    monkeypatch.setattr("pyfly.config_client._fetch.backoff", lambda *_, **__: 599.0)
    config_server.put("orders", "prod", {"db.url": "x"})
    asked = 1 if fault == "401" else attempts or 1
    arguments: Any = {"application": "orders", "profile": "prod", "attempts": attempts}
    arguments |= {"server_url": "http://config:8888", "timeout": 599.0}
    with config_server.fault(fault):
        with pytest.raises(error):
            SyncConfigClient(**arguments).fetch()
        assert len(config_server.requests) == asked
        with pytest.raises(error):
            await ConfigClient(**arguments).fetch()
        assert len(config_server.requests) == 2 * asked
    assert program() == "x"


def test_a_fault_that_there_is_not_is_refused(config_server: FakeConfigServer) -> None:
    wrong: Any = "dwon"
    with pytest.raises(ValueError, match=r"unknown fault 'dwon'; .* mean 'down'") as caught:
        config_server.fault(wrong).__enter__()
    assert "slow, torn, stale, 401" in str(caught.value)


def test_overrides_keep_their_types(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "prod", {"a": 1, "hosts": ["x", "y"]})
    given = {"a": 5, "on": True, "rate": 0.5, "text": "5", "none": None, "hosts": ["z"]}
    with config_server.override(given):
        found = config_server.client("orders", "prod").fetch()
    expected = {"a": 5, "on": True, "rate": 0.5, "text": "5", "none": "", "hosts[0]": "z"}
    assert found == expected
    assert [type(value) for value in dict(sorted(found.items())).values()] == [
        type(value) for value in dict(sorted(expected.items())).values()
    ]
    assert str(found.origin("a")) == "overrides"
    with config_server.override({"only": 1}):  # for an application with nothing stored, too
        assert config_server.client("billing").fetch() == {"only": 1}


def test_watchers_see_an_override_come_and_go(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "prod", {"a": 1})
    client = config_server.client("orders", "prod")
    seen: queue.Queue[object] = queue.Queue()
    with client.watch(lambda change: seen.put(change.properties["a"]), interval=0.01):
        with config_server.override({"a": 5}):
            assert seen.get(timeout=60) == 5
        assert seen.get(timeout=60) == 1


SCOPES = """
import pytest
from pyfly.config_client import SyncConfigClient

def value():
    return SyncConfigClient(server_url="http://config", application="orders").fetch()["a"]

@pytest.fixture(scope="session")
def of_session(session_config_server):
    session_config_server.put("orders", "default", {"a": "session"})
    return session_config_server

@pytest.fixture(scope="package")
def of_package(package_config_server):
    package_config_server.put("orders", "default", {"a": "package"})

@pytest.fixture(scope="module")
def of_module(module_config_server):
    module_config_server.put("orders", "default", {"a": "module"})

@pytest.fixture(scope="class")
def of_class(class_config_server):
    class_config_server.put("orders", "default", {"a": "class"})

def test_session(of_session):
    assert value() == "session"

def test_package(of_session, of_package):
    assert value() == "package"

def test_module(of_session, of_package, of_module):
    assert value() == "module"

class TestClass:
    def test_class(self, of_module, of_class):
        assert value() == "class"

    def test_function(self, of_class, config_server):
        config_server.put("orders", "default", {"a": "function"})
        assert value() == "function"

    def test_class_again(self, of_class):
        assert value() == "class"

def test_module_again(of_module):
    assert value() == "module"
"""


@pytest.mark.slow
def test_there_is_a_fixture_of_every_scope(tmp_path: Path) -> None:
    (tmp_path / "test_scopes.py").write_text(SCOPES, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:anyio"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_a_stale_server_repeats_what_it_said(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "prod", {"db.url": "x"})
    program()
    config_server.put("orders", "prod", {"db.url": "y"})
    with config_server.fault("stale"):
        assert program() == "x"
    assert program() == "y"


def test_a_snapshot_covers_a_fault(config_server: FakeConfigServer, tmp_path: Path) -> None:
    config_server.put("orders", "prod", {"db.url": "x"})
    client = config_server.client("orders", "prod", snapshot_dir=tmp_path / "state")
    client.fetch()
    with config_server.fault("down"):
        assert client.fetch().from_snapshot


async def test_a_watcher_sees_changes(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "prod", {"a": 1})
    client = config_server.async_client("orders", "prod")
    await client.fetch()
    config_server.put("orders", "prod", {"a": 2})
    watch = client.watch(interval=0.01)
    assert (await anext(watch)).changed == {"a"}
    await watch.aclose()


def test_unit_tests_make_properties_of_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_HOST", "of the machine")
    given = {"db": {"url": "${db.host}:5432", "host": "x"}, "db.pool-size": 5, "hosts": ["a", "b"]}
    properties = Properties.of(given, application="orders")
    assert properties["db.url"] == "x:5432"
    assert properties.get("db.poolSize", int) == 5
    assert properties.get("hosts", list[str]) == ["a", "b"]
    assert (properties.name, properties.profiles) == ("orders", ("default",))
    with pytest.raises(ConfigFormatError):
        Properties.of({"db": object()})


@pytest.mark.slow
def test_the_plugin_is_there_without_being_asked_for(tmp_path: Path) -> None:
    (tmp_path / "test_program.py").write_text(
        "import os, sys\n"
        "def test_program(config_server):\n"
        "    config_server.put('orders', 'prod', {'a': 1})\n"
        "    assert config_server.client('orders', 'prod').fetch() == {'a': 1}\n"
        "    assert os.environ['PYFLY_CONFIG_SNAPSHOT_DIR'] == 'off'\n"
        "    assert 'httpx' not in sys.modules\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:anyio"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_client_of_a_server_asks_that_server(config_server: FakeConfigServer) -> None:
    """Also outside its block, and inside the block of another server."""
    other = FakeConfigServer()
    other.put("orders", "prod", {"a": 1})
    assert other.client("orders", "prod").fetch() == {"a": 1}
    assert await other.async_client("orders", "prod").fetch() == {"a": 1}
    assert config_server.requests == []


def test_an_inner_block_of_the_same_server_leaves_the_outer_order(
    config_server: FakeConfigServer,
) -> None:
    config_server.put("orders", "prod", {"db.url": "outer"})
    inner = FakeConfigServer()
    inner.put("orders", "prod", {"db.url": "inner"})
    with inner:
        with config_server:
            assert program() == "outer"
        assert program() == "inner"
    assert program() == "outer"


def test_a_watcher_asks_the_server_that_is_active(config_server: FakeConfigServer) -> None:
    """A watcher that began before a server became active, and goes on after it ended."""
    config_server.put("orders", "prod", {"a": "outer"})
    seen: queue.Queue[object] = queue.Queue()
    client = SyncConfigClient(server_url="http://config", application="orders", profile="prod")
    with client.watch(lambda change: seen.put(change.properties["a"]), interval=0.01):
        with FakeConfigServer() as inner:
            inner.put("orders", "prod", {"a": "inner"})
            assert seen.get(timeout=60) == "inner"
        assert seen.get(timeout=60) == "outer"


def test_a_server_may_end_while_other_threads_ask_for_a_transport() -> None:
    config = ClientConfig(server_url="http://config", application="orders")
    errors: list[Exception] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                assert config.make_transport()
            except LookupError as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3_000):
        with FakeConfigServer():
            pass
    ended.set()
    for thread in threads:
        thread.join()
    assert errors == []
    stale = FakeConfigServer()
    with stale:
        replaced = config.make_transport
    assert replaced() is not stale


@pytest.fixture(params=["async", "sync"])
def watch(request: pytest.FixtureRequest, config_server: FakeConfigServer) -> Any:
    """Start to watch with one of the clients; the result is the client, and a queue of changes.

    The interval is so long that only held requests bring changes.
    """
    stack = contextlib.ExitStack()

    def start(**how: Any) -> Any:
        changes: queue.Queue[Properties] = queue.Queue()
        if request.param == "sync":
            client = config_server.client("orders", **how)
            stack.enter_context(
                client.watch(lambda change: changes.put(change.properties), interval=3600)
            )
            return client, changes
        other = config_server.async_client("orders", **how)
        begun = threading.Event()

        async def follow() -> None:
            await other.fetch()
            begun.set()
            async for change in other.watch(interval=3600):
                changes.put(change.properties)

        loop = asyncio.new_event_loop()
        task = loop.create_task(follow())

        def work() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
            loop.close()

        thread = threading.Thread(target=work)
        thread.start()
        stack.callback(thread.join)
        stack.callback(lambda: loop.call_soon_threadsafe(task.cancel))
        assert begun.wait(60)
        return other, changes

    with stack:
        yield start


def until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_watchers_are_held_until_something_changes(
    config_server: FakeConfigServer, watch: Any
) -> None:
    config_server.put("orders", "default", {"a": 1})
    client, changes = watch()
    for number in (2, 3):
        config_server.put("orders", "default", {"a": number})
        assert changes.get(timeout=60) == {"a": number}
    config_server.put("billing", "default", {"a": 1})
    config_server.end_waits()
    config_server.put("orders", "default", {"a": 4})
    assert changes.get(timeout=60) == {"a": 4}
    assert client.current == {"a": 4}


def test_watchers_of_the_fake_meet_its_faults(config_server: FakeConfigServer, watch: Any) -> None:
    config_server.put("orders", "default", {"a": 1})
    client, changes = watch()
    with config_server.fault("down"):
        until(lambda: client.status.failing)
    until(lambda: not client.status.failing)
    with config_server.fault("stale"):
        until(lambda: client.current.stale_for is not None)
        config_server.put("orders", "default", {"a": 2})
        assert client.current == {"a": 1}
    assert changes.get(timeout=60) == {"a": 2}
    assert client.current.stale_for is None


def test_a_replica_that_is_behind_is_another_server_with_a_fault(
    config_server: FakeConfigServer,
) -> None:
    config_server.put("orders", "default", {"a": 2})
    client = SyncConfigClient(server_url="http://config:8888", application="orders")
    assert client.fetch() == {"a": 2}
    with FakeConfigServer() as behind:
        behind.put("orders", "default", {"a": 1})
        with behind.fault("stale"), pytest.raises(StaleResponseError):
            client.refresh()
        assert client.current == {"a": 2}
        assert client.refresh() == {"a": 1}


def test_keys_select_properties_and_overrides(config_server: FakeConfigServer) -> None:
    config_server.put("orders", "default", {"db": {"url": "x", "size": 1}, "other": 1})
    client = config_server.client("orders", keys=["db.url", "feature.*"])
    assert client.fetch() == {"db.url": "x"}
    with config_server.override({"db.url": "y", "db.size": 2, "feature.on": True}):
        assert client.fetch() == {"db.url": "y", "feature.on": True}
