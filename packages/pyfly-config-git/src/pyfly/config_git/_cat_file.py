"""One long-lived `git cat-file --batch`, which is given object ids only. Blocking."""

import hashlib
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Final

from pyfly.config_core import BackendUnavailableError
from pyfly.config_git._process import Git, kill

_HEADER: Final = re.compile(rb"([0-9a-f]{40,64}) (blob|tree|commit|tag) ([0-9]+)\n")
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST_HEADER: Final = 256
_SHA1_LENGTH: Final = 40


class DamagedCloneError(Exception):
    """An object that must exist is missing, or its content is not that of its id."""


class TooLargeError(Exception):
    """An object is larger than the limit. It was not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitObject:
    """An object of the repository, verified by its id."""

    kind: str
    """`blob`, `tree`, `commit` or `tag`."""
    data: bytes = field(repr=False)


class CatFile:
    """Reads objects. Safe for use from several threads, one after the other.

    The process starts with the first object, and again after it was lost.

    Args:
        git: The repository.
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self._pipes: _Pipes | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id; `None` before the first object."""
        return None if self._pipes is None else self._pipes.process.pid

    def read(self, object_id: str, *, limit: int, deadline: float) -> GitObject:
        """Return an object.

        Args:
            object_id: The whole id.
            limit: The largest size in bytes.
            deadline: A time of the monotonic clock, for the wait for other threads.

        Raises:
            DamagedCloneError: It is missing, or its content is damaged.
            TooLargeError: It is larger than `limit`.
            BackendUnavailableError: Other threads take too long.
        """
        if not _OBJECT_ID.fullmatch(object_id):
            raise DamagedCloneError(f"a tree names an object with {len(object_id)} characters")
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise BackendUnavailableError("the store did not answer in time")
        try:
            if self._closed:
                raise DamagedCloneError("the clone was replaced")
            kind, data = self._ask_again(object_id, limit)
        finally:
            self._lock.release()
        if digest_of(kind, data, sha256=len(object_id) > _SHA1_LENGTH) != object_id:
            raise DamagedCloneError(f"the content of the object {object_id} is damaged")
        return GitObject(kind=kind, data=data)

    def close(self) -> None:
        """End the process, and refuse further reads."""
        with self._lock:
            self._closed = True
            pipes, self._pipes = self._pipes, None
            if pipes is not None:
                self._end(pipes)

    def _ask_again(self, object_id: str, limit: int) -> tuple[str, bytes]:
        """Ask; ask a new process once if this one has ended."""
        try:
            if self._pipes is not None:
                return self._ask(object_id, limit)
        except _EndedError:
            pass
        try:
            return self._ask(object_id, limit)
        except _EndedError as error:
            raise DamagedCloneError(f"git cannot read the object {object_id}") from error

    def _ask(self, object_id: str, limit: int) -> tuple[str, bytes]:
        """Return kind and content. After any other end the process is not used any more."""
        pipes, self._pipes = self._pipes or self._start(), None
        is_whole = False
        try:
            header = _header(pipes, object_id)
            is_whole = header is None
            kind, size = _kind_and_size(header, object_id)
            if size > limit:
                raise TooLargeError
            data = _content(pipes, size)
            is_whole = True
        finally:
            if is_whole:
                self._pipes = pipes
            else:
                self._end(pipes)
        return kind, data

    def _start(self) -> "_Pipes":
        process = self._git.start(
            ["git", f"--git-dir={self._git.directory}", "cat-file", "--batch"]
        )
        source, sink = process.stdout, process.stdin
        if source is None or sink is None or process.stderr is None:
            raise _EndedError
        process.stderr.close()  # nobody reads it
        return _Pipes(process=process, source=source, sink=sink)

    def _end(self, pipes: "_Pipes") -> None:
        kill(pipes.process)
        if self._git.running is not None:
            self._git.running.discard(pipes.process)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pipes:
    """A running process."""

    process: subprocess.Popen[bytes]
    source: IO[bytes]
    sink: IO[bytes]


def _header(pipes: _Pipes, object_id: str) -> bytes | None:
    """Ask for an object; return the line before its content, `None` if it is missing."""
    try:
        pipes.sink.write(object_id.encode() + b"\n")
        pipes.sink.flush()
        header = pipes.source.readline(_LONGEST_HEADER)
    except OSError as error:
        raise _EndedError from error
    return None if header == f"{object_id} missing\n".encode() else header


def _kind_and_size(header: bytes | None, object_id: str) -> tuple[str, int]:
    if header is None:
        raise DamagedCloneError(f"the object {object_id} is missing")
    match = _HEADER.fullmatch(header)
    if match is None or match[1].decode() != object_id:
        raise _EndedError
    return match[2].decode(), int(match[3])


def _content(pipes: _Pipes, size: int) -> bytes:
    data = pipes.source.read(size + 1)
    if len(data) != size + 1:
        raise _EndedError
    return data[:-1]


class _EndedError(Exception):
    """The process has ended, or has answered something else."""


def digest_of(kind: str, data: bytes, *, sha256: bool) -> str:
    """Return the id of an object with this content."""
    make = hashlib.sha256 if sha256 else hashlib.sha1
    found = make(f"{kind} {len(data)}\0".encode())
    found.update(data)
    return found.hexdigest()
