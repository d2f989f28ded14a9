"""Live values go on in forked processes, each with a watcher of its own."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import ConfigClient, SyncConfigClient

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

PATIENCE = 60.0


def document(**source: Any) -> dict[str, Any]:
    sources = [{"name": "main/orders.yaml", "source": source}]
    return {"name": "orders", "profiles": ["prod"], "label": None, "propertySources": sources}


@pytest.fixture
def held_arguments(holding_server: Any) -> dict[str, Any]:
    return {"server_url": holding_server.url, "application": "orders", "profile": "prod"}


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def watches() -> bool:
    return any(one.name == "pyfly-config-watch" for one in threading.enumerate())


def forked(work: Callable[[], object]) -> int:
    """Return the process id of a child that does some work, and then ends with its success."""
    child = os.fork()
    if child == 0:  # nothing may escape, or there would be two test runs
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def succeeded(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_worker_starts_its_watcher_with_the_first_read(
    holding_server: Any, held_arguments: Any
) -> None:
    def work() -> None:
        assert not watches()
        assert live.value == 0
        assert watches()
        until(lambda: live.value == 1)

    with SyncConfigClient(**held_arguments).live("a", int) as live:
        holding_server.wait_until(lambda: holding_server.held == 1)
        child = forked(work)
        holding_server.wait_until(lambda: holding_server.held == 2)
        holding_server.answer(a=1)
        assert succeeded(child)
        until(lambda: live.value == 1)
    assert not watches()


def test_a_worker_with_a_callback_watches_at_once(holding_server: Any, held_arguments: Any) -> None:
    called = threading.Event()

    def work() -> None:
        assert called.wait(PATIENCE)

    with SyncConfigClient(**held_arguments).live("a", int) as live:
        live.on_change(lambda *_: called.set())
        holding_server.wait_until(lambda: holding_server.held == 1)
        child = forked(work)
        holding_server.wait_until(lambda: holding_server.held == 2)
        holding_server.answer(a=1)
        assert succeeded(child)
        assert called.wait(PATIENCE)


def test_a_worker_leaves_the_connection_of_its_parent_alone(server: Any, arguments: Any) -> None:
    """The parent's held request is answered after the worker has watched, closed and ended."""
    let_go = threading.Event()

    def hold(connection: Any) -> None:
        assert let_go.wait(PATIENCE)
        server.answer_json(document(a=3), 'ETag: "3"')
        connection.sendall(server.json(document(a=3), 'ETag: "3"', "Preference-Applied: wait"))
        connection.close()

    server.turns = [server.json(document(a=1), 'ETag: "1"'), hold]
    server.answer_json(document(a=2), 'ETag: "2"')

    def work() -> None:
        until(lambda: live.value == 2)
        live.close()
        assert not watches()

    with SyncConfigClient(**arguments).live("a", int, interval=3600) as live:
        until(lambda: len(server.requests) == 2)
        assert succeeded(forked(work))
        assert live.value == 1
        let_go.set()
        until(lambda: live.value == 3)


def test_every_process_holds_one_request_on_a_connection_of_its_own(
    holding_server: Any, held_arguments: Any
) -> None:
    client = SyncConfigClient(**held_arguments)
    values = [client.live("a", int) for _ in range(3)]
    holding_server.wait_until(lambda: holding_server.held == 1)
    client.refresh()  # leaves a connection that is idle
    values[0].on_change(lambda *_: None)
    children = [
        forked(lambda: until(lambda: [one.value for one in values] == [1, 1, 1])) for _ in range(3)
    ]
    holding_server.wait_until(lambda: holding_server.held == 4)
    assert len(holding_server.connections) == 2 + len(children)
    holding_server.answer(a=1)
    assert [succeeded(child) for child in children] == [True, True, True]
    until(lambda: [one.value for one in values] == [1, 1, 1])
    for one in values:
        one.close()


def test_a_worker_takes_over_what_its_parent_had_only_begun(server: Any, arguments: Any) -> None:
    """The parent is forked while it passes a change on: the client has it, the value has not."""
    let_go = threading.Event()
    server.turns = [server.json(document(a=1), 'ETag: "1"'), lambda _: let_go.wait(PATIENCE)]
    server.answer_json(document(a=2), 'ETag: "2"')
    client = SyncConfigClient(**arguments)
    seen: list[Any] = []

    def work() -> None:
        assert live.value == 2
        until(lambda: seen == [(1, 2)])

    with client.live("a", int) as live:
        until(lambda: len(server.requests) == 2)
        live.on_change(lambda *both: seen.append(both))
        other = SyncConfigClient(**arguments)
        other.fetch()
        client._session.holder._loaded = other._session.holder.loaded
        assert succeeded(forked(work))
        assert live.value == 1
        let_go.set()


def test_a_worker_forked_during_a_callback_calls_it_again(server: Any, arguments: Any) -> None:
    """The thread that called it, and holds the turn, is not in the worker."""
    server.answer_json(document(a=1), 'ETag: "1"')
    client = SyncConfigClient(**arguments)
    entered, leave = threading.Event(), threading.Event()
    seen: list[Any] = []

    def work() -> None:
        leave.set()
        assert live.value == 2
        until(lambda: seen == [(1, 2)])
        live.close()

    with client.live("a", int, interval=3600) as live:

        @live.on_change
        def callback(old: int, new: int) -> None:
            entered.set()
            assert leave.wait(PATIENCE)
            seen.append((old, new))

        until(lambda: len(server.requests) == 2)  # the watcher waits now
        server.answer_json(document(a=2), 'ETag: "2"')
        fetching = threading.Thread(target=client.fetch)
        fetching.start()
        assert entered.wait(PATIENCE)
        assert succeeded(forked(work))
        leave.set()
        fetching.join()
        until(lambda: seen == [(1, 2)])  # the watcher may call it, too


def test_a_worker_forked_while_a_value_is_made_makes_it_again(server: Any, arguments: Any) -> None:
    """The thread that made it, and holds the lock, is not in the worker."""
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, text: str) -> None:
            if text == "2":
                entered.set()
                assert leave.wait(PATIENCE)
            self.text = text

    def work() -> None:
        leave.set()
        assert live.value.text == "2"
        live.close()

    server.answer_json(document(a="1"), 'ETag: "1"')
    client = SyncConfigClient(**arguments)
    with client.live("a", Slow, interval=3600) as live:
        until(lambda: len(server.requests) == 2)  # the watcher waits now
        server.answer_json(document(a="2"), 'ETag: "2"')
        fetching = threading.Thread(target=client.fetch)
        fetching.start()
        assert entered.wait(PATIENCE)
        assert succeeded(forked(work))
        leave.set()
        fetching.join()
        until(lambda: live.value.text == "2")


def test_an_event_loop_of_a_worker_watches_after_the_first_read(
    holding_server: Any, held_arguments: Any
) -> None:
    live = ConfigClient(**held_arguments).live("a", int)

    async def in_worker() -> None:
        seen: list[Any] = []
        live.on_change(lambda *both: seen.append(both))
        async with asyncio.timeout(PATIENCE):
            while live.value != 1 or not seen:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await live.aclose()
        assert len(asyncio.all_tasks()) == 1

    def work() -> None:
        assert live.value == 0  # no event loop runs yet
        asyncio.run(in_worker())

    async def main() -> None:
        async with live:
            await holding_server.until(lambda: holding_server.held == 1)
            child = forked(work)
            await holding_server.until(lambda: holding_server.held == 2)
            holding_server.answer(a=1)
            assert await asyncio.to_thread(succeeded, child)
            async with asyncio.timeout(PATIENCE):
                while live.value != 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)

    asyncio.run(main())


def test_workers_of_multiprocessing_follow(holding_server: Any, held_arguments: Any) -> None:
    context = multiprocessing.get_context("fork")

    def work() -> None:
        until(lambda: live.value == 1)

    with SyncConfigClient(**held_arguments).live("a", int) as live:
        holding_server.wait_until(lambda: holding_server.held == 1)
        workers = [context.Process(target=work) for _ in range(2)]
        for one in workers:
            one.start()
        holding_server.wait_until(lambda: holding_server.held == 3)
        holding_server.answer(a=1)
        for one in workers:
            one.join(PATIENCE)
        assert [one.exitcode for one in workers] == [0, 0]


SPAWNED = """
import multiprocessing
import sys

from pyfly.config_client import SyncConfigClient

live = SyncConfigClient(server_url=sys.argv[1], application="orders", profile="prod").live("a", int)

def work():
    return live.value

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(live.value, pool.apply(work))
"""


@pytest.mark.slow
def test_spawned_workers_make_their_own(server: Any, tmp_path: Path) -> None:
    server.answer_json(document(a=1), 'ETag: "1"')
    (tmp_path / "program.py").write_text(SPAWNED, encoding="utf-8")
    environment = os.environ | {"PYFLY_CONFIG_SNAPSHOT_DIR": "off"}
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", server.url],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=environment,
    )
    assert done.stdout == "1 1\n", done.stderr
