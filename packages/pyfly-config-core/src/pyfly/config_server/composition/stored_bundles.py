"""Reading, writing and listing the bundles of one store, with their history."""

import asyncio
import builtins
import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from pyfly.config_core import (
    ConfigKey,
    ConfigNotFoundError,
    ConfigObstructedError,
    JsonValue,
    UnsupportedOperationError,
)
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from pyfly.config_server.composition.budgets import is_large, run
from pyfly.config_server.composition.write_checks import check_remarks, check_storable
from pyfly.config_server.formats.merged_documents import merged_properties
from pyfly.config_server.freezes import check_not_frozen
from pyfly.config_server.storage import (
    ABSENT,
    ConfigBackend,
    ConfigEntry,
    ConfigSource,
    ConfigVersion,
    Expected,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsHistory,
    SupportsKeys,
    ability,
    check_expected,
)

_Ability = TypeVar("_Ability")

OnWrite: TypeAlias = Callable[[ConfigKey, bool], Awaitable[None]]

Edit: TypeAlias = Callable[[Mapping[str, JsonValue]], Mapping[str, JsonValue]]
"""Returns the properties after a change. It is a pure function, and is called in a thread."""


@runtime_checkable
class _ListsNames(Protocol):
    """A store that reads every bundle in `keys`, to tell its version, and can do without."""

    def list_names(self) -> AsyncIterator[ConfigKey]:
        """Yield the names that `keys` yields, in the same order."""
        ...


class Bundles:
    """Reads and writes the bundles of one store as they are stored, without composing.

    An operation that needs a missing ability raises `UnsupportedOperationError`, which names the
    store and the ability. The store is not closed.

    Every operation that writes reads the freezes of the store first. If one covers the bundle it
    raises `ConfigFrozenError`, and if they cannot be read, `BackendError`; nothing is written.
    """

    def __init__(self, backend: ConfigBackend) -> None:
        self.backend = backend
        self._on_write: list[OnWrite] = []

    def on_write(self, callback: OnWrite) -> None:
        """Call `callback` after each write, before the write returns or raises.

        Its arguments are the key, and true if the bundle was removed.
        """
        self._on_write.append(callback)

    async def load(self, key: ConfigKey) -> ConfigSource:
        """Return the bundle.

        Raises:
            ConfigNotFoundError: The bundle is not stored.
            ConfigFormatError: The stored text does not parse.
            ConfigObstructedError: The file holds several documents, which are not one bundle.
            BackendError: The store failed.
        """
        source = await self.backend.fetch(key.application, key.profile, key.label)
        if source is None:
            raise ConfigNotFoundError("bundle", str(key))
        if len(source.documents) > 1:
            files = sorted({one.resource for one in source.documents if one.resource is not None})
            raise ConfigObstructedError(
                f"{key.label}/{source.resource}",
                f"the bundle lies in several files: {', '.join(files)}"
                if len(files) > 1
                else "it holds several documents, not one bundle; read it as a plain file, change "
                "single keys with put or PATCH",
            )
        return source

    async def load_merged(self, key: ConfigKey) -> ConfigSource:
        """Return the bundle for a change of single keys, also if it has several documents.

        Then its properties are those of all documents, the later ones winning, under dotted keys;
        conditions are not evaluated. A store of text files saves a change of it if it is clear
        which document must change.

        Raises:
            ConfigError: As `load`, except that several documents are no error.
        """
        source = await self.backend.fetch(key.application, key.profile, key.label)
        if source is None:
            raise ConfigNotFoundError("bundle", str(key))
        if len(source.documents) <= 1:
            return source
        merge = partial(merged_properties, source.documents)
        return ConfigSource(
            application=key.application,
            profile=key.profile,
            label=key.label,
            properties=await run(merge, large=is_large(one.properties for one in source.documents)),
            version=source.version,
        )

    async def entries(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield names and versions in the order of `SupportsKeys.keys`, for any store.

        A store without that ability is read completely, and its unreadable bundles are left out.
        """
        store = ability(self.backend, SupportsKeys)
        if store is not None:
            async for entry in store.keys(label, after=after):
                yield entry
            return
        sources = await self.backend.list()
        for source in sorted(sources, key=lambda source: source.key.sort_key):
            key = source.key
            if label in {None, key.label} and (after is None or key.sort_key > after.sort_key):
                yield ConfigEntry(key=key, version=source.version)

    async def names(self) -> AsyncIterator[ConfigKey]:
        """Yield the names of all entries, in the same order.

        A text store reads no file for them. A wrapper with its own `keys` decides which names
        there are, because the names are asked of the object that lists keys.
        """
        store: object = ability(self.backend, SupportsKeys)
        if isinstance(store, _ListsNames):
            async for key in store.list_names():
                yield key
            return
        async for entry in self.entries():
            yield entry.key

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable bundle.

        Raises:
            BackendError: The store failed.
        """
        return await self.backend.list()

    async def check_not_frozen(self, keys: Iterable[ConfigKey]) -> None:
        """Return if no freeze covers one of these bundles.

        Each operation that writes asks by itself; this is for callers that write several bundles,
        or ask a person for a change before.

        Raises:
            ConfigFrozenError: A freeze covers one of them.
            BackendError: The freezes cannot be read.
        """
        await check_not_frozen(self.backend, keys)

    async def check(self, source: ConfigSource) -> None:
        """Refuse a bundle that cannot be saved in any store, without calling the store.

        Raises:
            InvalidConfigKeyError: The name is reserved.
            ConfigFormatError: The properties collide, are too many, too deep or too large, or hold
                a condition that cannot be read.
        """
        await run(partial(check_storable, source), large=is_large([source.properties]))

    async def save(self, source: ConfigSource) -> None:
        """Store a bundle, replacing what is there.

        Raises:
            ConfigError: As `commit`, without the conflict.
        """
        await self.check_not_frozen([source.key])
        await self.check(source)
        async with self._announced(source.key):
            await self.backend.save(source)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store a bundle if `expected` holds; return its new version.

        Raises:
            ConfigFrozenError: A freeze covers the bundle.
            InvalidConfigKeyError: The name is reserved, or the store cannot keep it.
            ConfigFormatError: The properties collide, are too many, too deep or too large, or
                the author has more than 256 characters or the message more than 1,024.
            ConfigConflictError: `expected` does not hold; names the current version.
            ConfigObstructedError: There is a file that the store must not rewrite.
            BackendError: The store failed, or cannot save under a condition.
        """
        await self.check_not_frozen([source.key])
        return await self._commit(source, expected=expected, author=author, message=message)

    async def _commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None,
        message: str | None,
    ) -> str:
        """Store a bundle for an operation that has looked at the freezes when it began."""
        check_remarks(author=author, message=message)
        await self.check(source)
        store = self._able(SupportsConditionalSave, "conditional saves")
        async with self._announced(source.key):
            return await store.commit(source, expected=expected, author=author, message=message)

    async def change(
        self,
        key: ConfigKey,
        edit: Edit,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Change the stored bundle if `expected` holds; return its new version.

        The result replaces exactly the version that `edit` was called with. If nothing is stored
        and `expected` allows that, `edit` gets an empty mapping, and the bundle is created.
        Several documents are changed as `load_merged` returns them.

        Raises:
            ConfigConflictError: `expected` does not hold, or another writer stored the bundle
                meanwhile. Nothing was written; the change is not tried again.
            ConfigError: As `edit`, `load` and `commit`.
        """
        self._able(SupportsConditionalSave, "conditional saves")
        await self.check_not_frozen([key])
        try:
            source = await self.load_merged(key)
        except ConfigNotFoundError:
            source = None
        current = None if source is None else source.version
        check_expected(key, expected=expected, current=current)
        properties = await asyncio.to_thread(edit, {} if source is None else source.properties)
        changed = ConfigSource(
            application=key.application,
            profile=key.profile,
            label=key.label,
            properties=properties,
        )
        return await self._commit(
            changed,
            expected=ABSENT if current is None else current,
            author=author,
            message=message,
        )

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Remove a bundle if `expected` holds.

        Raises:
            ConfigFrozenError: A freeze covers the bundle.
            ConfigFormatError: The author has more than 256 characters or the message more than
                1,024.
            ConfigConflictError: `expected` does not hold; names the current version.
            ConfigObstructedError: There is a file that the store must not remove.
            BackendError: The store failed, or cannot remove bundles.
        """
        await self.check_not_frozen([key])
        check_remarks(author=author, message=message)
        store = self._able(SupportsDelete, "deleting")
        async with self._announced(key, removed=True):
            await store.delete(key, expected=expected, author=author, message=message)

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return one page of the changes of a bundle, newest first.

        Args:
            key: The name of the bundle.
            limit: The largest number of changes, from 1 to 1,000. Only the last page has fewer.
            before: Only changes older than this version, the last one of the previous page.

        Raises:
            ConfigNotFoundError: It was never stored, or `before` is not one of its versions.
            ValueError: `limit` is out of range.
            BackendError: The store failed, or has no history.
        """
        store = self._able(SupportsHistory, "history")
        rows = await store.history(key, limit=limit, before=before)
        if not rows and before is None:
            raise ConfigNotFoundError("bundle", str(key))
        return rows

    async def versions(
        self, key: ConfigKey, *, most: int | None = None, before: str | None = None
    ) -> AsyncIterator[ConfigVersion]:
        """Yield the changes of a bundle, newest first, read in pages of `history`.

        Args:
            key: The name of the bundle.
            most: Stop after this number of changes; by default yield all changes.
            before: Only changes older than this version.

        Raises:
            ConfigError: As `history`.
        """
        left = most
        while left is None or left > 0:
            limit = MAX_PAGE_ROWS if left is None else min(left, MAX_PAGE_ROWS)
            rows = await self.history(key, limit=limit, before=before)
            for row in rows:
                yield row
            if len(rows) < limit:
                return
            before = rows[-1].version
            left = None if left is None else left - limit

    async def load_version(self, key: ConfigKey, version: str) -> ConfigSource:
        """Return the bundle as it was at `version`.

        Raises:
            ConfigNotFoundError: There is no such version, or it removed the bundle.
            BackendError: The store failed, or has no history.
        """
        store = self._able(SupportsHistory, "history")
        source = await store.fetch_version(key, version)
        if source is None:
            raise ConfigNotFoundError("version", version)
        return source

    async def rollback(
        self,
        key: ConfigKey,
        *,
        version: str,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store the content of an old version again; return the new version.

        Without a message, the new version gets one that names the old version.

        Raises:
            ConfigError: As `load_version` and `commit`.
        """
        await self.check_not_frozen([key])
        source = await self.load_version(key, version)
        message = f"rollback to {version}" if message is None else message
        return await self._commit(source, expected=expected, author=author, message=message)

    @contextlib.asynccontextmanager
    async def _announced(self, key: ConfigKey, *, removed: bool = False) -> AsyncGenerator[None]:
        """Announce a write at its end. The outcome of a failed one may be unknown."""
        try:
            yield
        finally:
            for callback in self._on_write:
                await callback(key, removed)

    def _able(self, kind: type[_Ability], words: str) -> _Ability:
        store = ability(self.backend, kind)
        if store is None:
            raise UnsupportedOperationError(type(self.backend).__name__, words)
        return store


def first_writable(backends: Sequence[ConfigBackend]) -> ConfigBackend:
    """Return the first store that can save under conditions, or else the first.

    Called once, when the server is made.
    """
    able = (
        backend for backend in backends if ability(backend, SupportsConditionalSave) is not None
    )
    return next(able, backends[0])
