"""The store in memory, for tests and as the model of every other store."""

import builtins
import itertools
import secrets
import threading
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from pyfly.config_core import (
    DEFAULT_LABEL,
    BackendLookupError,
    BackendUnavailableError,
    ConfigKey,
    ConfigNotFoundError,
    JsonValue,
    check_name,
    copy_properties,
)
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_server.storage import (
    ANY,
    BundleChange,
    Change,
    ChangeBatch,
    ChangeJournal,
    ConfigDocument,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ConfigVersion,
    Expected,
    ResourceChange,
    ResourceEntry,
    check_expected,
    check_freezes,
    check_limit,
)
from pyfly.config_server.stores.hint_reader import HintReader

__all__ = ["InMemoryConfigBackend"]

_MAX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """One save or removal of a bundle."""

    row: ConfigVersion
    properties: Mapping[str, JsonValue] | None = field(default=None, repr=False)
    """The stored tree, which is never returned without a copy; `None` for a removal."""


class InMemoryConfigBackend:
    """A store in memory, which is lost when the process ends.

    Every operation is atomic, even if event loops in several threads use the store. The history
    is kept completely and grows with every save.

    Args:
        default_label: The label that exists even without a bundle.
    """

    has_base_bundles: Final = True

    def __init__(self, *, default_label: str = DEFAULT_LABEL) -> None:
        self._default_label = default_label
        self._changes: dict[ConfigKey, list[_Change]] = {}
        self._stored: dict[ConfigKey, tuple[ConfigDocument, str]] = {}  # with its version
        self._resources: dict[tuple[str, str], ConfigResource] = {}
        self._freezes: str | None = None
        self._numbers = itertools.count(1)
        self._epoch = secrets.token_hex(4)  # makes versions unique across processes
        self._journal = ChangeJournal(self._epoch)
        self._readers: set[HintReader] = set()
        self._guard = threading.Lock()
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `memory:`.

        Raises:
            BackendLookupError: There is text after the colon.
        """
        if url != "memory:":
            raise BackendLookupError("write a memory: URL as memory: without anything after it")
        return cls()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._stored)} bundles)"

    def put_resource(self, label: str, path: str, content: bytes) -> None:
        """Add or replace a plain file."""
        with self._guard:
            now = datetime.now(UTC)
            self._resources[label, path] = ConfigResource(content=content, modified=now)
            self._announce(self._next_version(), ResourceChange(label=label, path=path))

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return a copy of the source, or `None`."""
        self._check_open()
        return self._current(ConfigKey(application=application, profile=profile, label=label))

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> builtins.list[ConfigSource | None]:
        """Return what `fetch` returns for each key, at one moment."""
        self._check_open()
        return [self._current(key) for key in keys]

    async def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Return the file, or `None`."""
        self._check_open()
        return self._resources.get((label, path))

    async def resources(self, label: str) -> AsyncIterator[ResourceEntry]:
        """Yield the files of a label at the time of the first step, ordered by path."""
        self._check_open()
        found = {path: file for (one, path), file in [*self._resources.items()] if one == label}
        for path, file in sorted(found.items()):
            yield ResourceEntry(path=path, size=len(file.content), modified=file.modified)

    async def save(self, source: ConfigSource) -> None:
        """Store a copy of the source."""
        await self.commit(source, expected=ANY)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store a copy of the source if `expected` holds; return its new version.

        Raises:
            ConfigConflictError: `expected` does not hold.
        """
        self._check_open()
        now = datetime.now(UTC)
        properties = copy_properties(source.properties)
        with self._guard:
            self._check_expected(source.key, expected)
            version = self._next_version()
            row = ConfigVersion(version=version, saved_at=now, author=author, message=message)
            self._stored[source.key] = (ConfigDocument(properties=properties), version)
            self._record(source.key, _Change(row=row, properties=properties))
        return version

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Remove the source if `expected` holds; its history stays.

        Raises:
            ConfigConflictError: `expected` does not hold.
        """
        self._check_open()
        with self._guard:
            self._check_expected(key, expected)
            if self._stored.pop(key, None) is not None:
                version = self._next_version()
                row = ConfigVersion(
                    version=version,
                    saved_at=datetime.now(UTC),
                    author=author,
                    message=message,
                    deleted=True,
                )
                self._record(key, _Change(row=row))

    async def list(self) -> builtins.list[ConfigSource]:
        """Return copies of all sources, ordered by label, application, profile."""
        self._check_open()
        return [
            ConfigSource.from_documents(key, (document,), version=version)
            for key, (document, version) in self._in_order()
        ]

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield all names at the time of the first step, in the order of `list`."""
        self._check_open()
        entries = [
            ConfigEntry(key=key, version=version)
            for key, (_, version) in self._in_order()
            if (label is None or key.label == label)
            and (after is None or key.sort_key > after.sort_key)
        ]
        for entry in entries:
            yield entry

    async def has_label(self, label: str) -> bool:
        """True if a bundle has the label, or if it is the default label."""
        self._check_open()
        check_name("label", label)
        return label == self._default_label or label in self._carried()

    async def labels(self) -> builtins.list[str]:
        """Return the labels that have a bundle, sorted."""
        self._check_open()
        return sorted(self._carried())

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return at most `limit` changes of one source, newest first, older than `before`.

        Raises:
            ConfigNotFoundError: `before` is not a version of this source.
            ValueError: `limit` is not from 1 to 1,000.
        """
        self._check_open()
        check_limit(limit)
        changes = self._changes.get(key, [])
        end = len(changes) if before is None else _place_of(before, changes)
        if end is None:
            raise ConfigNotFoundError("version", str(before))
        return [change.row for change in reversed(changes[max(end - limit, 0) : end])]

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return a copy of the source as it was at `version`, or `None`."""
        self._check_open()
        changes = self._changes.get(key, [])
        place = _place_of(version, changes)
        properties = None if place is None else changes[place].properties
        if properties is None:
            return None
        document = ConfigDocument(properties=properties)
        return ConfigSource.from_documents(key, (document,), version=version)

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        """Return the changes since `cursor`. The store keeps the last 10,000 changes."""
        self._check_open()
        return self._journal.since(cursor)

    async def hints(self) -> AsyncIterator[None]:
        """Yield after every change from the first step on. Several changes may be joined."""
        self._check_open()
        reader = HintReader()
        self._readers.add(reader)
        try:
            while not self._closed:
                await reader.told()
                if not self._closed:
                    yield
        finally:
            self._readers.discard(reader)

    async def load_freezes(self) -> str | None:
        """Return the text of the freezes, or `None`."""
        self._check_open()
        return self._freezes

    async def store_freezes(
        self,
        text: str,
        *,
        expected: str | None,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Replace the text of the freezes. Author and message are not kept.

        Raises:
            ConfigConflictError: Another text than `expected` is stored.
        """
        del author, message
        self._check_open()
        with self._guard:
            check_freezes(self._freezes, expected=expected)
            self._freezes = text

    async def check(self) -> None:
        """Return if the store is open."""
        self._check_open()

    async def aclose(self) -> None:
        """Refuse further calls and end every iterator of `hints`."""
        self._closed = True
        self._wake_all()

    def _in_order(self) -> builtins.list[tuple[ConfigKey, tuple[ConfigDocument, str]]]:
        stored = [*self._stored.items()]  # in one step, because other threads may add to it
        return sorted(stored, key=lambda item: item[0].sort_key)

    def _carried(self) -> set[str]:
        return {key.label for key in [*self._stored]}

    def _current(self, key: ConfigKey) -> ConfigSource | None:
        found = self._stored.get(key)
        if found is None:
            return None
        document, version = found
        return ConfigSource.from_documents(key, (document,), version=version)

    def _check_expected(self, key: ConfigKey, expected: Expected) -> None:
        _, current = self._stored.get(key, (None, None))
        check_expected(key, expected=expected, current=current)

    def _record(self, key: ConfigKey, change: _Change) -> None:
        self._changes.setdefault(key, []).append(change)
        self._announce(change.row.version, BundleChange(key=key))

    def _announce(self, cursor: str, change: Change) -> None:
        self._journal.append(cursor, [change])
        self._wake_all()

    def _wake_all(self) -> None:
        for reader in [*self._readers]:
            reader.tell()

    def _next_version(self) -> str:
        return f"{next(self._numbers)}-{self._epoch}"

    def _check_open(self) -> None:
        if self._closed:
            raise BackendUnavailableError("the backend is closed")


def _place_of(version: str, changes: Sequence[_Change]) -> int | None:
    """Return the position of a version among the changes of a source, whose numbers grow."""
    place = bisect_left(changes, _number(version), key=lambda change: _number(change.row.version))
    found = place < len(changes) and changes[place].row.version == version
    return place if found else None


def _number(version: str) -> int:
    """Return the number in a version, 0 for a text without one."""
    digits = version.partition("-")[0]
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS
    return int(digits) if is_number else 0
