"""The suite for removals, including conditional removals."""

import asyncio
from typing import Protocol

import pytest

from pyfly.config_core import ConfigConflictError, ConfigKey, InvalidConfigKeyError
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    PRESENT,
    ConfigBackend,
    Expected,
    SupportsConditionalSave,
    SupportsDelete,
    ability,
)
from pyfly.config_server.testing._suite import (
    HOSTILE_NAMES,
    ORDERS,
    Conformance,
    bundle,
    fetched,
    stored,
    stored_version,
)

_WRITERS = 16


class DeleteBackend(ConfigBackend, SupportsDelete, Protocol):
    """A store that removes bundles."""


class DeleteConformance(Conformance, ability=SupportsDelete):
    """Removing bundles."""

    async def test_a_removed_bundle_is_gone(self, backend: DeleteBackend) -> None:
        """Neither fetched nor listed; it can be saved again."""
        await backend.save(bundle(properties={"old": 1}))
        await backend.delete(ORDERS, expected=ANY)
        assert await fetched(backend, bundle()) is None
        assert await backend.list() == []
        await backend.save(bundle(properties={"new": 1}))
        assert (await stored(backend, bundle())).properties == {"new": 1}

    async def test_removing_leaves_the_others(self, backend: DeleteBackend) -> None:
        """Bundles with a similar name stay."""
        others = [
            bundle("orders-api"),
            bundle("order"),
            bundle(profile="prod.eu"),
            bundle(label="main2"),
            bundle(label=self.label("main/x")),
        ]
        for source in (bundle(), *others):
            await backend.save(source)
        await backend.delete(ORDERS, expected=ANY)
        assert await fetched(backend, bundle()) is None
        for source in others:
            assert (await stored(backend, source)).properties == source.properties

    @pytest.mark.parametrize("expected", [ABSENT, ANY], ids=["absent", "any"])
    async def test_removing_nothing_does_nothing(
        self, backend: DeleteBackend, expected: Expected
    ) -> None:
        """Repeatedly, under existing and missing labels."""
        await backend.save(bundle("billing"))
        for label in ("main", "main", "nowhere/x"):
            await backend.delete(
                ConfigKey(application="orders", profile="prod", label=label), expected=expected
            )
        assert [source.application for source in await backend.list()] == ["billing"]

    async def test_the_current_version_lets_a_delete_remove(self, backend: DeleteBackend) -> None:
        """The version of a fetch is the expected version."""
        await backend.save(bundle())
        version = await stored_version(backend, bundle())
        await backend.delete(ORDERS, expected=version)
        assert await fetched(backend, bundle()) is None

    async def test_a_delete_that_expects_otherwise_conflicts(self, backend: DeleteBackend) -> None:
        """The conflict names the current version; the bundle stays."""
        await backend.save(bundle(properties={"n": 1}))
        old = await stored_version(backend, bundle())
        await backend.save(bundle(properties={"n": 2}))
        new = await stored_version(backend, bundle())
        for expected in (old, ABSENT):
            with pytest.raises(ConfigConflictError) as conflict:
                await backend.delete(ORDERS, expected=expected)
            assert conflict.value.current == new
        assert (await stored(backend, bundle())).properties == {"n": 2}

    async def test_a_delete_that_expects_a_version_of_nothing_conflicts(
        self, backend: DeleteBackend
    ) -> None:
        """The conflict says that nothing is stored."""
        await backend.save(bundle())
        version = await stored_version(backend, bundle())
        for label in ("main", "nowhere/x"):
            with pytest.raises(ConfigConflictError) as conflict:
                await backend.delete(
                    ConfigKey(application="billing", profile="prod", label=label), expected=version
                )
            assert conflict.value.current is None

    async def test_a_delete_that_expects_presence_removes_whichever_version_is_stored(
        self, backend: DeleteBackend
    ) -> None:
        """The first time; the second time it conflicts."""
        await backend.save(bundle(properties={"n": 1}))
        await backend.delete(ORDERS, expected=PRESENT)
        assert await fetched(backend, bundle()) is None
        with pytest.raises(ConfigConflictError):
            await backend.delete(ORDERS, expected=PRESENT)

    async def test_a_delete_that_expects_presence_conflicts_with_nothing(
        self, backend: DeleteBackend
    ) -> None:
        """The conflict says that nothing is stored; the others stay."""
        await backend.save(bundle())
        for label in ("main", "nowhere/x"):
            with pytest.raises(ConfigConflictError) as conflict:
                await backend.delete(
                    ConfigKey(application="billing", profile="prod", label=label), expected=PRESENT
                )
            assert conflict.value.current is None
        assert [source.application for source in await backend.list()] == ["orders"]

    async def test_a_write_that_expects_presence_brings_no_removed_bundle_back(
        self, backend: DeleteBackend
    ) -> None:
        """It writes before the removal or is refused after it; the bundle is gone in both cases."""
        writer = ability(backend, SupportsConditionalSave)
        if writer is None:
            return
        for _ in range(8):
            await backend.save(bundle())
            outcomes = await asyncio.gather(
                writer.commit(bundle(properties={"late": 1}), expected=PRESENT),
                backend.delete(ORDERS, expected=ANY),
                writer.commit(bundle(properties={"later": 1}), expected=PRESENT),
                return_exceptions=True,
            )
            failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
            assert all(isinstance(error, ConfigConflictError) for error in failed), outcomes
            assert await fetched(backend, bundle()) is None

    async def test_of_concurrent_deletes_exactly_one_removes(self, backend: DeleteBackend) -> None:
        """The conflicts of the others say that nothing is stored."""
        await backend.save(bundle())
        version = await stored_version(backend, bundle())
        outcomes = await asyncio.gather(
            *(backend.delete(ORDERS, expected=version) for _ in range(_WRITERS)),
            return_exceptions=True,
        )
        lost = [o.current for o in outcomes if isinstance(o, ConfigConflictError)]
        assert outcomes.count(None) == 1, outcomes
        assert lost == [None] * (_WRITERS - 1)

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    async def test_a_hostile_name_is_not_removed(self, backend: DeleteBackend, name: str) -> None:
        """It raises, as in a fetch."""
        with pytest.raises(InvalidConfigKeyError):
            await backend.delete(ConfigKey(application=name, profile="prod"), expected=ANY)
        with pytest.raises(InvalidConfigKeyError):
            await backend.delete(
                ConfigKey(application="orders", profile="prod", label=name), expected=ANY
            )
