"""Saving and removing bundles, one call at a time, blocking."""

import logging
import random
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    ConfigFormatError,
    ConfigKey,
)
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_s3._client import Bucket
from pyfly.config_s3._failures import ConditionFailedError
from pyfly.config_s3._integrity import is_of_write, metadata_of
from pyfly.config_s3._names import Places, version_of
from pyfly.config_s3._naming import (
    PROPERTIES_SUFFIX,
    check_flat_label,
    check_rewritable,
    check_writable,
    file_names,
)
from pyfly.config_s3._objects import Condition, StoredObject
from pyfly.config_s3._probe import Honoured, probe
from pyfly.config_s3._turns import BundleTurns
from pyfly.config_server.formats.text import SUFFIXES, dump_text
from pyfly.config_server.storage import ANY, ConfigSource, Expected, check_expected

_LOG: Final = logging.getLogger(__name__)

_TRIES: Final = 10
"""A write that replaces whichever version is stored may lose to others several times."""
_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Who makes a change, and why."""

    author: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A save on its way."""

    source: ConfigSource
    expected: Expected
    note: Note
    write: str = field(default_factory=lambda: secrets.token_hex(16))
    """Tells it from every other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Current:
    """What is stored for a bundle at a moment."""

    file_names: Sequence[str]
    """Those that exist, the one that a reader uses first."""
    stored: StoredObject | None

    @property
    def version(self) -> str | None:
        if self.stored is None:
            return None
        return version_of(self.stored.etag, self.stored.version_id)


class BundleWriter:
    """Writes bundles. Safe to use from several threads.

    Args:
        bucket: Where to.
        places: How names are made.
    """

    def __init__(self, bucket: Bucket, places: Places) -> None:
        self._bucket = bucket
        self._places = places
        self._turns = BundleTurns()
        self._honoured: Honoured | None = None
        self._probing = threading.Lock()
        self._was_asked = False

    def learn_what_is_honoured(self, *, deadline: float) -> None:
        """Ask the store, unless that was done; who only reads is not kept from it by a failure."""
        if self._was_asked:
            return
        self._was_asked = True
        try:
            self._what_is_honoured(deadline)
        except BackendAccessDeniedError:
            _LOG.info(
                "nothing may be written in bucket '%s'; it is served all the same",
                self._bucket.name,
            )
        except BackendError as error:
            _LOG.warning(
                "asked again before a save: what bucket '%s' honours: %s", self._bucket.name, error
            )

    def save(self, source: ConfigSource, expected: Expected, note: Note, *, deadline: float) -> str:
        """Replace the object that a reader uses, in its format; return the new version."""
        check_writable(source.key)
        if self._places.flat_label is not None:
            check_flat_label(source.label, self._places.flat_label)
        dump_text(source.properties, suffix=SUFFIXES[0])  # refused before anything is asked
        change = _Change(source=source, expected=expected, note=note)
        for attempt in range(_TRIES):
            try:
                with self._turns.of(source.key, deadline=deadline):
                    return self._save(change, deadline)
            except ConditionFailedError:
                _pause(attempt, deadline)
        raise BackendUnavailableError(f"{source.key} keeps changing; nothing was saved")

    def _save(self, change: _Change, deadline: float) -> str:
        key = change.source.key
        current = self._current(key, deadline)
        if current.stored is not None and is_of_write(current.stored.metadata, change.write):
            # The answer was lost on the way, and the repetition failed its own condition.
            return version_of(current.stored.etag, current.stored.version_id)
        check_expected(key, expected=change.expected, current=current.version)
        file_name = self._check_rewritable(key, current)
        text = dump_text(change.source.properties, suffix=PurePosixPath(file_name).suffix)
        written = self._bucket.write(
            self._places.of(key.label, file_name),
            text,
            metadata=metadata_of(
                text,
                write=change.write,
                author=change.note.author,
                message=change.note.message,
            ),
            condition=self._condition(change.expected, current, deadline),
            deadline=deadline,
        )
        self._remove_shadowed(key, current.file_names[1:], deadline)
        return version_of(written.etag, written.version_id)

    def delete(self, key: ConfigKey, expected: Expected, *, deadline: float) -> None:
        """Remove the object that a reader uses, and those it shadows.

        What a save must not rewrite is not removed either.
        """
        if not self._places.has(key.label):
            check_expected(key, expected=expected, current=None)
            return
        for attempt in range(_TRIES):
            try:
                with self._turns.of(key, deadline=deadline):
                    self._delete(key, expected, deadline)
            except ConditionFailedError:
                _pause(attempt, deadline)
            else:
                return
        raise BackendUnavailableError(f"{key} keeps changing; nothing was deleted")

    def _delete(self, key: ConfigKey, expected: Expected, deadline: float) -> None:
        current = self._current(key, deadline)
        check_expected(key, expected=expected, current=current.version)
        if current.stored is None:
            return
        self._check_rewritable(key, current)
        condition = None
        if expected is not ANY:
            condition = self._what_is_honoured(deadline).delete(current.stored.etag)
        # Remove shadowed objects first, so that they never become visible.
        for file_name in reversed(current.file_names[1:]):
            self._bucket.remove(self._places.of(key.label, file_name), deadline=deadline)
        name = self._places.of(key.label, current.file_names[0])
        self._bucket.remove(name, condition=condition, deadline=deadline)

    def _current(self, key: ConfigKey, deadline: float) -> _Current:
        present: set[str] = set()
        token = None
        begin = self._places.of(key.label, key.stem + ".")
        while True:
            rows, token = self._bucket.names(begin, deep=False, token=token, deadline=deadline)
            present |= {self._places.file_name(key.label, row.name) for row in rows}
            if token is None:
                break
        names = [name for name in file_names(key) if name in present]
        for position, file_name in enumerate(names):
            where = f"{key.label}/{file_name}"
            try:
                stored = self._bucket.read(
                    self._places.of(key.label, file_name),
                    limit=MAX_DOCUMENT_BYTES,
                    deadline=deadline,
                )
            except ConfigFormatError as error:
                raise error.at(where) from error
            if stored is not None:
                return _Current(file_names=names[position:], stored=stored)
        return _Current(file_names=(), stored=None)

    def _check_rewritable(self, key: ConfigKey, current: _Current) -> str:
        """Return the name of the file that a save writes."""
        file_name = current.file_names[0] if current.file_names else file_names(key)[0]
        check_rewritable(
            key,
            name=file_name,
            data=None if current.stored is None else current.stored.data,
            beside_properties=key.stem + PROPERTIES_SUFFIX in current.file_names,
        )
        return file_name

    def _condition(self, expected: Expected, current: _Current, deadline: float) -> Condition:
        if expected is ANY:
            return None
        honoured = self._what_is_honoured(deadline)
        if current.stored is None:  # and so the condition is `ABSENT`
            return honoured.create()
        return honoured.replace(current.stored.etag)

    def _what_is_honoured(self, deadline: float) -> Honoured:
        """Ask the store, once in a process."""
        if not self._probing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise BackendUnavailableError("the store did not answer in time")
        try:
            if self._honoured is None:
                self._was_asked = True
                self._honoured = probe(self._bucket, deadline=deadline)
                for header, refused in self._honoured.missing():
                    _LOG.warning(
                        "the store of bucket '%s' does not honour %s; refused: %s",
                        self._bucket.name,
                        header,
                        refused,
                    )
            return self._honoured
        finally:
            self._probing.release()

    def _remove_shadowed(self, key: ConfigKey, names: Sequence[str], deadline: float) -> None:
        """Remove what is not read any more; the save is done, whatever becomes of this."""
        for file_name in names:
            try:
                self._bucket.remove(self._places.of(key.label, file_name), deadline=deadline)
            except ConfigError as error:
                _LOG.warning("%s/%s is shadowed and stays: %s", key.label, file_name, error)


def _pause(attempt: int, deadline: float) -> None:
    """Let others finish."""
    longest = min(_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
    seconds = longest * random.random()  # noqa: S311 - spreads writers
    time.sleep(min(seconds, max(0.0, deadline - time.monotonic())))
