"""The suite for conditional saves, which store only if the stored version is the expected one."""

import asyncio
from typing import Protocol

import pytest

from pyfly.config_core import ConfigConflictError
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    PRESENT,
    ConfigBackend,
    Expected,
    SupportsConditionalSave,
)
from pyfly.config_server.testing._suite import (
    Conformance,
    assert_same,
    bundle,
    fetched,
    stored,
    stored_version,
)

_WRITERS = 16


class ConditionalSaveBackend(ConfigBackend, SupportsConditionalSave, Protocol):
    """A store that saves conditionally."""


class ConditionalSaveConformance(Conformance, ability=SupportsConditionalSave):
    """Saves under a condition."""

    @pytest.mark.parametrize("expected", [ABSENT, ANY], ids=["absent", "any"])
    async def test_a_commit_creates(
        self, backend: ConditionalSaveBackend, expected: Expected
    ) -> None:
        """It stores as `save` does and returns the version that a fetch then has."""
        source = bundle(properties={"b": ["1e3", 1.0], "a": {"n": None}})
        version = await backend.commit(source, expected=expected)
        assert version
        assert await stored_version(backend, source) == version
        assert_same((await stored(backend, source)).properties, source.properties)

    async def test_the_current_version_lets_a_commit_replace(
        self, backend: ConditionalSaveBackend
    ) -> None:
        """The version of a commit, of a plain save and `ANY` all allow the next commit."""
        first = await backend.commit(bundle(properties={"n": 1}), expected=ABSENT)
        second = await backend.commit(bundle(properties={"n": 2}), expected=first)
        assert second != first
        await backend.save(bundle(properties={"n": 3}))
        third = await stored_version(backend, bundle())
        assert third != second
        await backend.commit(bundle(properties={"n": 4}), expected=third)
        await backend.commit(bundle(properties={"n": 5}), expected=ANY)
        assert (await stored(backend, bundle())).properties == {"n": 5}

    async def test_a_commit_that_expects_absence_conflicts_with_a_bundle(
        self, backend: ConditionalSaveBackend
    ) -> None:
        """The conflict names the stored version; nothing is changed."""
        version = await backend.commit(bundle(properties={"n": 1}), expected=ANY)
        with pytest.raises(ConfigConflictError) as conflict:
            await backend.commit(bundle(properties={"n": 2}), expected=ABSENT)
        assert conflict.value.current == version
        assert (await stored(backend, bundle())).properties == {"n": 1}

    async def test_a_commit_that_expects_an_old_version_conflicts(
        self, backend: ConditionalSaveBackend
    ) -> None:
        """The conflict names the current version, which then works."""
        old = await backend.commit(bundle(properties={"n": 1}), expected=ABSENT)
        new = await backend.commit(bundle(properties={"n": 2}), expected=old)
        with pytest.raises(ConfigConflictError) as conflict:
            await backend.commit(bundle(properties={"n": 3}), expected=old)
        assert conflict.value.current == new
        assert (await stored(backend, bundle())).properties == {"n": 2}
        await backend.commit(bundle(properties={"n": 3}), expected=new)
        assert (await stored(backend, bundle())).properties == {"n": 3}

    async def test_a_commit_that_expects_a_version_of_nothing_conflicts(
        self, backend: ConditionalSaveBackend
    ) -> None:
        """The conflict says that nothing is stored; nothing is created."""
        version = await backend.commit(bundle("billing"), expected=ABSENT)
        with pytest.raises(ConfigConflictError) as conflict:
            await backend.commit(bundle("orders"), expected=version)
        assert conflict.value.current is None
        assert await fetched(backend, bundle("orders")) is None

    async def test_a_commit_that_expects_presence_replaces_whichever_version_is_stored(
        self, backend: ConditionalSaveBackend
    ) -> None:
        """It returns the new version; the old one need not be known."""
        await backend.save(bundle(properties={"n": 1}))
        for number in (2, 3):
            source = bundle(properties={"n": number})
            version = await backend.commit(source, expected=PRESENT)
            assert await stored_version(backend, source) == version
            assert (await stored(backend, source)).properties == {"n": number}

    async def test_a_commit_that_expects_presence_conflicts_with_nothing(
        self, backend: ConditionalSaveBackend
    ) -> None:
        """The conflict says that nothing is stored; nothing is created, with or without others."""
        for source in (bundle("orders"), bundle("orders", label="nowhere/x")):
            with pytest.raises(ConfigConflictError) as conflict:
                await backend.commit(source, expected=PRESENT)
            assert conflict.value.current is None
            assert await fetched(backend, source) is None
            await backend.save(bundle("billing"))
        assert [source.application for source in await backend.list()] == ["billing"]

    async def test_concurrent_writers_that_expect_presence_all_succeed(
        self, backend: ConditionalSaveBackend
    ) -> None:
        """They replace the bundle one after the other."""
        await backend.save(bundle())
        sources = [bundle(properties={"writer": number}) for number in range(4)]
        versions = await asyncio.gather(
            *(backend.commit(source, expected=PRESENT) for source in sources)
        )
        found = await stored(backend, bundle())
        assert found.properties in [source.properties for source in sources]
        assert found.version in versions

    @pytest.mark.parametrize("created", [False, True], ids=["creating", "replacing"])
    async def test_of_concurrent_writers_exactly_one_wins(
        self, backend: ConditionalSaveBackend, *, created: bool
    ) -> None:
        """The conflicts of the others name the winner's version, and its tree is stored."""
        expected: Expected = ABSENT
        if created:
            expected = await backend.commit(bundle(), expected=ABSENT)
        sources = [bundle(properties={"writer": number}) for number in range(_WRITERS)]
        outcomes = await asyncio.gather(
            *(backend.commit(source, expected=expected) for source in sources),
            return_exceptions=True,
        )
        won = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, str)]
        lost = [o.current for o in outcomes if isinstance(o, ConfigConflictError)]
        assert len(won) == 1, outcomes
        assert lost == [outcomes[won[0]]] * (_WRITERS - 1)
        assert (await stored(backend, bundle())).properties == {"writer": won[0]}
