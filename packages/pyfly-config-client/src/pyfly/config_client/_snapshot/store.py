"""Snapshots and the baseline on the disk."""

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyfly.config_client._files import WRITE_NEW, check_private, read_file
from pyfly.config_client._identity import Identity
from pyfly.config_client._snapshot.format import (
    Snapshot,
    SnapshotCipher,
    decode_snapshot,
    encode_snapshot,
    file_stem,
    same_content,
)
from pyfly.config_client.errors import SnapshotError

OFF: Final = "off"
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
_TEMPORARY: Final = re.compile(r"\..+\.snapshot\.[0-9]+-[0-9a-f]{8}")
_LEFT_BEHIND_SECONDS: Final = 60.0
"""A temporary file of this age belongs to a process that was killed while it wrote."""


def default_directory() -> Path:
    """Return where snapshots live: `$XDG_STATE_HOME/pyfly-config`.

    Raises:
        SnapshotError: This user has no home.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):  # the XDG rules: anything else is ignored
        try:
            state = str(Path.home() / ".local" / "state")
        except RuntimeError as error:
            raise SnapshotError("no place: this user has no home directory") from error
    return Path(state) / "pyfly-config"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SnapshotStore:
    """The files of one identity: two generations of its snapshot, and a baseline to read."""

    identity: Identity
    directory: str | None
    """`None` is the default directory, `off` none."""
    baseline: Path | None
    cipher: SnapshotCipher | None

    @property
    def enabled(self) -> bool:
        """Whether snapshots are written at all."""
        return self.directory != OFF

    def path(self) -> Path:
        """Return the file of the newest snapshot.

        Raises:
            SnapshotError: There is no place for it.
        """
        directory = default_directory() if self.directory is None else Path(self.directory)
        return directory / f"{file_stem(self.identity)}.snapshot"

    def read(self) -> tuple[tuple[Snapshot, ...], tuple[str, ...]]:
        """Return what can be used, the best first, and why there is no more."""
        found: list[Snapshot] = []
        faults: list[str] = []
        if self.enabled:
            with contextlib.suppress(SnapshotError, OSError):
                _remove_leftovers(self.path().parent)
        for read in self._readers():
            try:
                found.append(read())
            except SnapshotError as error:
                faults.append(str(error))
        return tuple(found), tuple(faults)

    def _readers(self) -> Iterator[Callable[[], Snapshot]]:
        if self.enabled:
            yield lambda: self._read(self.path())
            if self._has_previous():
                yield lambda: self._read(_previous(self.path()))
        if self.baseline is not None:
            yield self._read_baseline

    def _has_previous(self) -> bool:
        try:
            return _previous(self.path()).exists()
        except (SnapshotError, OSError):
            return False

    def _read(self, path: Path) -> Snapshot:
        data = _read_file(path, what="snapshot")
        try:
            return decode_snapshot(data, self.identity, self.cipher)
        except SnapshotError as error:
            raise SnapshotError(f"snapshot {path}: {error}") from error

    def _read_baseline(self) -> Snapshot:
        path = Path(self.baseline or "")
        body = _read_file(path, what="baseline")
        return Snapshot(body=body, url=str(path), saved_at=time.time(), origin="baseline")

    def write(self, snapshot: Snapshot) -> Snapshot:
        """Write a snapshot, durably and at once, and return it as read back.

        The one before becomes the previous generation, unless it holds the same or is damaged.

        Raises:
            SnapshotError: It cannot be written, or is not what was written.
        """
        path = self.path()
        try:
            _prepare(path.parent)
            with contextlib.suppress(SnapshotError, FileNotFoundError):
                if not same_content(self._read(path), snapshot):
                    os.replace(path, _previous(path))  # noqa: PTH105 - as the other steps
            _write_file(path, encode_snapshot(snapshot, self.identity, self.cipher))
        except OSError as error:
            raise SnapshotError(f"snapshot {path}: cannot be written: {error.strerror}") from error
        return self._read(path)


def _previous(path: Path) -> Path:
    return path.with_suffix(".previous")


def _prepare(directory: Path) -> None:
    """Make the directory, or refuse one that others can write into."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=_PRIVATE_DIRECTORY, exist_ok=True)
    try:
        check_private(directory.stat())
    except OSError as error:
        raise SnapshotError(
            f"snapshot {directory}: the directory {error.strerror}; name a directory of your "
            "own, which is made if it does not exist"
        ) from None
    _remove_leftovers(directory)


def _remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that killed processes have left; they hold values."""
    youngest = time.time() - _LEFT_BEHIND_SECONDS
    with os.scandir(directory) as entries:
        for entry in entries:
            if not _TEMPORARY.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):  # another process was faster
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_mtime < youngest:
                    os.unlink(entry.path)  # noqa: PTH108 - as the other steps


def _read_file(path: Path, *, what: str) -> bytes:
    try:
        return read_file(path, limit=MAX_FILE_BYTES, private=what == "snapshot")
    except FileNotFoundError as error:
        raise SnapshotError(f"{what} {path}: there is none") from error
    except OSError as error:
        raise SnapshotError(f"{what} {path}: cannot be read: {error.strerror}") from error


def _write_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(temporary, WRITE_NEW, _PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - as the other steps
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open one
        _flush_directory(path.parent)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
