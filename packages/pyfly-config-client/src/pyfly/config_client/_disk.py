"""What lies on the disk: files, read without waiting and written atomically, and snapshots.

A snapshot is the last good response, verified and optionally encrypted. Its file has three parts:

    pyfly-config-snapshot 1 sha256=<digest of everything below this line>
    {"identity": …, "saved_at": …, "url": …, …}
    <the body of the response, or its cipher text>
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import string
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from pyfly.config_client._requests import Identity
from pyfly.config_client.errors import SnapshotError

if TYPE_CHECKING:
    from pyfly.config_client._encryption import SnapshotCipher

_MARK: Final = b"pyfly-config-snapshot"
_FORMAT: Final = b"1"
_HEADER: Final[Mapping[str, Any]] = {
    "identity": dict,
    "saved_at": int | float,
    "url": str,
    "label": str | None,
    "etag": str | None,
    "encrypted": bool,
}
"""The fields of the second line and their types."""
_IN_FILE_NAMES: Final = frozenset(f"{string.ascii_letters}{string.digits}.-")
_LATEST: Final = 2**36
"""Seconds since 1970; a time that every system can show."""


class Snapshot(NamedTuple):
    """A verified response, and where it came from."""

    body: bytes
    """The environment document as the server sent it."""
    url: str
    """Without credentials."""
    saved_at: float
    """Seconds since 1970, by the clock of this machine."""
    label: str | None = None
    """The first of the requested labels that exists."""
    etag: str | None = None
    origin: Literal["server", "snapshot", "baseline"] = "server"
    """Where it was read from; not part of the file."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


def encode_snapshot(
    snapshot: Snapshot, identity: Identity, cipher: "SnapshotCipher | None"
) -> bytes:
    """Return the bytes of a file."""
    header = {
        "identity": identity._asdict(),
        "saved_at": snapshot.saved_at,
        "url": snapshot.url,
        "label": snapshot.label,
        "etag": snapshot.etag,
        "encrypted": cipher is not None,
    }
    line = json.dumps(header, sort_keys=True).encode()
    body = snapshot.body if cipher is None else cipher.encrypt(snapshot.body, line)
    content = line + b"\n" + body
    digest = hashlib.sha256(content).hexdigest().encode()
    return b"%s %s sha256=%s\n%s" % (_MARK, _FORMAT, digest, content)


def decode_snapshot(data: bytes, identity: Identity, cipher: "SnapshotCipher | None") -> Snapshot:
    """Return the snapshot in the bytes of a file.

    Raises:
        SnapshotError: They are not a whole snapshot, belong to another identity, or cannot be
            decrypted. The error says why and shows no value.
    """
    line, body = _split(data)
    header = _read_header(line)
    if header["identity"] != json.loads(json.dumps(identity._asdict())):
        raise SnapshotError("belongs to another application, profile, label or server")
    if header["encrypted"] != (cipher is not None):
        needs_key = "is encrypted, and snapshot_key is not given"
        raise SnapshotError(needs_key if cipher is None else "is not encrypted")
    return Snapshot(
        body=body if cipher is None else cipher.decrypt(body, line),
        url=header["url"],
        saved_at=header["saved_at"],
        label=header["label"],
        etag=header["etag"],
        origin="snapshot",
    )


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return the second line of a file and its body, after the first line was checked."""
    first, newline, content = data.partition(b"\n")
    mark, _, rest = first.partition(b" ")
    number, _, digest = rest.partition(b" sha256=")
    if mark != _MARK or not number.isdigit() or not newline:
        raise SnapshotError("is damaged: its first line is not that of a snapshot")
    if number != _FORMAT:
        raise SnapshotError("has a format that this version cannot read")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise SnapshotError("is damaged: it does not match its checksum")
    line, _, body = content.partition(b"\n")
    return line, body


def _read_header(line: bytes) -> Mapping[str, Any]:
    """Return the fields of the second line, which another version may have written."""
    try:
        header: object = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    fields = cast("dict[str, Any]", header) if isinstance(header, dict) else {}
    for name, kind in _HEADER.items():
        if name not in fields or not isinstance(fields[name], kind):
            raise SnapshotError(f"is damaged: its second line has no valid {name!r}")
    if not 0 <= fields["saved_at"] < _LATEST:
        raise SnapshotError("is damaged: its time is not valid")
    return fields


def same_content(one: Snapshot, other: Snapshot) -> bool:
    """True if two snapshots differ only in their times."""
    return one._replace(saved_at=other.saved_at, origin=other.origin) == other


def file_stem(identity: Identity) -> str:
    """Return a readable file name for an identity, without slashes and suffix.

    >>> file_stem(Identity(servers=("a",), application="x/y", profiles="p,q", labels=(None,)))
    'x_y-p_q-3edd30a6c940964a'
    """
    given = f"{identity.application}-{identity.profiles}"
    names = "".join(one if one in _IN_FILE_NAMES else "_" for one in given)
    digest = hashlib.sha256(json.dumps(identity._asdict()).encode()).hexdigest()
    return f"{names[:80].lstrip('.')}-{digest[:16]}"


# --- snapshots in files ---------------------------------------------------------------

OFF: Final = "off"
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_PRIVATE_DIRECTORY: Final = 0o700
_TEMPORARY: Final = r"\..+\.snapshot\.[0-9]+-[0-9a-f]{8}"
_LEFT_BEHIND_SECONDS: Final = 60.0
"""A temporary file of this age was left behind by a process that was killed."""


def default_directory() -> Path:
    """Return the default directory of snapshots: `$XDG_STATE_HOME/pyfly-config`.

    Raises:
        SnapshotError: This user has no home directory.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):  # XDG requires to ignore other values
        try:
            state = str(Path.home() / ".local" / "state")
        except RuntimeError as error:
            raise SnapshotError("this user has no home directory; set snapshot_dir") from error
    return Path(state) / "pyfly-config"


class SnapshotStore(NamedTuple):
    """The files of one identity: the last two snapshots, and a baseline that is only read."""

    identity: Identity
    directory: str | None
    """`None` is the default directory; `off` disables snapshots."""
    baseline: Path | None
    cipher: "SnapshotCipher | None"

    @property
    def enabled(self) -> bool:
        """True if snapshots are read and written."""
        return self.directory != OFF

    def path(self) -> Path:
        """Return the file of the newest snapshot.

        Raises:
            SnapshotError: This user has no home directory.
        """
        directory = default_directory() if self.directory is None else Path(self.directory)
        return directory / f"{file_stem(self.identity)}.snapshot"

    def read(self) -> tuple[tuple[Snapshot, ...], tuple[str, ...]]:
        """Return the snapshots that can be used, the best first, and why others cannot be used."""
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
        """Write a snapshot atomically and durably, and return it as read back.

        The existing file becomes the previous one, unless it has the same content or is damaged.
        If another process has written another snapshot meanwhile, this one is returned.

        Raises:
            SnapshotError: It cannot be written, or cannot be read back.
        """
        path = self.path()
        try:
            _prepare(path.parent)
            with contextlib.suppress(SnapshotError, FileNotFoundError):
                if not same_content(self._read(path), snapshot):
                    os.replace(path, _previous(path))  # noqa: PTH105 - as the other steps
            write_file(path, encode_snapshot(snapshot, self.identity, self.cipher))
        except OSError as error:
            raise SnapshotError(f"snapshot {path}: cannot be written: {error.strerror}") from error
        found = self._read(path)
        return found if same_content(found, snapshot) else snapshot


def _previous(path: Path) -> Path:
    return path.with_suffix(".previous")


def _prepare(directory: Path) -> None:
    """Create the directory, or reject one that other users can write to."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=_PRIVATE_DIRECTORY, exist_ok=True)
    try:
        check_private(directory.stat())
    except OSError as error:
        raise SnapshotError(
            f"snapshot {directory}: the directory {error.strerror}; set snapshot_dir to a "
            "directory of this user; it is created if it does not exist"
        ) from None
    _remove_leftovers(directory)


def _remove_leftovers(directory: Path) -> None:
    """Remove temporary files that killed processes left behind; they contain values."""
    youngest = time.time() - _LEFT_BEHIND_SECONDS
    with os.scandir(directory) as entries:
        for entry in entries:
            if not (entry.name.startswith(".") and re.fullmatch(_TEMPORARY, entry.name)):
                continue
            with contextlib.suppress(OSError):  # another process was faster
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_mtime < youngest:
                    os.unlink(entry.path)  # noqa: PTH108 - as the other steps


def _read_file(path: Path, *, what: str) -> bytes:
    try:
        return read_file(path, limit=MAX_FILE_BYTES, private=what == "snapshot")
    except FileNotFoundError as error:
        raise SnapshotError(f"{what} {path}: does not exist") from error
    except OSError as error:
        raise SnapshotError(f"{what} {path}: cannot be read: {error.strerror}") from error


# --- files ----------------------------------------------------------------------------

_BINARY: Final = getattr(os, "O_BINARY", 0)  # Windows
_CLOSED_ON_EXEC: Final = getattr(os, "O_CLOEXEC", 0)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
_WRITE_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY | _CLOSED_ON_EXEC
"""The flags to create a file that must not exist yet."""

_WRITABLE_BY_OTHERS: Final = 0o022
_PRIVATE_FILE: Final = 0o600


def read_file(path: str | os.PathLike[str], *, limit: int, private: bool = False) -> bytes:
    """Return the content of a regular file.

    A FIFO, a socket or a device is rejected at once, without waiting for its other end.

    Args:
        path: A link to a file is followed unless the file must be private.
        limit: The largest size in bytes.
        private: Reject a link, a file of another user except root, and a file that others can
            write.

    Raises:
        OSError: The file cannot be read or is rejected; `strerror` says why.
    """
    flags = os.O_RDONLY | _NO_WAIT | _BINARY | _CLOSED_ON_EXEC | (_NO_LINK if private else 0)
    if private and os.path.islink(path):  # noqa: PTH114 - beside `os.open`; its error is unclear
        raise _rejection("is a symbolic link")
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _rejection("is not a regular file")
        if private:
            check_private(status)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise _rejection(f"is larger than {limit:,} bytes")
    return data


def check_private(status: os.stat_result) -> None:
    """Reject a file or a directory that another user could have written to.

    Raises:
        OSError: The owner is neither this user nor root, or others can write it.
    """
    if not hasattr(os, "geteuid"):  # Windows has other permissions
        return
    if status.st_uid not in {os.geteuid(), 0}:
        raise _rejection("belongs to another user")
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise _rejection("can be written by other users")


def _rejection(why: str) -> OSError:
    return OSError(0, why)


def write_file(path: Path, data: bytes) -> None:
    """Write a private file atomically and durably: readers see the old or the new content.

    Raises:
        OSError: It cannot be written; the old content stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(temporary, _WRITE_NEW, _PRIVATE_FILE)
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
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot open directories
        _flush_directory(path.parent)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
