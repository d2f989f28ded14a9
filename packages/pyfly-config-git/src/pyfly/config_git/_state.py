"""The directory of one remote: its clone, its lock, and what is known of the remote."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from pyfly.config_core import BackendUnavailableError
from pyfly.config_git._location import GitLocation, state_directory
from pyfly.config_git._refs import Refs

_LOCK_POLL_SECONDS: Final = 0.01
_PRIVATE: Final = 0o700
_OTHERS: Final = 0o077
_NAME_LENGTH: Final = 24
_STATE: Final = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all processes of this machine know of a remote."""

    clone: str
    """The name of the directory of the clone."""
    refs: Refs = field(default_factory=Refs)
    fetched_at: float
    """When the last fetch that succeeded began, in seconds of the wall clock."""
    lost_at: float | None = None
    """When a fetch first found that the branches are lost; `refs` are those before."""


class StateDirectory:
    """The directory of one remote. Safe for use from several threads and processes.

    Args:
        location: The remote.
    """

    def __init__(self, location: GitLocation) -> None:
        self.base: Final = state_directory(location)
        who = (
            location.transport,
            location.address,
            location.user,
            str(location.password_file),
            str(location.key_file),
            location.credentials,
        )
        digest = hashlib.sha256(repr(who).encode()).hexdigest()
        self.path: Final = self.base / digest[:_NAME_LENGTH]
        self.empty: Final = self.path / "home"

    def make(self) -> None:
        """Make the directories of this user only.

        Raises:
            BackendUnavailableError: They cannot be made, or other users may use them.
        """
        try:
            self.base.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            for path in (self.path, self.empty):
                path.mkdir(mode=_PRIVATE, exist_ok=True)
                status = path.lstat()
                if not stat.S_ISDIR(status.st_mode):
                    raise _unusable(path, "it is not a directory")
                if status.st_uid != os.geteuid():
                    raise _unusable(path, "it belongs to another user")
                if status.st_mode & _OTHERS:
                    raise _unusable(path, "other users may use it; allow its owner only")
        except OSError as error:
            raise _unusable(self.path, str(error.strerror)) from error

    @contextlib.contextmanager
    def lock(self, *, deadline: float) -> Generator[int]:
        """Hold the lock of the remote, which excludes other processes, too.

        Yields:
            The open file of the lock. A process that inherits it keeps the lock until it ends.

        Raises:
            BackendUnavailableError: It was held by another until the deadline.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self.path / "lock", flags, 0o600)
        except OSError as error:
            raise _unusable(self.path, str(error.strerror)) from error
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise BackendUnavailableError(
                            "another fetch or save does not finish"
                        ) from None
                    time.sleep(_LOCK_POLL_SECONDS)
            yield descriptor
        finally:
            os.close(descriptor)

    def signature(self) -> tuple[int, int, int] | None:
        """Return a value that changes whenever the state does; `None` if there is no state."""
        try:
            status = (self.path / _STATE).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def read(self) -> State | None:
        """Return the state; `None` if there is none, or if it is damaged."""
        try:
            found = json.loads((self.path / _STATE).read_bytes())
            state = State(
                clone=str(found["clone"]),
                refs=Refs(branches=_texts(found["branches"]), tags=_texts(found["tags"])),
                fetched_at=float(found["fetched_at"]),
                lost_at=found["lost_at"],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return state if (self.path / state.clone / "HEAD").is_file() else None

    def write(self, state: State) -> None:
        """Replace the state, atomically and durably. The caller holds the lock.

        Raises:
            BackendUnavailableError: The disk is full, or not writable.
        """
        found = {
            "clone": state.clone,
            "branches": dict(state.refs.branches),
            "tags": dict(state.refs.tags),
            "fetched_at": state.fetched_at,
            "lost_at": state.lost_at,
        }
        temporary = self.path / f"{_STATE}.new"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(found, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / _STATE)
        except OSError as error:
            raise _unusable(self.path, str(error.strerror)) from error

    def remove_clone(self, name: str) -> None:
        """Remove a clone that is no longer used."""
        shutil.rmtree(self.path / name, ignore_errors=True)

    def clones(self) -> list[str]:
        """Return the names of all clones."""
        return sorted(path.name for path in self.path.glob("clone-*"))


def _texts(found: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in cast("dict[object, object]", found).items()}


def _unusable(path: Path, reason: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"the directory for clones {path} cannot be used: {reason}")
