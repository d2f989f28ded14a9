"""Bounded threads: deadlines, stuck calls and their replacement."""

import asyncio
import threading
import time
import weakref

import pytest

from pyfly.config_core import BackendUnavailableError, ConfigFormatError
from pyfly.config_server.files.threads import Threads

pytestmark = pytest.mark.anyio


def soon(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


async def test_results_and_errors_come_back() -> None:
    threads = Threads(2, name="test")

    def fail() -> None:
        raise ConfigFormatError("wrong")

    assert await threads.run(lambda: 5, deadline=soon()) == 5
    with pytest.raises(ConfigFormatError, match="wrong"):
        await threads.run(fail, deadline=soon())
    await threads.close(deadline=soon())


class Result:
    """An object that can be referred to weakly."""


async def test_a_thread_that_waits_keeps_no_result() -> None:
    threads = Threads(1, name="test")
    found = weakref.ref(await threads.run(Result, deadline=soon()))
    deadline = soon()
    while found() is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - the thread does
        await asyncio.sleep(0.001)
    assert found() is None
    await threads.close(deadline=soon())


async def test_no_more_run_at_a_time_than_there_are_threads() -> None:
    threads = Threads(3, name="test")
    running: list[int] = [0]
    most: list[int] = []
    guard = threading.Lock()

    def work() -> None:
        with guard:
            running[0] += 1
            most.append(running[0])
        time.sleep(0.01)
        with guard:
            running[0] -= 1

    await asyncio.gather(*(threads.run(work, deadline=soon()) for _ in range(30)))
    assert max(most) <= 3
    assert len(most) == 30
    await threads.close(deadline=soon())


async def test_a_system_without_threads_is_an_error_and_works_again_when_it_has_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = Threads(2, name="test")
    go = threading.Event()

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", fail)
        for _ in range(10):
            with pytest.raises(BackendUnavailableError, match="no thread can be started"):
                await threads.run(lambda: 1, deadline=soon())
    stuck = asyncio.create_task(threads.run(go.wait, deadline=soon()))
    await asyncio.sleep(0)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", fail)
        waiting = asyncio.create_task(threads.run(lambda: 2, deadline=soon()))
        await asyncio.sleep(0)
    go.set()  # the one thread that there is does both
    assert await waiting == 2
    assert await stuck
    assert await threads.run(lambda: 3, deadline=soon()) == 3
    await threads.close(deadline=soon())


@pytest.mark.slow
async def test_a_stuck_call_is_given_up_and_replaced_up_to_a_limit() -> None:
    threads = Threads(1, name="test")
    go = threading.Event()
    for _ in range(3):
        with pytest.raises(BackendUnavailableError, match="in time"):
            await threads.run(go.wait, deadline=soon(0.2))
    assert await threads.run(lambda: 1, deadline=soon()) == 1  # the fourth and last thread
    with pytest.raises(BackendUnavailableError, match="in time"):
        await threads.run(go.wait, deadline=soon(0.2))
    with pytest.raises(BackendUnavailableError, match="in time"):
        await threads.run(lambda: 1, deadline=soon(0.2))
    go.set()
    assert await threads.run(lambda: 2, deadline=soon()) == 2
    await threads.close(deadline=soon())


async def test_waiting_for_a_thread_counts_and_what_was_given_up_is_not_run() -> None:
    threads = Threads(1, name="test")
    go = threading.Event()
    ran: list[int] = []
    first = asyncio.ensure_future(threads.run(go.wait, deadline=soon()))
    await asyncio.sleep(0)
    with pytest.raises(BackendUnavailableError):
        await threads.run(lambda: ran.append(1), deadline=soon(0.1))
    go.set()
    await first
    await threads.run(lambda: ran.append(2), deadline=soon())
    assert ran == [2]
    await threads.close(deadline=soon())


async def test_closing_waits_for_what_runs_and_refuses_the_rest() -> None:
    threads = Threads(2, name="test")
    slow = asyncio.ensure_future(threads.run(lambda: time.sleep(0.2), deadline=soon()))
    await asyncio.sleep(0)
    await threads.close(deadline=soon())
    await slow
    with pytest.raises(BackendUnavailableError, match="closed"):
        await threads.run(lambda: 1, deadline=soon())


def test_a_second_event_loop_finds_the_threads_ready() -> None:
    threads = Threads(1, name="test")
    for number in range(2):
        assert asyncio.run(threads.run(lambda n=number: n, deadline=soon())) == number
    asyncio.run(threads.close(deadline=soon()))
