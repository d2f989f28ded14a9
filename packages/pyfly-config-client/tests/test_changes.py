"""A client and a server that holds requests: changes at once, refreshes, status, staleness."""

import asyncio
import gc
import os
import queue
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pyfly.config_client import (
    Change,
    ClientStatus,
    ConfigClient,
    ConfigClientError,
    Properties,
    ServerUnreachableError,
    StaleResponseError,
    SyncConfigClient,
)
from pyfly.config_client.metrics import ClientCollector

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


class Watched:
    """A client that watches, whichever it is; all methods wait."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.changes: queue.Queue[Change] = queue.Queue()
        self.statuses: queue.Queue[ClientStatus] = queue.Queue()

    async def refresh(self) -> Properties:
        if isinstance(self.client, ConfigClient):
            return await self.client.refresh()
        return await asyncio.to_thread(self.client.refresh)

    async def fetch(self) -> Properties:
        if isinstance(self.client, ConfigClient):
            return await self.client.fetch()
        return await asyncio.to_thread(self.client.fetch)

    async def change(self) -> Change:
        return await asyncio.to_thread(self.changes.get, timeout=PATIENCE)

    async def status(self, wanted: Callable[[ClientStatus], bool]) -> ClientStatus:
        """Return the next status of which something is true."""
        while not wanted(found := await asyncio.to_thread(self.statuses.get, timeout=PATIENCE)):
            pass
        return found


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


async def test_a_held_request_brings_a_change(watch: Any, holding_server: Any) -> None:
    watched = await watch()
    for number in (1, 2, 3):
        holding_server.answer(a=number)
        change = await watched.change()
        assert (change.previous["a"], change.properties["a"]) == (number - 1, number)
        await holding_server.until(lambda: holding_server.held == 1)
    asked = [one.get("prefer") for one in holding_server.requests]
    assert asked == [None, *["wait=45"] * 4]
    assert watched.client.current == {"a": 3}


async def test_a_wait_that_ends_without_a_change_is_followed_by_the_next(
    watch: Any, holding_server: Any
) -> None:
    watched = await watch()
    before = watched.client.status.last_contact
    holding_server.end_waits()
    await holding_server.until(lambda: len(holding_server.requests) == 3)
    assert watched.client.status.last_contact > before, "the server confirmed it"
    assert watched.changes.empty()
    holding_server.answer(a=1)
    assert (await watched.change()).properties == {"a": 1}


async def test_a_busy_server_and_a_cut_connection_end_no_watch(
    watch: Any, holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watched = await watch()
    holding_server.busy = 1
    holding_server.end_waits()
    assert "503" in (await watched.status(lambda status: status.failing)).last_error.text
    await watched.status(lambda status: not status.failing)
    for _ in range(2):  # the first may count as the end of a connection that was idle
        await holding_server.until(lambda: holding_server.held == 1)
        holding_server.cut()
        await holding_server.until(lambda: holding_server.held == 0)
    error = (await watched.status(lambda status: status.failing)).last_error
    assert "closed the connection without a response" in error.text
    holding_server.answer(a=1)
    assert (await watched.change()).properties == {"a": 1}
    status = await watched.status(lambda status: not status.failing)
    assert status.last_error == error, "it is kept, to be looked at later"
    assert "keeping the current configuration" in caplog.text


async def test_a_server_without_waits_is_polled(watch: Any, holding_server: Any) -> None:
    holding_server.holds = False
    watched = await watch()
    holding_server.answer(a=1)
    assert (await watched.change()).properties == {"a": 1}


async def test_a_refresh_asks_the_store_and_brings_the_change(
    watch: Any, holding_server: Any
) -> None:
    holding_server.holds = False
    watched = await watch()
    holding_server.answer(a=1)
    assert await watched.refresh() == {"a": 1}
    assert watched.client.current == {"a": 1}
    change = await watched.change()
    assert (change.previous, change.properties) == ({"a": 0}, {"a": 1})
    asked = [one for one in holding_server.requests if "cache-control" in one]
    assert [(one["cache-control"], "prefer" in one) for one in asked] == [("no-cache", False)]
    assert asked[0]["if-none-match"]
    await watched.refresh()
    assert watched.changes.empty(), "each change comes once"


async def test_a_refresh_wakes_a_watcher_whose_request_is_held(
    watch: Any, holding_server: Any
) -> None:
    """As with a server that holds the requests of watchers too long."""
    watched = await watch()
    holding_server.silent = True
    holding_server.answer(a=1)
    assert await watched.refresh() == {"a": 1}
    assert (await watched.change()).properties == {"a": 1}
    assert watched.changes.empty()


async def test_a_refresh_before_a_fetch_is_a_fetch(make_client: Any, holding_server: Any) -> None:
    watched = make_client()
    assert await watched.refresh() == {"a": 0}
    assert holding_server.requests[0]["cache-control"] == "no-cache"


async def test_a_refresh_that_fails_leaves_the_configuration(
    make_client: Any, holding_server: Any, tmp_path: Any
) -> None:
    watched = make_client(snapshot_dir=tmp_path / "state")
    found = await watched.fetch()
    holding_server.stop()
    with pytest.raises(ServerUnreachableError):
        await watched.refresh()
    assert watched.client.current is found
    assert watched.client.status.failing
    offline = make_client(snapshot_dir=tmp_path / "state", policy="offline")
    with pytest.raises(ConfigClientError, match="cannot refresh"):
        await offline.refresh()


async def test_the_status_says_what_is_in_use(make_client: Any, holding_server: Any) -> None:
    watched = make_client()
    assert watched.client.status == ClientStatus()
    await watched.fetch()
    status = watched.client.status
    assert status.loaded_from == "server"
    assert status.etag is not None
    assert datetime.now(UTC) >= status.last_contact
    assert (status.stale_for, status.rejected, status.failing) == (None, 0, False)


async def test_rejected_configurations_are_counted(make_client: Any, holding_server: Any) -> None:
    def validate(properties: Properties) -> None:
        if properties["a"] == "marker-value":
            raise ValueError(properties["a"])

    watched = make_client(validate=validate)
    await watched.fetch()
    watched.client.on_status(watched.statuses.put)
    holding_server.answer(a="marker-value")
    for count in (1, 2):
        with pytest.raises(ConfigClientError, match="rejected by 'validate'"):
            await watched.refresh()
        status = watched.client.status
        assert status.rejected == count
        assert "rejected by 'validate'" in status.last_rejection.text
        assert "marker-value" not in repr(status)
    assert watched.client.current == {"a": 0}
    assert watched.statuses.qsize() == 2


async def test_the_change_after_a_rejected_configuration_is_seen_at_once(
    watch: Any, holding_server: Any
) -> None:
    """With pauses that grow to the interval this test would take minutes."""

    def validate(properties: Properties) -> None:
        if properties.get("a", int) < 0:
            raise ValueError

    watched = await watch(validate=validate)
    for number in range(1, 9):
        holding_server.answer(a=-number)
        await watched.status(lambda status, number=number: status.rejected == number)
        await holding_server.until(lambda: holding_server.held == 1)
    holding_server.answer(a=1)
    change = await watched.change()
    assert (change.previous["a"], change.properties["a"]) == (0, 1)
    tags = [one.get("if-none-match") for one in holding_server.requests]
    assert len({*tags[1:]}) == len(tags[1:]), "each request waits for another configuration to end"
    await holding_server.until(lambda: holding_server.held == 1)


async def test_staleness_is_told_when_it_begins_and_when_it_ends(
    watch: Any, holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pyfly.config_client")
    watched = await watch()
    assert watched.client.current.stale_for is None
    for _ in range(2):
        holding_server.stale = 30
        holding_server.end_waits()
        await holding_server.until(lambda: holding_server.held == 0)
        await holding_server.until(lambda: holding_server.held == 1)
    await watched.status(lambda status: status.stale_for is not None)
    stale_for: Any = watched.client.current.stale_for
    assert 30 <= stale_for < 30 + PATIENCE
    assert watched.client.status.stale_for >= 30
    holding_server.stale = None
    holding_server.end_waits()
    await watched.status(lambda status: status.stale_for is None)
    assert watched.client.current.stale_for is None
    assert caplog.text.count("cannot read its store") == 1
    assert caplog.text.count("can read its store again") == 1
    assert watched.changes.empty()


async def test_a_stale_configuration_is_better_than_none(
    make_client: Any, holding_server: Any, tmp_path: Any
) -> None:
    holding_server.stale = 7
    watched = make_client(snapshot_dir=tmp_path / "state")
    found = await watched.fetch()
    assert found == {"a": 0}
    assert found.stale_for >= 7, "also after it was read from the snapshot"
    assert found.section("b").stale_for >= 7


async def test_a_replica_that_is_behind_does_not_lead_back(
    watch: Any, holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watched = await watch()
    holding_server.answer(a=2)
    await watched.change()
    holding_server.stale = 60
    holding_server.answer(a=1)
    status = await watched.status(lambda status: status.rejected > 0)
    assert "which may be newer" in status.last_rejection.text
    assert watched.client.current == {"a": 2}
    with pytest.raises(StaleResponseError):
        await watched.refresh()
    assert await watched.fetch() == {"a": 2}
    assert watched.client.current == {"a": 2}
    assert watched.changes.empty()
    holding_server.stale = None
    assert (await watched.change()).properties == {"a": 1}, "the server knows that it is newer"


async def test_what_the_server_did_not_confirm_counts_as_no_contact(
    make_client: Any, holding_server: Any
) -> None:
    watched = make_client()
    await watched.fetch()
    contact = watched.client.status.last_contact
    holding_server.stale = 60
    holding_server.answer(a=1)
    assert await watched.fetch() == {"a": 0}
    assert watched.client.status.last_contact == contact
    assert watched.client.status.failing


async def test_a_clock_that_is_set_back_hides_no_success(
    make_client: Any, holding_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = make_client(policy="require_server")
    await watched.fetch()
    holding_server.stale = 60
    holding_server.answer(a=1)
    with pytest.raises(StaleResponseError):
        await watched.refresh()
    assert watched.client.status.failing
    yesterday = datetime.now(UTC) - timedelta(days=1)
    monkeypatch.setattr("pyfly.config_client._changes._now", lambda: yesterday)
    holding_server.stale = None
    await watched.refresh()
    assert watched.client.status.last_contact == yesterday
    assert not watched.client.status.failing


async def test_changes_are_told_after_an_interrupt_at_any_moment(
    make_client: Any, holding_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the time limit of a task, which is an exception in the middle of a fetch."""
    watched = make_client()
    await watched.fetch()
    watched.client.on_change(watched.changes.put)

    def interrupt(*_: Any) -> Any:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr("pyfly.config_client._changes.difference", interrupt)
        with pytest.raises(TimeoutError):
            await watched.refresh()
    holding_server.answer(a=1)
    await watched.refresh()
    assert watched.changes.get_nowait().properties == {"a": 1}


async def test_functions_are_called_for_every_fetch_until_they_are_removed(
    make_client: Any, holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watched = make_client()
    seen: list[Any] = []

    def fail(change: Change) -> None:
        raise RuntimeError(change.properties["a"])

    watched.client.on_change(fail)
    remove = watched.client.on_change(lambda change: seen.append(change.properties["a"]))
    await watched.fetch()
    assert seen == [], "the first configuration is no change"
    holding_server.answer(a="marker-value")
    await watched.fetch()
    assert seen == ["marker-value"]
    assert "on_change raised RuntimeError" in caplog.text
    assert "marker-value" not in caplog.text
    remove()
    remove()
    holding_server.answer(a=2)
    await watched.fetch()
    assert seen == ["marker-value"]


def test_a_function_may_refresh(holding_server: Any) -> None:
    """News that come while functions are called follow; none is called within another."""
    client = SyncConfigClient(server_url=holding_server.url, application="orders", profile="prod")
    client.fetch()
    seen: list[Any] = []

    def again(change: Change) -> None:
        seen.append(("begins", change.properties["a"]))
        if change.properties["a"] == 1:
            holding_server.answer(a=2)
            assert client.refresh() == {"a": 2}
        seen.append(("ends", change.properties["a"]))

    client.on_change(again)
    holding_server.answer(a=1)
    client.refresh()
    assert seen == [("begins", 1), ("ends", 1), ("begins", 2), ("ends", 2)]


# --- connections ----------------------------------------------------------------------


def clients(server: Any, count: int) -> list[SyncConfigClient]:
    return [
        SyncConfigClient(server_url=server.url, application="orders", profile="prod", attempts=1)
        for _ in range(count)
    ]


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
    await holding_server.until(lambda: holding_server.held == 0)
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


async def test_another_task_may_end_a_watcher(holding_server: Any) -> None:
    client = ConfigClient(server_url=holding_server.url, application="orders", profile="prod")
    await client.fetch()
    watcher = client.watch()

    async def follow() -> str:
        async for _ in watcher:
            pass
        return "ended"

    task = asyncio.create_task(follow())
    await holding_server.until(lambda: holding_server.held == 1)
    await watcher.aclose()
    assert await task == "ended"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watcher_that_ends_says_why(
    holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`SystemExit` ends a thread without a word otherwise."""

    def leave(_: Properties) -> None:
        if ended.is_set():
            raise SystemExit

    ended = threading.Event()
    names: Any = {"server_url": holding_server.url, "application": "orders", "profile": "prod"}
    client = SyncConfigClient(**names, validate=leave)
    with client.watch() as watcher:
        holding_server.wait_until(lambda: holding_server.held == 1)
        ended.set()
        holding_server.answer(a=1)
        watcher._thread.join(PATIENCE)
        assert not watcher.alive
    assert "watching ended: SystemExit was raised" in caplog.text


def test_watchers_that_are_forgotten_leave_nothing_behind(holding_server: Any) -> None:
    async def look() -> int:
        client = ConfigClient(server_url=holding_server.url, application="orders", profile="prod")
        for number in (1, 2, 3):
            await client.fetch()
            holding_server.answer(a=number)
            async for _ in client.watch(interval=0.01):
                break
        gc.collect()
        return len(client._session.holder.on_change)

    holding_server.holds = False
    assert asyncio.run(look()) == 0


def test_many_threads_fetch_at_once(holding_server: Any) -> None:
    client = clients(holding_server, 1)[0]
    found: queue.Queue[Any] = queue.Queue()
    threads = [threading.Thread(target=lambda: found.put(client.fetch())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [found.get_nowait() for _ in threads] == [{"a": 0}] * 8


# --- keys and metrics -----------------------------------------------------------------


def test_keys_are_part_of_the_address_and_of_the_identity(
    holding_server: Any, tmp_path: Any
) -> None:
    names: Any = {"server_url": holding_server.url, "application": "orders", "profile": "prod"}
    names |= {"snapshot_dir": tmp_path / "state"}
    some = SyncConfigClient(**names, keys=["feature.*", "db", "db", "labels[a/b]"])
    assert some.fetch() == {"a": 0}
    path = holding_server.requests[0]["path"]
    assert path == "/config/orders/prod?keys=db,feature.*,labels%5Ba%2Fb%5D"
    SyncConfigClient(**names, keys="feature.*,db").fetch()
    assert holding_server.requests[1]["path"] == "/config/orders/prod?keys=feature.*,db"
    holding_server.stop()
    offline: Any = names | {"policy": "offline"}
    same = SyncConfigClient(**offline, keys=("labels[a/b]", "db", "feature.*"))
    assert same.fetch().from_snapshot, "the order does not count"
    with pytest.raises(ConfigClientError, match="no snapshot"):
        SyncConfigClient(**offline).fetch()


@pytest.mark.parametrize("keys", ["", [], ["db", ""], " "])
def test_keys_without_a_name_are_refused(keys: Any) -> None:
    with pytest.raises(ValueError, match="keys must not be empty"):
        SyncConfigClient(server_url="http://config", application="orders", keys=keys)


def test_the_status_of_clients_is_collected(holding_server: Any) -> None:
    registry = CollectorRegistry()
    client = clients(holding_server, 1)[0]
    other = SyncConfigClient(server_url=holding_server.url, application="billing", label="v1")
    ClientCollector(client, other, registry=registry)
    holding_server.stale = 30
    client.fetch()
    with pytest.raises(ConfigClientError):
        other.fetch()
    text = generate_latest(registry).decode()
    names = 'application="orders",label="",profile="prod"'
    wrong = 'application="billing",label="v1",profile="default"'
    assert f"pyfly_config_client_stale_seconds{{{names}}} 30" in text
    assert f"pyfly_config_client_failing{{{names}}} 0.0" in text
    assert f"pyfly_config_client_last_contact_timestamp_seconds{{{names}}} 1" in text
    assert f"pyfly_config_client_failing{{{wrong}}} 1.0" in text
    assert f"pyfly_config_client_last_contact_timestamp_seconds{{{wrong}}}" not in text
    count = f"pyfly_config_client_rejected_responses_total{{{wrong}}} "
    assert float(text.partition(count)[2].split()[0]) >= 1
    with pytest.raises(ValueError, match="same application"):
        ClientCollector(client, client, registry=registry)
