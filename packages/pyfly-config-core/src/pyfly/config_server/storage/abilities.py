"""The abilities of a store: three required methods, and one Protocol for each further ability.

An instance may lack an ability although its class has the methods. It then returns `None` from
`ability`, or raises `UnsupportedOperationError`.

Every method may raise `BackendUnavailableError` when the store cannot be reached,
`BackendAccessDeniedError` when it refuses, `InvalidConfigKeyError` for names that are not
acceptable, and `ConfigFormatError` for a stored text that does not parse. A store with a history
keeps `author` and `message`; other stores ignore them.
"""

import builtins
from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from pyfly.config_core import DEFAULT_LABEL, ConfigKey
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_server.storage.preconditions import Expected
from pyfly.config_server.storage.values import (
    ChangeBatch,
    ConfigEntry,
    ConfigResource,
    ConfigSnapshot,
    ConfigSource,
    ConfigVersion,
    RequestedNames,
    ResourceEntry,
)

__all__ = [
    "ConfigBackend",
    "SupportsBatchFetch",
    "SupportsChangeHints",
    "SupportsChanges",
    "SupportsCheck",
    "SupportsClose",
    "SupportsConditionalSave",
    "SupportsDelete",
    "SupportsExpectedContent",
    "SupportsFileOwners",
    "SupportsFreezes",
    "SupportsHistory",
    "SupportsKeys",
    "SupportsLabels",
    "SupportsRefetch",
    "SupportsResources",
    "SupportsSearchLocations",
    "SupportsSnapshots",
    "SupportsUpgrade",
]


@runtime_checkable
class ConfigBackend(Protocol):
    """A store of configuration. Only these three methods are required.

    A store may also have the method `ability` and the attributes `default_is_base` and
    `has_base_bundles`; see the functions of these names.
    """

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return one source, complete and at one version, or `None` if it is not stored."""
        ...

    async def save(self, source: ConfigSource) -> None:
        """Store `source` under its key, replacing what is there.

        Atomic: a reader sees the old or the new source, never a mixture, and never no source. A
        completed save survives a crash of this process. `version`, `resource` and `documents` of
        the source are not stored.
        """
        ...

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable source, ordered by label, application, profile.

        A source that cannot be read is left out with a warning in the log.
        """
        ...


@runtime_checkable
class SupportsKeys(Protocol):
    """Lists names without loading values: for listings, start-up reports, copies."""

    def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield every stored name, of one label or of all, ordered by label, application, profile.

        Unreadable bundles are yielded too, with their error if the listing notices it.

        Args:
            label: Only names under this label.
            after: Only names that come after this one, which need not be stored. A listing in
                pages continues after its last name without reading the names before it.
        """
        ...


@runtime_checkable
class SupportsLabels(Protocol):
    """Knows which labels exist. Without this ability every label is assumed to exist."""

    async def has_label(self, label: str) -> bool:
        """True if `label` exists, with or without bundles in it."""
        ...

    async def labels(self) -> builtins.list[str]:
        """Return the labels that have a bundle, sorted, unreadable labels included.

        Listing the bundles of an unreadable label only raises `BackendAccessDeniedError`.
        """
        ...


@runtime_checkable
class SupportsBatchFetch(Protocol):
    """Reads several sources in one round trip."""

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> builtins.list[ConfigSource | None]:
        """Return what `fetch` returns for each key, in the same order."""
        ...


@runtime_checkable
class SupportsSnapshots(Protocol):
    """Has one version for several sources together, and never returns to an old version.

    A document is composed of one snapshot and has its `version`. A store with versions that can
    come back, such as digests of the content, lacks this ability.
    """

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        """Return what `fetch` returns for each key, and the version of the snapshot."""
        ...


@runtime_checkable
class SupportsConditionalSave(Protocol):
    """Saves only if the stored version is the expected one. HTTP writes need this ability."""

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store `source` as `save` does and return its new version.

        If several writers expect the same version, exactly one succeeds.

        Args:
            source: The source to store under its key.
            expected: The version that must be stored, `ABSENT` to create only, `PRESENT` to
                replace only, `ANY` to write in any case.
            author: The author of the change, kept if the store has a history.
            message: The reason for the change, kept if the store has a history.

        Raises:
            ConfigConflictError: `expected` does not hold; names the current version.
        """
        ...


@runtime_checkable
class SupportsDelete(Protocol):
    """Removes bundles."""

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Remove one source. With `ANY`, removing an absent source does nothing.

        Raises:
            ConfigConflictError: `expected` does not hold; names the current version.
        """
        ...


@runtime_checkable
class SupportsHistory(Protocol):
    """Keeps old versions. A rollback is a new commit of old content."""

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return one page of the changes of one source, newest first.

        The cost depends on `limit`, not on the number of versions.

        Args:
            key: The name of the source.
            limit: The largest number of changes, from 1 to 1,000. Only the last page has fewer.
            before: Only changes older than this version of the source, which may be its removal.
                For the next page, give the last version of this page.

        Returns:
            An empty list if there are no older changes, or if the source was never stored.

        Raises:
            ConfigNotFoundError: `before` is not, or no longer, a version of this source.
            ValueError: `limit` is out of range.
        """
        ...

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return the source as it was at `version`.

        `None` if there is no such version, or if that version removed the source.
        """
        ...


@runtime_checkable
class SupportsFreezes(Protocol):
    """Keeps the freezes of the store: one text beside the bundles, for all who share the store.

    The text is no bundle and no plain file: it is not served, listed, or copied into another
    store. The store does not read it; `pyfly.config_server.freezes` does, before each write.
    """

    async def load_freezes(self) -> str | None:
        """Return the text as it is stored now, also by another process; `None` if there is none.

        What another process has stored before this call is seen. A store that cannot tell raises
        `BackendUnavailableError`, and nothing is written then.
        """
        ...

    async def store_freezes(
        self,
        text: str,
        *,
        expected: str | None,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Replace the text, durably.

        Args:
            text: The new text, at most 1 MiB in UTF-8.
            expected: The text that must be stored now; `None` if there must be none.
            author: The author of the change, kept if the store has a history of it.
            message: The reason for the change, kept if the store has a history of it.

        Raises:
            ConfigConflictError: `expected` does not hold; nothing was written.
        """
        ...


@runtime_checkable
class SupportsChanges(Protocol):
    """Lists the changes since an earlier call."""

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        """Return the present cursor, and the changes since `cursor`.

        No change is missed, including the writes that other processes completed before this call,
        and regardless of concurrent writes. A change may be repeated, or replaced by a larger one.
        The call is cheap while nothing changes.

        Args:
            cursor: The cursor of an earlier call, also in another process that sees the same
                store. `None` asks for the present cursor only and returns no changes. A cursor
                that is too old or unknown gives `EverythingChange`.

        Raises:
            BackendStaleError: The store cannot learn what has changed, but can be read as it was.
        """
        ...


@runtime_checkable
class SupportsChangeHints(Protocol):
    """Signals at once that `changes_since` should be called."""

    def hints(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed, from the first step on.

        Do not rely on hints alone: they may be repeated, joined or missed. The iterator ends when
        the store is closed.
        """
        ...


@runtime_checkable
class SupportsRefetch(Protocol):
    """Copies its content from a remote place at intervals, and can do it sooner."""

    async def refetch(self) -> None:
        """Ask for a copy that begins after this call.

        Returns as soon as it is asked for, without waiting for the copy. Calls while a copy is
        asked for are joined with it. The changes that the copy brings are listed by
        `changes_since`, and signalled by `hints` if the store has hints. A copy that fails is an
        error of later reads, or is tried again at the next interval.
        """
        ...


@runtime_checkable
class SupportsResources(Protocol):
    """Holds plain files beside the bundles. In a text store, the files of bundles are such, too."""

    async def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Return the file at `path` under `label`, or `None`."""
        ...

    def resources(self, label: str) -> AsyncIterator[ResourceEntry]:
        """Yield the plain files under `label`, ordered by path; nothing for an unknown label."""
        ...


@runtime_checkable
class SupportsSearchLocations(Protocol):
    """Looks for files in several directories, whose names may depend on the request.

    All other methods look for a bundle where a request for nothing but its own application and
    profile would find it.
    """

    async def fetch_requested(
        self, keys: Sequence[ConfigKey], names: RequestedNames
    ) -> ConfigSnapshot:
        """Return each bundle as a request for `names` finds it: what `fetch_snapshot` returns.

        The keys have one label. The version is `None` without `SupportsSnapshots`. The documents
        have their places.

        Raises:
            InvalidConfigKeyError: These are more than 256 lookups, bundles with a profile times
                directories, where a pattern for several directories counts once. Or the path of a
                directory would be too long.
            ConfigFormatError: Too many directories match, or there is too much text.
        """
        ...

    async def find_resource(
        self, label: str, paths: Sequence[str], names: RequestedNames, *, last_first: bool = False
    ) -> ConfigResource | None:
        """Return the first existing plain file, with its path; `None` if there is none.

        Args:
            label: The label.
            paths: Paths below the directories of the request; the first one wins within each.
            names: The names in the request.
            last_first: True to look in the directories in reverse order.

        Raises:
            ConfigError: As `fetch_requested` and `open_resource`.
        """
        ...


@runtime_checkable
class SupportsFileOwners(Protocol):
    """A store of files whose names may be read as several bundles: `a-b-c.yml`.

    Rights are decided on the bundle that a listing names for a file, whatever name it was opened
    by.
    """

    @property
    def has_fixed_owners(self) -> bool:
        """True if the owners of a file do not depend on other files."""
        ...

    async def owners(
        self,
        keys: Sequence[ConfigKey],
        names: RequestedNames | None = None,
        *,
        max_age: float = 0.0,
    ) -> builtins.list[tuple[ConfigKey, ...]]:
        """Return for each bundle what a listing names for its files, as if it were stored.

        Mostly that is the bundle itself.

        Args:
            keys: The bundles.
            names: The names in the request, for search locations.
            max_age: A listing may be so many seconds old.
        """
        ...

    async def owners_of_file(
        self, label: str, path: str, *, max_age: float = 0.0
    ) -> tuple[ConfigKey, ...]:
        """Return the bundles of a plain file; empty if it is not the file of a bundle.

        Where a listing marks a guess these are all bundles that a fetch may read from it.

        Args:
            label: The label.
            path: The path below the label.
            max_age: A listing may be so many seconds old.
        """
        ...

    async def owners_moved_by(self, key: ConfigKey, *, is_removed: bool) -> tuple[ConfigKey, ...]:
        """Return the bundles that lose a file in a listing when one is made or removed.

        With `orders.yml`, the file `orders-service.yml` becomes that of a profile of `orders`.

        Args:
            key: The bundle that is made or removed. Empty if it is to be made and exists.
            is_removed: True if it is removed.
        """
        ...


@runtime_checkable
class SupportsUpgrade(Protocol):
    """Has a schema that later versions of its package may change."""

    async def upgrade(self) -> builtins.list[str]:
        """Convert the store to the schema that this version of its package needs.

        Bundles do not change. An interrupted upgrade can be repeated.

        Returns:
            The names of the applied steps; empty if the schema was current.

        Raises:
            BackendError: The schema is newer than this version of the package.
        """
        ...


@runtime_checkable
class SupportsCheck(Protocol):
    """Can check that it works."""

    async def check(self) -> None:
        """Return if the store can be read; otherwise raise a `BackendError` with the reason."""
        ...


@runtime_checkable
class SupportsExpectedContent(Protocol):
    """Can be told that it was not empty before, as the directory of an unmounted volume is."""

    def expect_content(self, remedy: str) -> None:
        """Raise `BackendUnavailableError` while the store is empty as a whole.

        This ends with the first content, and when this store removes its last bundle.

        Args:
            remedy: What to do if the store is to be empty, for the text of the error.
        """
        ...


@runtime_checkable
class SupportsClose(Protocol):
    """Owns resources: connections, threads, files."""

    async def aclose(self) -> None:
        """Release them. Closing twice is allowed, also at the same time.

        Afterwards every other method of the store raises `BackendUnavailableError`: `fetch`,
        `save`, `list` and the methods of all abilities. `keys`, `resources` and `hints` raise at
        the first step of their iterator. Waiting iterators of `hints` end. A call that began
        before finishes, or raises `BackendUnavailableError` without a change.

        `ability`, `default_is_base`, `has_base_bundles` and `repr` work as before.
        """
        ...
