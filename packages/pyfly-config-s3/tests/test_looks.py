"""Remembered listings: when they are asked anew, and by how many."""

import asyncio

import pytest

from pyfly.config_s3._looks import Looks

pytestmark = pytest.mark.anyio


class Store:
    """Counts how often it is asked; may be held up."""

    def __init__(self) -> None:
        self.names = frozenset({"a"})
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def ask(self, begin: str) -> frozenset[str]:
        self.asked += 1
        names = self.names
        await self.go.wait()
        return names


async def test_a_listing_is_remembered_and_forgotten() -> None:
    store = Store()
    looks = Looks(store.ask, max_staleness=600)
    assert looks.last("x") == frozenset()
    for _ in range(3):
        assert await looks.names("x") == {"a"}
    assert store.asked == 1
    store.names = frozenset({"a", "b"})
    looks.forget("x")
    assert looks.last("x") == {"a"}
    assert await looks.names("x") == {"a", "b"}
    assert store.asked == 2


async def test_without_staleness_everybody_asks() -> None:
    store = Store()
    looks = Looks(store.ask, max_staleness=0)
    store.go.clear()
    asking = [asyncio.ensure_future(looks.names("x")) for _ in range(3)]
    await asyncio.sleep(0)
    store.go.set()
    await asyncio.gather(*asking)
    assert store.asked == 3


async def test_who_asks_at_the_same_time_asks_once_and_may_leave() -> None:
    store = Store()
    looks = Looks(store.ask, max_staleness=600)
    store.go.clear()
    first, second = (asyncio.ensure_future(looks.names("x")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    store.go.set()
    assert await second == {"a"}
    assert store.asked == 1


async def test_what_was_asked_before_a_write_is_not_remembered_after_it() -> None:
    store = Store()
    looks = Looks(store.ask, max_staleness=600)
    store.go.clear()
    before = asyncio.ensure_future(looks.names("x"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    store.names = frozenset({"b"})
    looks.forget("x")
    store.go.set()
    assert await before == {"a"}
    assert await looks.names("x") == {"b"}


async def test_a_failure_is_told_and_not_remembered() -> None:
    store = Store()

    async def fail(begin: str) -> frozenset[str]:
        raise OSError(begin)

    looks = Looks(fail, max_staleness=600)
    for _ in range(2):
        with pytest.raises(OSError, match="x"):
            await looks.names("x")
    assert store.asked == 0
