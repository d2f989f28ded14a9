"""The suite for stores that keep old versions."""

from datetime import timedelta
from typing import ClassVar, Protocol

import pytest

from pyfly.config_core import ConfigKey, ConfigNotFoundError, InvalidConfigKeyError, JsonValue
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    PRESENT,
    ConfigBackend,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsHistory,
    ability,
)
from pyfly.config_server.testing._suite import (
    HOSTILE_NAMES,
    ORDERS,
    Conformance,
    assert_same,
    bundle,
    stored_version,
)


class HistoryBackend(ConfigBackend, SupportsConditionalSave, SupportsHistory, Protocol):
    """A store with a history, and with conditional saves to make changes."""


class HistoryConformance(Conformance, ability=SupportsHistory):
    """Old versions, with their authors and messages."""

    removals_without_remarks: ClassVar[str | None] = None
    """The reason why the history of a store cannot keep the author and the message of a removal;
    `None` if it keeps them."""

    equal_content_has_one_version: ClassVar[str | None] = None
    """The reason why a bundle whose content came back has the version of that time again, so that
    the older row gets another one; `None` if versions are never used again."""

    async def test_what_was_never_stored_has_no_history(self, backend: HistoryBackend) -> None:
        """An empty list and no version, even if another bundle has a history."""
        version = await backend.commit(bundle("billing"), expected=ANY)
        assert await backend.history(ORDERS) == []
        assert await backend.fetch_version(ORDERS, version=version) is None

    async def test_changes_come_newest_first(self, backend: HistoryBackend) -> None:
        """One row for each commit and save, with its version, author, message and time."""
        first = await backend.commit(
            bundle(properties={"n": 1}), expected=ANY, author="ada", message="begin"
        )
        second = await backend.commit(
            bundle(properties={"n": 2}), expected=first, author="Ωμέγα", message="two\nlines"
        )
        await backend.save(bundle(properties={"n": 3}))
        third = await stored_version(backend, bundle())
        rows = await backend.history(ORDERS)
        assert [row.version for row in rows] == [third, second, first]
        assert [(row.author, row.message) for row in rows[1:]] == [
            ("Ωμέγα", "two\nlines"),
            ("ada", "begin"),
        ]
        assert [row.deleted for row in rows] == [False, False, False]
        assert [row.saved_at.utcoffset() for row in rows] == [timedelta(0)] * 3
        assert sorted(rows, key=lambda row: row.saved_at, reverse=True) == rows

    async def test_a_removal_is_a_row_with_its_author_and_message(
        self, backend: HistoryBackend
    ) -> None:
        """It comes first and is marked; the bundle can be stored again."""
        remover = ability(backend, SupportsDelete)
        if remover is None:
            return
        first = await backend.commit(bundle(), expected=ANY, author="ada", message="begin")
        await remover.delete(ORDERS, expected=ANY, author="Ωμέγα", message="two\nlines")
        removal, *others = await backend.history(ORDERS)
        assert removal.deleted is True
        assert removal.saved_at.utcoffset() == timedelta(0)
        assert [row.version for row in others] == [first]
        assert [(row.author, row.message) for row in others] == [("ada", "begin")]
        if self.removals_without_remarks:
            assert (removal.author, removal.message) == (None, None)
        else:
            assert (removal.author, removal.message) == ("Ωμέγα", "two\nlines")
        assert await backend.fetch_version(ORDERS, removal.version) is None
        again = await backend.commit(bundle(), expected=ABSENT)
        rows = await backend.history(ORDERS)
        assert [row.deleted for row in rows] == [False, True, False]
        assert [row.version for row in rows[:2]] == [again, removal.version]
        if self.equal_content_has_one_version:
            assert again == first
            assert rows[2].version not in {again, removal.version}
            old = await backend.fetch_version(ORDERS, rows[2].version)
            assert old is not None
            assert old.properties == bundle().properties
        else:
            assert rows[2].version == first

    async def test_a_write_without_remarks_has_none(self, backend: HistoryBackend) -> None:
        """Neither those of an earlier write nor the name of the system user."""
        await backend.commit(bundle(), expected=ANY, author="ada", message="begin")
        await backend.commit(bundle(properties={"n": 2}), expected=PRESENT)
        newest, _ = await backend.history(ORDERS)
        assert (newest.author, newest.message) == (None, None)

    async def test_an_old_version_comes_back_exactly(self, backend: HistoryBackend) -> None:
        """With its key and its version, including the current version."""
        trees: list[dict[str, JsonValue]] = [
            {"b": "1e3", "a": [1.0, None]},
            {"a": {"b": "2001-12-14"}},
            {"c": True},
        ]
        versions = [await backend.commit(bundle(properties=t), expected=ANY) for t in trees]
        for tree, version in zip(trees, versions, strict=True):
            found = await backend.fetch_version(ORDERS, version=version)
            assert found is not None
            assert found.key == bundle().key
            assert found.version == version
            assert_same(found.properties, tree)

    async def test_an_old_version_is_not_aliased(self, backend: HistoryBackend) -> None:
        """Changing a tree that came from the history does not change the history."""
        version = await backend.commit(bundle(properties={"list": [1]}), expected=ANY)
        for _ in range(2):
            found = await backend.fetch_version(ORDERS, version=version)
            assert found is not None
            items = found.properties["list"]
            assert items == [1]
            assert isinstance(items, list)
            items.append("spoilt")

    async def test_a_version_that_never_was_is_none(self, backend: HistoryBackend) -> None:
        """Any text may be given as a version; it has no rules."""
        await backend.commit(bundle(), expected=ANY)
        for version in ("never-was", "", "../x", "999999999999", "HEAD"):
            assert await backend.fetch_version(ORDERS, version=version) is None

    async def test_histories_of_labels_are_separate(self, backend: HistoryBackend) -> None:
        """A commit under one label does not appear under another."""
        parent = self.label("feature")
        one = await backend.commit(bundle(label="feature/x"), expected=ANY)
        other = await backend.commit(bundle(label=parent), expected=ANY)
        for label, version in (("feature/x", one), (parent, other)):
            rows = await backend.history(
                ConfigKey(application="orders", profile="prod", label=label)
            )
            assert [row.version for row in rows] == [version]

    async def test_a_history_comes_in_pages(self, backend: HistoryBackend) -> None:
        """Each begins before the last version of the page before it; the last may be shorter."""
        made = [await backend.commit(bundle(properties={"n": n}), expected=ANY) for n in range(5)]
        remover = ability(backend, SupportsDelete)
        if remover is not None:
            await remover.delete(ORDERS, expected=ANY)
        whole = await backend.history(ORDERS)
        assert [row.version for row in whole if not row.deleted] == made[::-1]
        assert await backend.history(ORDERS, limit=1000) == whole
        for limit in (1, 2, len(whole)):
            rows = await backend.history(ORDERS, limit=limit)
            assert len(rows) == limit
            while page := await backend.history(
                ORDERS,
                limit=limit,
                before=rows[-1].version,
            ):
                assert len(page) == min(limit, len(whole) - len(rows))
                rows += page
            assert rows == whole

    async def test_a_page_before_a_version_that_never_was_is_refused(
        self, backend: HistoryBackend
    ) -> None:
        """So is a page before a version of another bundle, and of a bundle never stored."""
        mine = await backend.commit(bundle(), expected=ANY)
        other = await backend.commit(bundle(label="feature"), expected=ANY)
        for version in (other, "never-was", "", "../x", "999999999999", "HEAD", "null", "0"):
            with pytest.raises(ConfigNotFoundError):
                await backend.history(ORDERS, before=version)
        with pytest.raises(ConfigNotFoundError):
            await backend.history(ConfigKey(application="billing", profile="prod"), before=mine)

    @pytest.mark.parametrize("limit", [-1, 0, 1001])
    async def test_a_page_of_no_or_too_many_versions_is_refused(
        self, backend: HistoryBackend, limit: int
    ) -> None:
        """Use `check_limit`."""
        with pytest.raises(ValueError, match="from 1 to 1,000"):
            await backend.history(ORDERS, limit=limit)

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    async def test_a_hostile_name_has_no_history(self, backend: HistoryBackend, name: str) -> None:
        """It raises, as in a fetch."""
        with pytest.raises(InvalidConfigKeyError):
            await backend.history(ConfigKey(application=name, profile="prod"))
        with pytest.raises(InvalidConfigKeyError):
            await backend.fetch_version(
                ConfigKey(application="orders", profile="prod", label=name), version="1"
            )
