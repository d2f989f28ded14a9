"""The suites for stores that tell about changes."""

import asyncio
from typing import Protocol

from pyfly.config_core import ConfigKey
from pyfly.config_server.storage import ConfigBackend, SupportsChangeStream, SupportsChangeToken
from pyfly.config_server.testing._suite import Conformance, bundle

_ATTEMPTS = 100
_SECONDS_PER_ATTEMPT = 0.1


class ChangeTokenBackend(ConfigBackend, SupportsChangeToken, Protocol):
    """A store that tells whether anything changed."""


class ChangeStreamBackend(ConfigBackend, SupportsChangeStream, Protocol):
    """A store that tells what changed."""


class ChangeTokenConformance(Conformance, ability=SupportsChangeToken):
    """A text that differs whenever anything stored differs."""

    async def test_the_token_stays_while_nothing_changes(self, backend: ChangeTokenBackend) -> None:
        """Reading is no change."""
        await backend.save(bundle())
        token = await backend.change_token()
        await backend.fetch("orders", "prod")
        await backend.fetch("absent", "prod")
        await backend.list()
        assert await backend.change_token() == token

    async def test_the_token_differs_after_every_change(self, backend: ChangeTokenBackend) -> None:
        """A new bundle, new content and a new label each make a token not seen before."""
        tokens = [await backend.change_token()]
        for source in (
            bundle(properties={"n": 1}),
            bundle(properties={"n": 2}),
            bundle(properties={"n": "2"}),
            bundle(properties={"n": "2", "m": None}),
            bundle("billing", properties={"n": 2}),
            bundle(profile="dev", properties={"n": 2}),
            bundle(label="feature/x", properties={"n": 2}),
        ):
            await backend.save(source)
            tokens.append(await backend.change_token())
        assert len(set(tokens)) == len(tokens)


class ChangeStreamConformance(Conformance, ability=SupportsChangeStream):
    """Keys of bundles as they change."""

    async def test_a_reader_is_told_the_key_that_changed(
        self, backend: ChangeStreamBackend
    ) -> None:
        """The key comes, label and all, without anybody asking again."""
        source = bundle("orders-api", label="feature/x")
        assert await _told(backend, source.key, readers=1) == [source.key]

    async def test_every_reader_is_told(self, backend: ChangeStreamBackend) -> None:
        """One reader does not take the news from another."""
        source = bundle()
        assert await _told(backend, source.key, readers=3) == [source.key] * 3

    async def test_a_reader_that_left_does_not_disturb_a_save(
        self, backend: ChangeStreamBackend
    ) -> None:
        """Saving works after a reader was cancelled, and later readers are told."""
        await _told(backend, bundle().key, readers=1)
        waiting = asyncio.ensure_future(anext(backend.changes()))
        await asyncio.sleep(0)  # one turn of the loop: it begins to wait
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert await _told(backend, bundle("billing").key, readers=1) == [bundle("billing").key]


async def _told(backend: ChangeStreamBackend, key: ConfigKey, *, readers: int) -> list[ConfigKey]:
    """Save until every reader was told; a hint may be missed, so one save is not enough."""
    streams = [backend.changes() for _ in range(readers)]
    tasks = [asyncio.ensure_future(anext(stream)) for stream in streams]
    try:
        for number in range(_ATTEMPTS):
            await asyncio.sleep(0)  # one turn of the loop: the readers begin to wait
            await backend.save(
                bundle(key.application, key.profile, key.label, properties={"n": number})
            )
            _, pending = await asyncio.wait(tasks, timeout=_SECONDS_PER_ATTEMPT)
            if not pending:
                break
        assert all(task.done() for task in tasks), "a reader was never told"
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
