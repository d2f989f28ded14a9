"""The records of a standby on the disk: reading and writing them, within a limit of bytes."""

import contextlib
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from pyfly.config_core import ConfigFormatError, ConfigKey
from pyfly.config_server.live.standby_files import MAX_RECORD_BYTES, RecordFile, StandbyFiles
from pyfly.config_server.live.standby_records import (
    MAX_HEAD_BYTES,
    Record,
    RecordKey,
    decode_key,
    decode_record,
    encode_record,
)
from pyfly.config_server.live.standby_results import Forgotten, Kept, encode_result
from pyfly.config_server.storage import ConfigSnapshot, ConfigSource

__all__ = [
    "Observation",
    "StandbyShelf",
    "fingerprint_of",
]


_LOG: Final = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_BLOCK_BYTES: Final = 4096
"""A file occupies whole blocks of the file system."""
_ROOM: Final = 16
"""When the limit is reached, one part in so many is made free."""
_LOOK_SECONDS: Final = 30.0
"""After this time the files of other writers are counted again."""
_REPORTED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A result of the store."""

    key: RecordKey
    value: Kept = field(repr=False)
    at: float
    """When the call began, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What this process knows about a file that it has written or compared."""

    inode: int
    fingerprint: Hashable


class StandbyShelf:
    """The records of one store. Reads may run in several threads, writes in one at a time.

    Args:
        files: The files.
        store: The identity of the store, without password.
        max_bytes: The largest size of all records together.
    """

    def __init__(self, files: StandbyFiles, store: str, *, max_bytes: int) -> None:
        self._files = files
        self._store = store
        self._max_bytes = max_bytes
        self._written: dict[str, _Written] = {}
        self._used = 0
        self._counted_at: float | None = None
        self._reported: set[str] = set()

    @property
    def path(self) -> Path:
        """The directory of the records."""
        return self._files.path

    @property
    def has_records(self) -> bool:
        """True if there were records at the start, or some were written since."""
        return self._files.had_records or bool(self._written)

    # --- reading ----------------------------------------------------------------------

    def holds_content(self) -> bool:
        """True if something is kept that is not an absence. Reads files until one is found."""
        for file in self._files.list():
            with contextlib.suppress(ConfigFormatError, OSError):
                found = self._files.read(file.name)
                if found and decode_record(found[0], self._store).state == "present":
                    return True
        return False

    def load(
        self, keys: Sequence[RecordKey], decode: Callable[[Sequence[Record]], _Result]
    ) -> tuple[_Result, float] | None:
        """Return what `decode` makes of the records, and when the oldest was confirmed.

        `None` if one of them is missing, damaged or forgotten. A time in the future becomes the
        present time.
        """
        oldest = time.time()
        records: list[Record] = []
        for key in keys:
            found = self._read(key)
            if found is None or found[0].state == "unknown":
                return None
            records.append(found[0])
            oldest = min(oldest, found[1])
        try:
            return decode(records), oldest
        except ConfigFormatError as error:
            self._report(keys[0].file_name(self._store), str(error))
            return None

    def _read(self, key: RecordKey) -> tuple[Record, float] | None:
        name = key.file_name(self._store)
        try:
            found = self._files.read(name)
            if found is None:
                return None
            record = self._decode(found[0], key)
        except ConfigFormatError as error:
            self._report(name, str(error))
            return None
        except OSError as error:
            self._report(name, error.strerror or "cannot be read")
            return None
        return record, found[1]

    def _decode(self, data: bytes, key: RecordKey) -> Record:
        record = decode_record(data, self._store)
        if record.key != key:
            raise ConfigFormatError("belongs to another name")
        return record

    def _encode(self, observation: Observation) -> bytes:
        state, payload = encode_result(observation.value)
        record = Record(key=observation.key, state=state, payload=payload)
        return encode_record(self._store, record)

    def _report(self, name: str, reason: str) -> None:
        """Log once that a file is ignored, and write it again when it is read from the store."""
        self._written.pop(name, None)
        if name not in self._reported and len(self._reported) < _REPORTED:
            self._reported.add(name)
            _LOG.warning(
                "ignoring a record of the standby: %s/%s %s", self._files.path, name, reason
            )

    # --- writing ----------------------------------------------------------------------

    def tidy(self) -> None:
        """Remove what killed writers left behind.

        Raises:
            OSError: The directory cannot be used.
        """
        with self._files.lock() as is_ours:
            if is_ours:
                self._files.remove_leftovers()

    def write(
        self,
        observations: Sequence[Observation],
        *,
        changed: Mapping[ConfigKey, float],
        removes: bool,
    ) -> list[Observation] | None:
        """Write results of the store that are new, and confirm those that are not.

        Args:
            observations: The results.
            changed: Bundles that this process has written, and when: what was read before is
                forgotten.
            removes: False if nothing that is kept may become absent.

        Returns:
            The results that were not written because they would remove something; `None` if
            another process writes at this moment, and nothing was done.

        Raises:
            OSError: Something cannot be written; the rest was not tried. An absence removes what
                was kept in any case, if the file system lets it.
        """
        with self._files.lock() as is_ours:
            if not is_ours:
                return None
            held = [one for one in observations if not removes and self._would_remove(one)]
            wrote = [self._put(one) for one in self._forgotten(changed)]
            left = {one.key for one in held}
            wrote += [self._put(one) for one in observations if one.key not in left]
            if any(wrote):
                self._files.flush()
                self._limit()
        return held

    def confirm(self, keys: Iterable[RecordKey], at: float) -> None:
        """Note that results that this process has written were current at this time.

        Raises:
            OSError: The directory cannot be used.
        """
        with self._files.lock() as is_ours:
            for name in (key.file_name(self._store) for key in keys if is_ours):
                known, found = self._written.get(name), self._files.find(name)
                if known and found and known.inode == found.inode and found.confirmed < at:
                    self._files.confirm(name, at)

    def _would_remove(self, observation: Observation) -> bool:
        if not _is_absent(observation.value):
            return False
        found = self._read(observation.key)
        return found is not None and found[0].state == "present"

    def _forgotten(self, changed: Mapping[ConfigKey, float]) -> list[Observation]:
        """Return that the results of calls that depend on these bundles are not known."""
        if not changed:
            return []
        dependent: dict[RecordKey, float] = {}
        snapshots = [*self._snapshots()]
        for key, at in changed.items():
            found = (one for one in snapshots if one.depends_on(key))
            for one in (RecordKey.of_bundle(key), RecordKey.of_label(key.label), *found):
                dependent[one] = max(at, dependent.get(one, at))
        return [
            Observation(key=key, value=Forgotten.FORGOTTEN, at=at)
            for key, at in dependent.items()
            if self._files.find(key.file_name(self._store)) is not None
        ]

    def _snapshots(self) -> Iterator[RecordKey]:
        """Yield the keys of all snapshots, of which only the beginning is read."""
        for file in [*self._files.list()]:
            if file.name.endswith(".snapshot"):
                with contextlib.suppress(ConfigFormatError, OSError):
                    found = self._files.read(file.name, limit=MAX_HEAD_BYTES)
                    if found is not None:
                        yield decode_key(found[0])

    def _put(self, observation: Observation) -> bool:
        """Write or confirm a result; true if something was written."""
        name = observation.key.file_name(self._store)
        found = self._files.find(name)
        if found is not None and observation.at < found.confirmed <= time.time():
            return False  # another worker read it later
        fingerprint = fingerprint_of(observation.value)
        if found is not None and self._has_same(found, observation, fingerprint):
            self._files.confirm(name, observation.at)
            return False
        return self._replace(name, found, observation)

    def _has_same(self, found: RecordFile, observation: Observation, fingerprint: Hashable) -> bool:
        known = self._written.get(found.name)
        if known is not None and known.inode == found.inode and known.fingerprint is not None:
            return known.fingerprint == fingerprint
        try:
            content = self._files.read(found.name)
        except OSError:
            return False
        data = self._encode(observation)
        if content is None or content[0] != data:
            return False
        self._written[found.name] = _Written(inode=found.inode, fingerprint=fingerprint)
        return True

    def _replace(self, name: str, found: RecordFile | None, observation: Observation) -> bool:
        data = self._encode(observation)
        if _occupied(len(data)) > min(self._max_bytes, MAX_RECORD_BYTES):
            self._files.remove(name)
            return found is not None
        try:
            file = self._files.write(name, data, confirmed=observation.at)
        except OSError:
            if _is_absent(observation.value) or isinstance(observation.value, Forgotten):
                self._files.remove(name)
            raise
        self._used += _occupied(file.size) - (0 if found is None else _occupied(found.size))
        self._written[name] = _Written(
            inode=file.inode, fingerprint=fingerprint_of(observation.value)
        )
        return True

    # --- the limit of bytes -----------------------------------------------------------

    def _limit(self) -> None:
        counted = self._counted_at
        is_old = counted is None or time.monotonic() > counted + _LOOK_SECONDS
        if is_old or self._used > self._max_bytes:
            self._make_room()

    def _make_room(self) -> None:
        """Count all files; if they are beyond the limit, remove the least recently confirmed."""
        files = sorted(self._files.list(), key=lambda file: file.confirmed)
        self._used = sum(_occupied(file.size) for file in files)
        self._counted_at = time.monotonic()
        if self._used > self._max_bytes:
            for file in files:
                if self._used <= self._max_bytes - self._max_bytes // _ROOM:
                    break
                self._files.remove(file.name)
                self._used -= _occupied(file.size)
        names = {file.name for file in files}
        known = {**self._written}  # a reader may remove one meanwhile
        self._written = {name: one for name, one in known.items() if name in names}


def _occupied(size: int) -> int:
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


def _is_absent(value: Kept) -> bool:
    return value is None or value is False


def fingerprint_of(value: Kept) -> Hashable:
    """Return what is equal for equal results only; `None` if only the content can tell."""
    if isinstance(value, ConfigSource):
        return None if value.version is None else ("source", value.version)
    if isinstance(value, ConfigSnapshot):
        parts = tuple(map(fingerprint_of, value.sources))
        return None if None in parts else ("snapshot", value.version, parts)
    if value is None or isinstance(value, bool | Forgotten):
        return ("constant", value)
    return None
