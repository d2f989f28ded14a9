"""The store of bundles in the text files of any tree."""

import asyncio
import builtins
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final, Self, TypeVar

from pyfly.config_core import (
    DEFAULT_LABEL,
    ConfigKey,
    check_name,
    check_path,
)
from pyfly.config_server.files.file_owners import FileOwners
from pyfly.config_server.files.file_tree import ChangeNote, FileTree
from pyfly.config_server.files.freeze_file import FREEZES_NAME, FreezeFile
from pyfly.config_server.files.layouts import Layout, ListedKey
from pyfly.config_server.files.loss import LossDetector
from pyfly.config_server.files.search_locations import check_search
from pyfly.config_server.files.store_threads import StoreLimits, StoreThreads, WithDeadline
from pyfly.config_server.files.text_changes import TextChanges
from pyfly.config_server.files.text_lister import TextLister
from pyfly.config_server.files.text_reader import TextReader
from pyfly.config_server.files.text_writer import TextWriter
from pyfly.config_server.storage import (
    ANY,
    ChangeBatch,
    ConfigEntry,
    ConfigResource,
    ConfigSnapshot,
    ConfigSource,
    Expected,
    RequestedNames,
    ResourceEntry,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsFreezes,
    SupportsSearchLocations,
    check_stored_bytes,
    note_save_remark,
)

__all__ = ["TextStore"]

_Ability = TypeVar("_Ability")
_Result = TypeVar("_Result")
_LISTING_STEP: Final = 16
_WRITING: Final = frozenset[type]({SupportsConditionalSave, SupportsDelete, SupportsFreezes})


class TextStore:
    """Bundles in the text files of a tree, with a layout for their names.

    A tree that had content and has none is unreachable, unless a store removed the last bundle:
    reads that find nothing, and saves, raise `BackendUnavailableError` until there is content.

    All access to files happens in threads of the store. The reads of one turn of the event loop
    share a call, unless the tree is slow. Parsed files are cached until they change.

    Args:
        tree: The tree of files.
        layout: The rules for file names.
        limits: Time limits and number of threads.
        name: The prefix of the names of its threads.
    """

    has_base_bundles: Final = True

    def __init__(
        self,
        tree: FileTree,
        layout: Layout,
        *,
        limits: StoreLimits | None = None,
        name: str = "pyfly-config",
    ) -> None:
        self.default_is_base: Final = layout.default_is_base
        self._tree = tree
        self.has_fixed_owners: Final = layout.splits_by_name
        self._search = layout.search
        self._loss = LossDetector(tree)
        self._reader = TextReader(tree, layout, self._loss)
        self._lister = TextLister(tree, layout, self._reader)
        self._owners = FileOwners(tree, layout, self._loss)
        self._writer = TextWriter(tree, layout, self._loss)
        self._changes = TextChanges(tree, layout, self._loss)
        self._freezes = FreezeFile(tree)
        self._threads = StoreThreads(
            limits or StoreLimits(), name=name, reads_together=not tree.is_slow
        )

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return this store if it has an ability.

        A read-only tree has no abilities that write. A layout without search locations has not
        `SupportsSearchLocations`.
        """
        if kind in _WRITING and not self._tree.is_writable():
            return None
        if kind is SupportsSearchLocations and self._search.is_root_only:
            return None
        return _instance(self, kind)

    # --- reading ----------------------------------------------------------------------

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return the bundle with the documents of all its files, or `None`."""
        key = ConfigKey(application=application, profile=profile, label=label)
        return (await self.fetch_many([key]))[0]

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> builtins.list[ConfigSource | None]:
        """Return what `fetch` returns for each key, in the same order."""
        if not self._tree.is_slow:
            return await self._fetch(keys)
        found = await asyncio.gather(*(self._fetch([key]) for key in keys))
        return [source for (source,) in found]

    async def _fetch(
        self, keys: Sequence[ConfigKey], names: RequestedNames | None = None
    ) -> builtins.list[ConfigSource | None]:
        return await self._threads.read_settled(partial(self.read, keys, names))

    def read(
        self, keys: Sequence[ConfigKey], names: RequestedNames | None = None, *, deadline: float
    ) -> builtins.list[ConfigSource | None]:
        """Return what `fetch_many` or, with `names`, `fetch_requested` finds. For `run`: blocks."""
        if names is None:
            return self._reader.fetch_many(keys, deadline=deadline)
        check_search(self._search, keys, names)
        return self._reader.fetch_requested(keys, names, deadline=deadline)

    async def fetch_requested(
        self, keys: Sequence[ConfigKey], names: RequestedNames
    ) -> ConfigSnapshot:
        """Return bundles of one label as a request for `names` finds them, without a version.

        Raises:
            ConfigFormatError: A file does not parse, a location matches more than 64 directories,
                or there are more than 8 MiB of text.
            InvalidConfigKeyError: There are more than 256 lookups, or the path of a location would
                be too long.
        """
        if not self._tree.is_slow:
            return ConfigSnapshot(sources=tuple(await self._fetch(keys, names)))
        check_search(self._search, keys, names)
        found: builtins.list[ConfigSource | None] = []
        for step in _steps(keys):
            sources = await asyncio.gather(*(self._fetch([key], names) for key in step))
            found += [source for (source,) in sources]
            check_stored_bytes(sum(source.size for source in found if source is not None))
        return ConfigSnapshot(sources=tuple(found))

    async def find_resource(
        self, label: str, paths: Sequence[str], names: RequestedNames, *, last_first: bool = False
    ) -> ConfigResource | None:
        """Return the first existing plain file in the search locations, or `None`.

        Raises:
            InvalidConfigKeyError: A path is not acceptable.
            ConfigFormatError: The file is larger than 10 MiB, or a location matches more than 64
                directories.
        """
        check_name("label", label)
        for path in paths:
            check_path(path)
        find = partial(self._reader.find_resource, label, paths, names, last_first=last_first)
        return await self._threads.read_settled(find)

    async def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Return the plain file at `path` under a label, or `None`.

        Raises:
            InvalidConfigKeyError: The path is not acceptable.
            ConfigFormatError: The file is larger than 10 MiB.
        """
        check_name("label", label)
        check_path(path)
        return await self._threads.read_settled(partial(self._reader.open_resource, label, path))

    async def resources(self, label: str) -> AsyncIterator[ResourceEntry]:
        """Yield the plain files under a label, ordered by path, bundles included."""
        check_name("label", label)
        for entry in await self._threads.list(partial(self._reader.resources, label)):
            yield entry

    async def has_label(self, label: str) -> bool:
        """True if the label exists."""
        check_name("label", label)
        return await self._threads.read(partial(self._lister.has_label, label))

    # --- listing ----------------------------------------------------------------------

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable bundle, ordered by label, application, profile."""
        rows = await self._threads.list(self._lister.keys)
        found: builtins.list[ConfigSource] = []
        for step in _steps(rows):
            found += await self._sources(step)
        return found

    async def _sources(self, rows: Sequence[ListedKey]) -> builtins.list[ConfigSource]:
        if not self._tree.is_slow:
            return await self._threads.list(partial(self._lister.sources, rows))
        calls = [self._threads.list(partial(self._lister.sources, [row])) for row in rows]
        return [source for sources in await asyncio.gather(*calls) for source in sources]

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield the name and version of every bundle, ordered by label, application, profile.

        If a listing of the tree has no versions, every file is parsed, and entries have their
        errors.
        """
        if self._tree.lists_versions:
            for entry in await self._threads.list(
                partial(self._lister.listed_entries, label, after)
            ):
                yield entry
            return
        rows = await self._threads.list(partial(self._lister.keys, label, after))
        for step in _steps(rows):
            for entry in await self._threads.list(partial(self._lister.entries, step)):
                yield entry

    async def list_names(self) -> AsyncIterator[ConfigKey]:
        """Yield the names that `keys` yields, in the same order, without reading a file."""
        for row in await self._threads.list(self._lister.keys):
            yield row.key

    async def owners(
        self,
        keys: Sequence[ConfigKey],
        names: RequestedNames | None = None,
        *,
        max_age: float = 0.0,
    ) -> builtins.list[tuple[ConfigKey, ...]]:
        """Return for each bundle what a listing names for its files, as if it were stored."""
        if self.has_fixed_owners and not any("/" in key.application for key in keys):
            return [self._owners.by_name(key) for key in keys]
        find = partial(self._owners.of_bundles, keys, names, max_age=max_age)
        return await self._threads.list(find)

    async def owners_of_file(
        self, label: str, path: str, *, max_age: float = 0.0
    ) -> tuple[ConfigKey, ...]:
        """Return the bundles of a plain file; empty if it is not the file of a bundle."""
        check_name("label", label)
        check_path(path)
        return await self._threads.list(partial(self._owners.of_file, label, path, max_age=max_age))

    async def owners_moved_by(self, key: ConfigKey, *, is_removed: bool) -> tuple[ConfigKey, ...]:
        """Return the bundles that lose a file in a listing when one is made or removed."""
        if self.has_fixed_owners:
            return ()
        return await self._threads.list(partial(self._owners.moved_by, key, is_removed=is_removed))

    async def labels(self) -> builtins.list[str]:
        """Return the labels that have a bundle or cannot be read, sorted."""
        return await self._threads.list(self._lister.labels)

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        """Scan the names and identities of all files; return the changes.

        A changed file is named as every bundle that it can belong to, and as a plain file. The
        last 10,000 changes in scans of this process are kept.
        """
        return await self._threads.list(partial(self._changes.since, cursor))

    async def check(self) -> None:
        """Return if the tree can be read.

        Raises:
            BackendUnavailableError: The tree does not exist, or all its files are gone.
            BackendAccessDeniedError: The tree cannot be opened.
        """
        await self._threads.read(self._tree.check)
        await self._threads.read(self._loss.check)

    def expect_content(self, remedy: str) -> None:
        """Count an empty tree as unreachable, because it had content before this process."""
        self._loss.expect_content(remedy)

    # --- writing ----------------------------------------------------------------------

    async def save(self, source: ConfigSource) -> None:
        """Replace the bundle, durably.

        Raises:
            ConfigObstructedError: There is a file that must not be rewritten.
        """
        await self.commit(source, expected=ANY)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Replace the bundle if `expected` holds; return its new version.

        The text of an existing file is edited. Where a part of it was written anew instead, which
        loses comments, a remark is noted; see `save_remarks`.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigObstructedError: As `save`.
            InvalidConfigKeyError: The file would be read as another bundle.
        """
        note = ChangeNote(author=author, message=message)
        save = partial(self._writer.save, source, expected=expected, note=note)
        saved = await self._threads.write(self._tree.turn(source.key), save)
        if saved.remark is not None:
            note_save_remark(saved.remark)
        return saved.version

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Remove the files of the bundle, ignored files first.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigObstructedError: As `save`.
        """
        note = ChangeNote(author=author, message=message)
        await self._threads.write(
            self._tree.turn(key),
            partial(self._writer.delete, key, expected=expected, note=note),
        )

    async def load_freezes(self) -> str | None:
        """Return what the hidden file of the freezes holds now, or `None`."""
        return await self._threads.read_settled(self._freezes.load)

    async def store_freezes(
        self,
        text: str,
        *,
        expected: str | None,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Replace the hidden file of the freezes if `expected` holds.

        Raises:
            ConfigConflictError: `expected` does not hold.
        """
        note = ChangeNote(author=author, message=message)
        store = partial(self._freezes.store, text, expected=expected, note=note)
        await self._threads.write(FREEZES_NAME, store)

    def paths(self, key: ConfigKey, *, deadline: float) -> builtins.list[str]:
        """Return the paths of all files that may hold a bundle, the highest precedence first.

        Blocking: for `run`.

        Raises:
            InvalidConfigKeyError: The path of a search location would be too long.
            ConfigFormatError: A search location matches more than 64 directories.
        """
        return self._reader.paths(key, deadline=deadline)

    # --- owning -----------------------------------------------------------------------

    async def run(self, function: WithDeadline[_Result]) -> _Result:
        """Run a blocking function in a thread of this store, with the deadline of a read."""
        return await self._threads.read(function)

    async def aclose(self) -> None:
        """Wait for a running save, and refuse further calls."""
        await self._threads.close()

    async def __aenter__(self) -> Self:
        """Return this store."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()


def _steps(rows: Sequence[_Result]) -> builtins.list[Sequence[_Result]]:
    return [rows[start : start + _LISTING_STEP] for start in range(0, len(rows), _LISTING_STEP)]


def _instance(store: object, kind: type[_Ability]) -> _Ability | None:
    return store if isinstance(store, kind) else None
