"""The file that holds every bundle: a line of JSON for each, read whole and replaced whole.

Nothing here is async. What the operating system says becomes an error of `pyfly.config_core`
here and nowhere else.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendUnavailableError,
    ConfigFormatError,
    ConfigKey,
)
from pyfly.config_server.storage import ConfigSource, Expected, check_expected

NAME: Final = "bundles.jsonl"

_TEMPORARY: Final = f"{NAME}.tmp"
_LOCK_SECONDS: Final = 10.0
_LOCK_POLL_SECONDS: Final = 0.01
_MALFORMED: Final = (ValueError, TypeError, AttributeError, KeyError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """What tells a file from another one, without its content."""

    number: int
    """The inode."""
    size: int
    """In bytes."""
    changed_ns: int
    """When it was changed, in nanoseconds since 1970."""


class BundleFile:
    """The file `bundles.jsonl` in a directory, which must exist.

    Readers need no lock: a save puts a new file in place of the old one, so that a reader that
    has opened the file reads one of the two to its end. Writers take turns, across processes too.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def data(self) -> bytes:
        """Return the bytes of the file; none before the first save.

        Raises:
            BackendAccessDeniedError: The file may not be read.
            BackendUnavailableError: The directory is not there, or anything else.
        """
        with _translated("read"):
            try:
                return (self._directory / NAME).read_bytes()
            except FileNotFoundError:
                if not self._directory.is_dir():  # a missing disk is not an empty store
                    raise
                return b""

    def identity(self) -> FileIdentity:
        """Return what tells this file from the one that a save puts in its place."""
        with _translated("read"):
            try:
                found = (self._directory / NAME).stat()
            except FileNotFoundError:
                found = self._directory.stat()  # no save yet; a missing disk is an error
            return FileIdentity(
                number=found.st_ino, size=found.st_size, changed_ns=found.st_ctime_ns
            )

    def read(self) -> dict[ConfigKey, ConfigSource]:
        """Return every bundle, in the order of a listing.

        Raises:
            ConfigFormatError: A line is not one that this class writes.
        """
        lines = enumerate(self.data().splitlines(), start=1)
        sources = (_decode(line, number) for number, line in lines)
        ordered = sorted(sources, key=lambda source: source.key.sort_key)
        return {source.key: source for source in ordered}

    def commit(self, source: ConfigSource, expected: Expected) -> str:
        """Store a bundle if `expected` holds; return its new version, never used before."""
        version = secrets.token_hex(8)
        with self._locked() as directory:
            bundles = self.read()
            _check(bundles, source.key, expected)
            bundles[source.key] = replace(source, version=version)
            _write(directory, bundles)
        return version

    def delete(self, key: ConfigKey, expected: Expected) -> None:
        """Remove a bundle if `expected` holds."""
        with self._locked() as directory:
            bundles = self.read()
            _check(bundles, key, expected)
            if bundles.pop(key, None) is not None:
                _write(directory, bundles)

    @contextlib.contextmanager
    def _locked(self) -> Generator[int]:
        """Open the directory and hold its lock, which dies with the process that holds it."""
        with _translated("write"):
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _lock(directory)
                yield directory
            finally:
                os.close(directory)


def _check(bundles: dict[ConfigKey, ConfigSource], key: ConfigKey, expected: Expected) -> None:
    current = bundles[key].version if key in bundles else None
    check_expected(key, expected=expected, current=current)


def _write(directory: int, bundles: dict[ConfigKey, ConfigSource]) -> None:
    """Put a new file in place of the old one; the lock must be held."""
    data = b"".join(_encode(source) for source in bundles.values())
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(_TEMPORARY, flags, 0o600, dir_fd=directory), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # the content before the name, or a crash leaves an empty file
    os.replace(_TEMPORARY, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def _encode(source: ConfigSource) -> bytes:
    row = {
        "application": source.application,
        "profile": source.profile,
        "label": source.label,
        "version": source.version,
        "properties": source.properties,
    }
    return json.dumps(row).encode() + b"\n"


def _decode(line: bytes, number: int) -> ConfigSource:
    try:
        row: dict[str, Any] = json.loads(line)
        return ConfigSource(version=row.pop("version"), **row)
    except _MALFORMED as error:
        reason = "not a bundle as this store writes it"
        raise ConfigFormatError(reason, where=NAME, line=number) from error


def _lock(directory: int) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise BackendUnavailableError(
                    "another process is writing and does not finish; nothing was written"
                ) from error
            time.sleep(_LOCK_POLL_SECONDS)


@contextlib.contextmanager
def _translated(what: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        reason = f"cannot {what} the store: {error.strerror}"
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise BackendAccessDeniedError(reason) from error
        raise BackendUnavailableError(reason) from error
