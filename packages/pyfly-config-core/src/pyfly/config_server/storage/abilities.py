"""What a store can do: three required methods, and one Protocol for each further ability.

A method that is there is not always one that works: an instance that cannot do what was asked
raises `UnsupportedOperationError`, or says so beforehand with `ability`.

Every method may raise `BackendUnavailableError` when the store cannot be reached,
`BackendAccessDeniedError` when it refuses, `InvalidConfigKeyError` for names that are not
acceptable, and `ConfigFormatError` for a stored text that does not parse. `author` and `message`
are kept where the store has a history and ignored elsewhere.
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
    "SupportsHistory",
    "SupportsKeys",
    "SupportsLabels",
    "SupportsResources",
    "SupportsSnapshots",
    "SupportsUpgrade",
]


@runtime_checkable
class ConfigBackend(Protocol):
    """A store of configuration. These three methods are all that is required.

    A store may also have the method `ability` and the attributes `default_is_base` and
    `has_base_bundles`, see the functions of these names.
    """

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return one source whole, at one version, or `None` when it is not stored."""
        ...

    async def save(self, source: ConfigSource) -> None:
        """Store `source` under its key, replacing what is there.

        Atomic: a reader sees the old or the new source, never a mixture, never an absence. A
        save that returned survives a crash of this process. `version`, `resource` and
        `documents` of the source are not stored.
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

        Unreadable bundles are yielded too, with their error where it is noticed.

        Args:
            label: Only the names of this one.
            after: Only the names that come after this one, whether it is stored or not. A
                listing in pages goes on from its last name without reading what lies before.
        """
        ...


@runtime_checkable
class SupportsLabels(Protocol):
    """Knows which labels exist. Without this ability every label is taken to exist."""

    async def has_label(self, label: str) -> bool:
        """True if `label` exists, with or without bundles in it."""
        ...

    async def labels(self) -> builtins.list[str]:
        """Return the labels that carry a bundle, sorted; labels that cannot be read are named, too.

        To list only the bundles of a label that cannot be read raises `BackendAccessDeniedError`.
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
    """Has versions of several sources together, which go forward only.

    A document is composed of one snapshot, and its `version` is that of the snapshot. A
    store whose versions tell only what is equal lacks this ability.
    """

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        """Return what `fetch` returns for each key, and the version of the whole."""
        ...


@runtime_checkable
class SupportsConditionalSave(Protocol):
    """Saves only what has not changed in between. HTTP writes need this ability."""

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store `source` as `save` does and return its new version.

        Of several writers that name the same version exactly one succeeds.

        Args:
            source: What to store; its key decides where.
            expected: The version that must still be stored, `ABSENT` to create only, `PRESENT`
                to replace only, `ANY` to write whatever is there.
            author: Who makes the change, kept where the store has a history.
            message: Why, likewise.

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
        """Remove one source. With `ANY`, removing what is not there does nothing.

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

        Its cost depends on `limit`, not on how many versions there are.

        Args:
            key: The name of the source.
            limit: How many at most, from 1 to 1,000. Fewer are returned only at the end.
            before: Only those that are older than this version, one of this source, which may
                be its removal. The next page begins before the last version of this one.

        Returns:
            Empty when there are no older ones, or when the source was never stored.

        Raises:
            ConfigNotFoundError: `before` is no version of this source: of another one, or gone.
            ValueError: `limit` is another number.
        """
        ...

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return the source as it was at `version`.

        `None` when there is no such version or when it removed the source.
        """
        ...


@runtime_checkable
class SupportsChanges(Protocol):
    """Tells what changed since an earlier question."""

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        """Return the present cursor, and what changed since `cursor`.

        A change may be named too often, and a larger one in its place, but none is left out: what
        another process wrote before this call began is named, too, whatever writes at the same
        time. Asking costs little while nothing changes.

        Args:
            cursor: What an earlier call returned, also one to another process that sees the same
                store. `None` asks for the present cursor only and names no changes. One that is
                too old or not known here gives `EverythingChange`.
        """
        ...


@runtime_checkable
class SupportsChangeHints(Protocol):
    """Tells at once that it is time to ask `changes_since`."""

    def hints(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed, from the first step on.

        Never the only means: hints may be repeated, joined or missed. The iterator ends when the
        store is closed.
        """
        ...


@runtime_checkable
class SupportsResources(Protocol):
    """Holds plain files beside the bundles."""

    async def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Return the file at `path` under `label`, or `None`."""
        ...

    def resources(self, label: str) -> AsyncIterator[ResourceEntry]:
        """Yield the plain files under `label`, ordered by path; of an unknown label nothing."""
        ...


@runtime_checkable
class SupportsUpgrade(Protocol):
    """Keeps bundles in a form that later versions of its package may change."""

    async def upgrade(self) -> builtins.list[str]:
        """Bring the store to the form that this version of its package needs.

        What is stored stays as it is. An upgrade that was interrupted can be repeated.

        Returns:
            The names of the steps that were done; empty when there was nothing to do.

        Raises:
            BackendError: The form is a newer one, which this version does not know.
        """
        ...


@runtime_checkable
class SupportsCheck(Protocol):
    """Can be asked if it works."""

    async def check(self) -> None:
        """Return when the store can be read; raise a `BackendError` that says why not."""
        ...


@runtime_checkable
class SupportsClose(Protocol):
    """Owns resources: connections, threads, files."""

    async def aclose(self) -> None:
        """Release them. Closing twice is allowed, also at the same time.

        Afterwards every other method of the store raises `BackendUnavailableError`: `fetch`,
        `save`, `list` and the methods of all abilities. `keys`, `resources` and `hints` raise at
        the first step of their iterator. Iterators of `hints` that wait are ended. What began
        before is finished, or raises `BackendUnavailableError` and has changed nothing.

        `ability`, `default_is_base`, `has_base_bundles` and `repr` work as before.
        """
        ...
