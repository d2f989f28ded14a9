"""`StandbyBackend`: a wrapper that keeps what a store returned on the disk, for an outage."""

import builtins
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast

from pyfly.config_core import (
    DEFAULT_LABEL,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    ConfigKey,
)
from pyfly.config_server.files.threads import Threads
from pyfly.config_server.live.standby_files import StandbyFiles
from pyfly.config_server.live.standby_reads import is_known_to_be_away, note_standby_read
from pyfly.config_server.live.standby_recorder import Moment, StandbyRecorder
from pyfly.config_server.live.standby_records import Record, RecordKey
from pyfly.config_server.live.standby_results import (
    Kept,
    decode_resource,
    decode_snapshot,
    decode_source,
)
from pyfly.config_server.live.standby_shelf import StandbyShelf
from pyfly.config_server.storage import (
    ChangeBatch,
    ConfigBackend,
    ConfigResource,
    ConfigSnapshot,
    ConfigSource,
    Expected,
    RequestedNames,
    ResourceEntry,
    SupportsBatchFetch,
    SupportsChanges,
    SupportsClose,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsExpectedContent,
    SupportsLabels,
    SupportsResources,
    SupportsSearchLocations,
    SupportsSnapshots,
    WrapperBackend,
    ability,
)

__all__ = ["DEFAULT_STANDBY_BYTES", "READ_SECONDS", "StandbyBackend"]

_Ability = TypeVar("_Ability")
_Result = TypeVar("_Result")

DEFAULT_STANDBY_BYTES: Final = 268_435_456
_READERS: Final = 4
READ_SECONDS: Final = 5.0
"""The time for a read from the disk."""
_NAME_DIGITS: Final = 16


class StandbyBackend(WrapperBackend):
    """A store whose results are kept on the disk, and read from there while it is unavailable.

    Kept are bundles, snapshots, plain files and the existence of labels, present or absent, as
    the store returned them: cipher texts stay cipher texts, and clear secrets stay clear. When the
    store raises `BackendUnavailableError`, a read is answered from the disk if everything that it
    asks for is kept; else the error is raised. A snapshot is kept as a whole, and answers only the
    same keys. Other errors, listings, histories, changes and writes are those of the store.

    A store that is empty although something of it is kept counts as unavailable, if it has the
    ability `SupportsExpectedContent`: the directory of an unmounted volume is empty.

    The files are written in batches in a thread, by one process at a time. The directory and its
    files belong to this user only. If they cannot be written, one line is logged.

    It has the ability `SupportsClose` and closes the store, if that can be closed.

    Args:
        backend: The store.
        directory: The directory; created if it does not exist. Several stores may share it.
        store: The identity of the store, without password. Results of a store with another
            identity are not used. By default the name of the class of the store.
        max_bytes: The largest size of the files for this store on the disk. The least recently
            confirmed are removed first.

    Raises:
        BackendError: The directory or a file in it cannot be used; the message says why.
        UnsupportedOperationError: The operating system is not POSIX.
    """

    def __init__(
        self,
        backend: ConfigBackend,
        directory: str | os.PathLike[str],
        *,
        store: str | None = None,
        max_bytes: int = DEFAULT_STANDBY_BYTES,
    ) -> None:
        super().__init__(backend)
        named = type(backend).__name__ if store is None else store
        identity = hashlib.sha256(named.encode()).hexdigest()
        self._files = StandbyFiles(Path(directory), identity[:_NAME_DIGITS])
        self._shelf = StandbyShelf(self._files, identity, max_bytes=max_bytes)
        try:
            self._shelf.tidy()
        except OSError as error:
            self._files.close()
            raise BackendError(f"standby {self._files.path}: {error.strerror}") from error
        expecting = ability(backend, SupportsExpectedContent)
        if expecting is not None and self._shelf.holds_content():
            expecting.expect_content(f"remove {self._files.path} and restart the server")
        self._recorder = StandbyRecorder(backend, self._shelf)
        self._readers = Threads(_READERS, name="pyfly-config-standby-read")
        self._stale_since: float | None = None
        self._is_closed = False

    @property
    def stale_since(self) -> datetime | None:
        """When the last answer was known to be current, in UTC, if it came from the disk.

        `None` if the last read was answered by the store. Else the time of the oldest result that
        was read from the disk since then, never in the future. The store may have changed since.
        `standby_reads` gives the same for everything that one caller reads.
        """
        since = self._stale_since
        return None if since is None else datetime.fromtimestamp(since, UTC)

    @property
    def has_records(self) -> bool:
        """True if anything was kept for the store."""
        return self._shelf.has_records

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return the object that has an ability, or `None` if the store lacks it."""
        if kind is SupportsClose:
            return cast("_Ability", self)
        return super().ability(kind)

    # --- reading ----------------------------------------------------------------------

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return the bundle from the store, or as it was kept."""
        key = ConfigKey(application=application, profile=profile, label=label)
        record = RecordKey.of_bundle(key)
        return await self._read(
            [record],
            lambda kept: decode_source(kept[0], key),
            lambda: self.wrapped.fetch(application, profile, label),
            lambda source: {record: source},
        )

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> builtins.list[ConfigSource | None]:
        """Return the bundles from the store, or as they were kept."""
        records = [*map(RecordKey.of_bundle, keys)]
        return await self._read(
            records,
            lambda kept: [*map(decode_source, kept, keys)],
            lambda: self.inner(SupportsBatchFetch).fetch_many(keys),
            lambda sources: dict(zip(records, sources, strict=True)),
        )

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        """Return the snapshot from the store, or the last one of the same keys that was kept."""
        whole, records = RecordKey.of_snapshot(keys), [*map(RecordKey.of_bundle, keys)]
        return await self._read(
            [whole],
            lambda kept: decode_snapshot(kept[0], keys),
            lambda: self.inner(SupportsSnapshots).fetch_snapshot(keys),
            lambda found: {**dict(zip(records, found.sources, strict=True)), whole: found},
        )

    async def fetch_requested(
        self, keys: Sequence[ConfigKey], names: RequestedNames
    ) -> ConfigSnapshot:
        """Return the bundles from the store, or the last ones of the same request."""
        record = RecordKey.of_request(keys, names)
        return await self._read(
            [record],
            lambda kept: decode_snapshot(kept[0], keys),
            lambda: self.inner(SupportsSearchLocations).fetch_requested(keys, names),
            lambda found: {record: found},
        )

    async def find_resource(
        self, label: str, paths: Sequence[str], names: RequestedNames, *, last_first: bool = False
    ) -> ConfigResource | None:
        """Return the plain file from the store, or as it was kept."""
        record = RecordKey.of_found(label, paths, names, last_first=last_first)
        return await self._read(
            [record],
            lambda kept: decode_resource(kept[0]),
            lambda: self.inner(SupportsSearchLocations).find_resource(
                label, paths, names, last_first=last_first
            ),
            lambda resource: {record: resource},
        )

    async def has_label(self, label: str) -> bool:
        """True if the store has the label, or had it."""
        record = RecordKey.of_label(label)
        return await self._read(
            [record],
            lambda kept: kept[0].state == "present",
            lambda: self.inner(SupportsLabels).has_label(label),
            lambda is_present: {record: is_present},
        )

    async def labels(self) -> builtins.list[str]:
        """Return what the store returns."""
        return await self.inner(SupportsLabels).labels()

    async def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Return the plain file from the store, or as it was kept."""
        record = RecordKey.of_resource(label, path)
        return await self._read(
            [record],
            lambda kept: decode_resource(kept[0]),
            lambda: self.inner(SupportsResources).open_resource(label, path),
            lambda resource: {record: resource},
        )

    def resources(self, label: str) -> AsyncIterator[ResourceEntry]:
        """Yield what the store yields."""
        return self.inner(SupportsResources).resources(label)

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        """Return what the store returns."""
        began = Moment()
        try:
            batch = await self.inner(SupportsChanges).changes_since(cursor)
        except BackendUnavailableError:
            self._recorder.distrust()
            raise
        self._recorder.look(cursor, batch, began)
        return batch

    # --- writing ----------------------------------------------------------------------

    async def save(self, source: ConfigSource) -> None:
        """Store the source in the store; what was kept of the bundle is read again."""
        with self._changing(source.key):
            await self.wrapped.save(source)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store the source in the store; what was kept of the bundle is read again."""
        with self._changing(source.key):
            return await self.inner(SupportsConditionalSave).commit(
                source, expected=expected, author=author, message=message
            )

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> None:
        """Remove the source from the store, and what was kept of it."""
        with self._changing(key):
            await self.inner(SupportsDelete).delete(
                key, expected=expected, author=author, message=message
            )

    async def aclose(self) -> None:
        """Write what was not written yet, and close the store. Closing twice is allowed."""
        is_first, self._is_closed = not self._is_closed, True
        if is_first:
            await self._recorder.aclose()
            await self._readers.close(deadline=time.monotonic())
        store = ability(self.wrapped, SupportsClose)
        if store is not None:
            await store.aclose()
        if is_first:
            self._files.close()

    # --- inside -----------------------------------------------------------------------

    async def _read(
        self,
        keys: Sequence[RecordKey],
        decode: Callable[[Sequence[Record]], _Result],
        ask: Callable[[], Awaitable[_Result]],
        parts: Callable[[_Result], Mapping[RecordKey, Kept]],
    ) -> _Result:
        """Return a result of the store, or the one that was kept if the store is away.

        Args:
            keys: The records that make the result.
            decode: Makes it of them.
            ask: Asks the store.
            parts: Returns what to keep of a result.
        """
        if is_known_to_be_away(self) and (kept := await self._load(keys, decode)):
            return kept[0]
        began = Moment()
        try:
            result = await ask()
        except BackendUnavailableError:
            self._recorder.distrust()
            if kept := await self._load(keys, decode):
                return kept[0]
            raise
        self._stale_since = None
        for key, value in parts(result).items():
            self._recorder.note(key, value, began)
        return result

    async def _load(
        self, keys: Sequence[RecordKey], decode: Callable[[Sequence[Record]], _Result]
    ) -> tuple[_Result] | None:
        """Return a result from the disk; `None` if it is not kept, or the disk does not answer."""
        if self._is_closed:
            return None
        call = partial(self._shelf.load, keys, decode)
        try:
            found = await self._readers.run(call, deadline=time.monotonic() + READ_SECONDS)
        except BackendUnavailableError:
            return None
        if found is None:
            return None
        result, since = found
        note_standby_read(since)
        self._stale_since = since if self._stale_since is None else min(since, self._stale_since)
        return (result,)

    @contextlib.contextmanager
    def _changing(self, key: ConfigKey) -> Generator[None]:
        """Forget what was kept of a bundle after a write, unless the write has failed."""
        try:
            yield
        except ConfigError:
            raise
        except BaseException:  # cancelled: the store may have written it
            self._recorder.change(key)
            raise
        self._recorder.change(key)
