"""One read for several callers: each gets what was stored when it asked, or later."""

import asyncio

import pytest

from pyfly.config_core import BackendUnavailableError
from pyfly.config_sql._shared_read import SharedRead


class Text:
    """A text that is read slowly: a read returns what was there when it began."""

    def __init__(self) -> None:
        self.now = "first"
        self.reads = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def read(self) -> str:
        self.reads += 1
        found = self.now
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return found


async def turn() -> None:
    """Let everything run that can run."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_calls_share_a_read_that_begins_after_them() -> None:
    async def story() -> None:
        text = Text()
        shared = SharedRead(text.read)
        early = [asyncio.create_task(shared.run()) for _ in range(100)]
        await turn()
        assert text.reads == 1
        text.now = "second"
        late = [asyncio.create_task(shared.run()) for _ in range(100)]
        await turn()
        assert text.reads == 1  # the next one has not begun
        text.go_on.set()
        assert set(await asyncio.gather(*early)) == {"first"}
        assert set(await asyncio.gather(*late)) == {"second"}
        assert text.reads == 2
        text.now = "third"
        assert await shared.run() == "third"

    asyncio.run(story())


def test_an_error_is_for_the_callers_of_that_read_only() -> None:
    async def story() -> None:
        text = Text()
        text.go_on.set()
        text.error = BackendUnavailableError("away")
        shared = SharedRead(text.read)
        found = await asyncio.gather(shared.run(), shared.run(), return_exceptions=True)
        assert [str(one) for one in found] == ["away", "away"]
        text.error = None
        assert await shared.run() == "first"

    asyncio.run(story())


@pytest.mark.parametrize("others", [0, 1])
def test_a_cancelled_caller_leaves_the_read_to_the_others(others: int) -> None:
    async def story() -> None:
        text = Text()
        text.error = BackendUnavailableError("away")
        shared = SharedRead(text.read)
        callers = [asyncio.create_task(shared.run()) for _ in range(1 + others)]
        await turn()
        callers[0].cancel()
        await turn()
        assert callers[0].cancelled()
        text.go_on.set()
        for one in callers[1:]:
            with pytest.raises(BackendUnavailableError):
                await one
        await turn()
        text.error = None
        assert await shared.run() == "first"

    asyncio.run(story())


async def cancel_others() -> None:
    """Cancel all other tasks, as some event loops do when they end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    await asyncio.wait(others)


@pytest.mark.parametrize("turns", [0, 1])
def test_a_read_that_was_cancelled_before_it_began_is_not_waited_for(turns: int) -> None:
    async def story() -> None:
        text = Text()
        shared = SharedRead(text.read)
        callers = [asyncio.create_task(shared.run())]
        await asyncio.sleep(0)
        for _ in range(turns):
            await turn()  # the first read has begun
            callers.append(asyncio.create_task(shared.run()))
            await turn()
        await cancel_others()
        assert [one.cancelled() for one in callers] == [True] * (1 + turns)
        text.go_on.set()
        assert await shared.run() == "first"

    asyncio.run(story())
