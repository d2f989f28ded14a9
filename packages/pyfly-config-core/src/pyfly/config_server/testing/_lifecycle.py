"""The suites for stores that can be checked and closed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol

import pytest

from pyfly.config_core import BackendUnavailableError, ConfigKey
from pyfly.config_server.storage import (
    ANY,
    ConfigBackend,
    RequestedNames,
    SupportsBatchFetch,
    SupportsChangeHints,
    SupportsChanges,
    SupportsCheck,
    SupportsClose,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsExpectedContent,
    SupportsFileOwners,
    SupportsFreezes,
    SupportsHistory,
    SupportsKeys,
    SupportsLabels,
    SupportsRefetch,
    SupportsResources,
    SupportsSearchLocations,
    SupportsSnapshots,
    SupportsUpgrade,
    ability,
)
from pyfly.config_server.testing._shape import abilities
from pyfly.config_server.testing._suite import ORDERS, Conformance, bundle, fetched

# The store is Any here: which of its methods exist is known at run time only.
_CALLS: Final[dict[type, tuple[Callable[[Any], Awaitable[object]], ...]]] = {
    SupportsBatchFetch: (lambda b: b.fetch_many([bundle().key]),),
    SupportsChangeHints: (lambda b: anext(b.hints()),),
    SupportsChanges: (lambda b: b.changes_since(None), lambda b: b.changes_since("x")),
    SupportsCheck: (lambda b: b.check(),),
    SupportsConditionalSave: (lambda b: b.commit(bundle(), expected=ANY),),
    SupportsDelete: (lambda b: b.delete(ORDERS, expected=ANY),),
    SupportsExpectedContent: (),  # it tells the store something, and reads nothing
    SupportsFreezes: (
        lambda b: b.load_freezes(),
        lambda b: b.store_freezes("", expected=None),
    ),
    SupportsHistory: (
        lambda b: b.history(ORDERS),
        lambda b: b.fetch_version(ORDERS, version="1"),
    ),
    SupportsKeys: (lambda b: anext(b.keys()),),
    SupportsLabels: (lambda b: b.has_label("main"), lambda b: b.labels()),
    SupportsRefetch: (lambda b: b.refetch(),),
    SupportsResources: (
        lambda b: b.open_resource("main", "a.txt"),
        lambda b: anext(b.resources("main")),
    ),
    SupportsFileOwners: (
        lambda b: b.owners_of_file("main", "a.yml"),
        lambda b: b.owners([ConfigKey(application="a/b", profile="c", label="main")]),
    ),
    SupportsSearchLocations: (
        lambda b: b.fetch_requested([ORDERS], RequestedNames.of_key(ORDERS)),
        lambda b: b.find_resource("main", ["a.txt"], RequestedNames.of_key(ORDERS)),
    ),
    SupportsSnapshots: (
        lambda b: b.fetch_snapshot([bundle().key]),
        lambda b: b.fetch_snapshot([]),
    ),
    SupportsUpgrade: (lambda b: b.upgrade(),),
}

_HANGS_SECONDS: Final = 30
"""The time after which a waiting reader counts as stuck."""


class CheckBackend(ConfigBackend, SupportsCheck, Protocol):
    """A store with a check."""


class CloseBackend(ConfigBackend, SupportsClose, Protocol):
    """A store that owns resources."""


class RefetchBackend(ConfigBackend, SupportsRefetch, Protocol):
    """A store that copies its content from a remote place."""


class UpgradeBackend(ConfigBackend, SupportsUpgrade, Protocol):
    """A store with a schema."""


class UpgradeConformance(Conformance, ability=SupportsUpgrade):
    """Upgrades. The store of the fixture has the current schema."""

    async def test_an_upgrade_of_the_newest_form_does_nothing(
        self, backend: UpgradeBackend
    ) -> None:
        """Repeatedly; bundles stay."""
        await backend.save(bundle(properties={"kept": [1]}))
        assert await backend.upgrade() == []
        assert await backend.upgrade() == []
        found = await fetched(backend, bundle())
        assert found is not None
        assert found.properties == {"kept": [1]}


class CheckConformance(Conformance, ability=SupportsCheck):
    """The check of a working store."""

    async def test_a_working_store_passes_its_check(self, backend: CheckBackend) -> None:
        """Empty or not, repeatedly, and without traces in the store."""
        await backend.check()
        await backend.check()
        assert await backend.list() == []
        await backend.save(bundle())
        await backend.check()
        assert len(await backend.list()) == 1


class RefetchConformance(Conformance, ability=SupportsRefetch):
    """Copies that are asked for. What they bring is tested by the package of the store."""

    async def test_a_copy_can_be_asked_for_repeatedly(self, backend: RefetchBackend) -> None:
        """Also at the same time; bundles can be read meanwhile."""
        await asyncio.gather(*(backend.refetch() for _ in range(4)))
        await backend.refetch()
        assert await backend.list() == []


class CloseConformance(Conformance, ability=SupportsClose):
    """Closing, and refused calls afterwards."""

    async def test_a_closed_store_refuses_the_required_methods(self, backend: CloseBackend) -> None:
        """Each raises at once, even for a bundle that was saved before."""
        await backend.save(bundle())
        await backend.aclose()
        with pytest.raises(BackendUnavailableError):
            await fetched(backend, bundle())
        with pytest.raises(BackendUnavailableError):
            await backend.save(bundle())
        with pytest.raises(BackendUnavailableError):
            await backend.list()

    async def test_a_closed_store_refuses_every_ability(self, backend: CloseBackend) -> None:
        """All methods of its abilities, except closing. Iterators raise at their first step.

        `ability` works as before.
        """
        await backend.save(bundle())
        offered = abilities(backend)
        await backend.aclose()
        assert abilities(backend) == offered
        for kind in sorted(offered - {SupportsClose}, key=lambda kind: kind.__name__):
            for call in _CALLS[kind]:
                with pytest.raises(BackendUnavailableError):
                    await call(ability(backend, kind))

    async def test_iterators_of_hints_end_when_the_store_closes(
        self, backend: CloseBackend
    ) -> None:
        """A waiting iterator ends, or raises as every other call."""
        hinting = ability(backend, SupportsChangeHints)
        if hinting is None:
            return
        waiting = asyncio.ensure_future(_until_the_end(hinting.hints()))
        await asyncio.sleep(0)  # one turn of the loop, so that it begins to wait
        await backend.aclose()
        done, _ = await asyncio.wait({waiting}, timeout=_HANGS_SECONDS)
        assert done, "an iterator of hints does not end after closing"
        waiting.result()

    async def test_closing_twice_is_allowed(self, backend: CloseBackend) -> None:
        """Also at the same time."""
        await backend.save(bundle())
        await asyncio.gather(backend.aclose(), backend.aclose())
        await backend.aclose()
        with pytest.raises(BackendUnavailableError):
            await backend.list()

    async def test_a_save_under_way_when_closing_is_not_half_done(
        self, backend: CloseBackend
    ) -> None:
        """It returns or raises that the store is unavailable; closing returns."""
        saves = [backend.save(bundle(f"orders{n}")) for n in range(8)]
        outcomes = await asyncio.gather(*saves, backend.aclose(), return_exceptions=True)
        refused = [o for o in outcomes if o is not None]
        assert all(isinstance(o, BackendUnavailableError) for o in refused), outcomes


async def _until_the_end(hints: AsyncIterator[None]) -> None:
    with contextlib.suppress(BackendUnavailableError):
        async for _ in hints:
            pass
