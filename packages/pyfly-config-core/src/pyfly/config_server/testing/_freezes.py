"""The suite for stores that keep freezes."""

import asyncio
from typing import Final, Protocol

import pytest

from pyfly.config_core import ConfigConflictError
from pyfly.config_server.storage import (
    ConfigBackend,
    SupportsFreezes,
    SupportsKeys,
    SupportsLabels,
    SupportsResources,
    ability,
)
from pyfly.config_server.testing._suite import Conformance, bundle

_FIRST: Final = '{"freezes": []}\n'
_SECOND: Final = '{"freezes": ["\u00e4 \U0001f600 \\" \\\\"]}\n'
_WRITERS: Final = 4


class FreezesBackend(ConfigBackend, SupportsFreezes, Protocol):
    """A store that keeps freezes."""


class FreezesConformance(Conformance, ability=SupportsFreezes):
    """One text beside the bundles, in a store that has a bundle already."""

    async def test_the_text_is_what_was_stored_last(self, backend: FreezesBackend) -> None:
        """Exactly, with all its characters; `None` before the first time."""
        await backend.save(bundle())
        assert await backend.load_freezes() is None
        await backend.store_freezes(_FIRST, expected=None)
        assert await backend.load_freezes() == _FIRST
        await backend.store_freezes(_SECOND, expected=_FIRST, author="ada", message="release")
        assert await backend.load_freezes() == _SECOND

    async def test_another_text_than_expected_is_not_replaced(
        self, backend: FreezesBackend
    ) -> None:
        """Nor is a text made where one is expected."""
        await backend.save(bundle())
        with pytest.raises(ConfigConflictError):
            await backend.store_freezes(_SECOND, expected=_FIRST)
        assert await backend.load_freezes() is None
        await backend.store_freezes(_FIRST, expected=None)
        for expected in (None, _SECOND, _FIRST.upper(), _FIRST.strip()):
            with pytest.raises(ConfigConflictError):
                await backend.store_freezes(_SECOND, expected=expected)
        assert await backend.load_freezes() == _FIRST

    async def test_of_writers_at_the_same_time_one_succeeds(self, backend: FreezesBackend) -> None:
        """All expect the same text; the others are told."""
        await backend.save(bundle())
        await backend.store_freezes(_FIRST, expected=None)
        texts = [f"{_FIRST}{number}" for number in range(_WRITERS)]
        outcomes = await asyncio.gather(
            *(backend.store_freezes(text, expected=_FIRST) for text in texts),
            return_exceptions=True,
        )
        done = [text for text, outcome in zip(texts, outcomes, strict=True) if outcome is None]
        assert len(done) == 1, outcomes
        assert all(isinstance(one, ConfigConflictError) for one in outcomes if one is not None)
        assert [await backend.load_freezes()] == done

    async def test_the_text_is_no_bundle_and_no_file(self, backend: FreezesBackend) -> None:
        """Listings, labels and plain files are as before; so is the bundle."""
        await backend.save(bundle())
        before = await _visible(backend)
        await backend.store_freezes(_FIRST, expected=None)
        assert await _visible(backend) == before


async def _visible(backend: ConfigBackend) -> list[object]:
    """Return what a store shows."""
    seen: list[object] = [*await backend.list()]
    if (keys := ability(backend, SupportsKeys)) is not None:
        seen += [entry async for entry in keys.keys()]
    if (labels := ability(backend, SupportsLabels)) is not None:
        seen += await labels.labels()
    if (files := ability(backend, SupportsResources)) is not None:
        seen += [entry async for entry in files.resources("main")]
    return seen
