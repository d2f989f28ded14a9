"""Snapshots and the baseline on the disk."""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
_WRITABLE_BY_OTHERS: Final = 0o022


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
    if hasattr(os, "geteuid"):
        _check_private(directory.stat(), str(directory))


def _check_private(status: os.stat_result, name: str) -> None:
    foreign = status.st_uid not in {os.geteuid(), 0}
    if foreign or status.st_mode & _WRITABLE_BY_OTHERS:
        raise SnapshotError(
            f"snapshot {name}: somebody else can write there; name a directory of your own, "
            "which is made when it does not exist"
        )


def _read_file(path: Path, *, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SnapshotError(f"{what} {path}: is not a file")
            if what == "snapshot" and hasattr(os, "geteuid"):
                _check_private(status, str(path))
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise SnapshotError(f"{what} {path}: there is none") from error
    except OSError as error:
        raise SnapshotError(f"{what} {path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise SnapshotError(f"{what} {path}: is larger than {MAX_FILE_BYTES:,} bytes")
    return data


def _write_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - as the other steps
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _flush_directory(path.parent)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
