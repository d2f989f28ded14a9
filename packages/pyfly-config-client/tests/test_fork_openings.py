"""A fork waits while another thread opens a connection."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyfly.config_client import ConfigClient, SyncConfigClient, _forks
from pyfly.config_client._forks import Openings
from pyfly.config_client._httpx import BlockingExchange
from pyfly.config_client._requests import HttpRequest, TlsFiles
from pyfly.config_client.errors import ServerUnreachableError

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

PATIENCE = 60.0


class Lookups:
    """Holds the lookups of this process, as a slow resolver would."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        self.running = 0
        self._real = socket.getaddrinfo
        self._process = os.getpid()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.running += 1
        try:
            self.entered.set()
            if os.getpid() == self._process:
                assert self.leave.wait(PATIENCE)
            return self._real(*arguments, **options)
        finally:
            self.running -= 1


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lookups]:
    held = Lookups()
    monkeypatch.setattr(socket, "getaddrinfo", held)
    monkeypatch.setattr(_forks, "_LONGEST_OPENING", PATIENCE)
    yield held
    held.leave.set()


@pytest.fixture
def arguments(server: Any) -> dict[str, Any]:
    sources = [{"name": "main/orders.yaml", "source": {"a": 1}}]
    document = {"name": "orders", "profiles": ["prod"], "label": None, "propertySources": sources}
    server.answer_json(document)
    url = server.url.replace("127.0.0.1", "localhost")
    return {"server_url": url, "application": "orders", "profile": "prod", "attempts": 1}


def succeeds_forked(work: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:  # nothing may escape, or there would be two test runs
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def run_in_loop(arguments: dict[str, Any]) -> Any:
    return asyncio.run(ConfigClient(**arguments).fetch())


def run(arguments: dict[str, Any]) -> Any:
    return SyncConfigClient(**arguments).fetch()


@pytest.mark.parametrize("fetch", [run, run_in_loop])
def test_a_fork_waits_for_a_lookup_of_another_thread_and_the_child_can_connect(
    arguments: dict[str, Any], lookups: Lookups, fetch: Callable[[Any], Any]
) -> None:
    fetching = threading.Thread(target=fetch, args=[arguments])
    fetching.start()
    assert lookups.entered.wait(PATIENCE)
    threading.Timer(0.1, lookups.leave.set).start()
    # In the child nobody would end a lookup that another thread of the parent had begun.
    assert succeeds_forked(lambda: lookups.running == 0 and fetch(arguments) == {"a": 1})
    fetching.join()
    assert fetch(arguments) == {"a": 1}


def test_a_connection_that_is_opened_for_long_does_not_delay_a_fork(
    arguments: dict[str, Any], lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_forks, "_LONGEST_OPENING", 0.05)
    fetching = threading.Thread(target=run, args=[arguments])
    fetching.start()
    assert lookups.entered.wait(PATIENCE)
    assert succeeds_forked(lambda: run(arguments) == {"a": 1})
    assert lookups.running == 1
    lookups.leave.set()
    fetching.join()


def test_an_event_loop_can_fork_while_it_opens_a_connection(
    arguments: dict[str, Any], lookups: Lookups
) -> None:
    async def main() -> Any:
        fetching = asyncio.create_task(ConfigClient(**arguments).fetch())
        assert await asyncio.to_thread(lookups.entered.wait, PATIENCE)
        assert succeeds_forked(lambda: True)
        lookups.leave.set()
        return await fetching

    assert asyncio.run(main()) == {"a": 1}


def test_a_child_that_is_forked_after_a_fetch_does_not_wait_for_a_thread_that_ends(
    arguments: dict[str, Any],
) -> None:
    def senders() -> set[int | None]:
        named = [one for one in threading.enumerate() if one.name == "pyfly-config-exchange"]
        return {one.native_id for one in named}

    assert run(arguments) == {"a": 1}
    before = senders()
    for _ in range(5):
        assert run(arguments) == {"a": 1}
        assert succeeds_forked(lambda: run(arguments) == {"a": 1})
    assert senders() == before


def test_threads_that_last_do_work_at_the_same_time() -> None:
    threads = _forks.LastingThreads("lasting")
    both, used = threading.Barrier(3), set[int]()

    def work() -> None:
        used.add(threading.get_ident())
        both.wait(PATIENCE)

    for _ in range(2):
        threads.run(work)
    both.wait(PATIENCE)
    assert len(used) == 2


@pytest.mark.parametrize("step", ["connection.start_tls", "http11.send_request_headers"])
@pytest.mark.parametrize("end", ["complete", "failed"])
def test_a_fork_waits_while_tls_may_hold_locks(step: str, end: str) -> None:
    openings, forked = Openings(), threading.Event()
    assert list(openings.follow("plain", f"{step}.started", "http://config")) == []
    openings.before_fork()
    openings.after_fork()
    assert list(openings.follow("key", f"{step}.started", "https://config")) == []
    forking = threading.Thread(target=lambda: (openings.before_fork(), forked.set()))
    forking.start()
    assert not forked.wait(0.05)
    assert list(openings.follow("key", f"{step}.{end}", "https://config")) == []
    assert forked.wait(PATIENCE)
    forking.join()


def test_a_connection_begins_after_the_fork_and_a_fork_waits_for_no_other_one() -> None:
    openings = Openings()
    openings.before_fork()
    assert next(openings.begin("key")) > 0
    forking = threading.Thread(target=openings.before_fork)
    forking.start()
    forking.join(PATIENCE)
    assert not forking.is_alive()
    openings.forget_process()
    assert list(openings.begin("key")) == []


def test_a_fork_that_was_interrupted_does_not_keep_connections_from_being_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_forks, "_LONGEST_FORK", 0.05)
    openings = Openings()
    openings.before_fork()
    for seconds in openings.begin("key"):
        time.sleep(seconds)
    openings.before_fork()  # of the thread that opens it itself


def test_a_thread_that_ended_while_it_connected_does_not_keep_others_from_forking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_forks, "_LONGEST_OPENING", 0.05)
    openings = Openings()
    connecting = threading.Thread(target=lambda: list(openings.begin("key")))
    connecting.start()
    connecting.join()
    openings.before_fork()
    openings.after_fork()
    assert list(openings.begin("another")) == []


def test_an_exchange_that_was_aborted_before_it_runs_sends_nothing(server: Any) -> None:
    sent: list[Any] = []

    class Inner:
        def handle_request(self, request: Any) -> Any:
            sent.append(request)
            raise AssertionError(request)

    request = HttpRequest(url=server.url, headers={}, timeout=PATIENCE)
    exchange = BlockingExchange(request, TlsFiles(), Inner())  # type: ignore[arg-type]
    exchange.abort()
    before = threading.active_count()
    with pytest.raises(ServerUnreachableError):
        exchange.run()
    assert sent == []
    assert threading.active_count() == before
