"""The clone of a remote, which all processes of a user share. Blocking."""

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pyfly.config_core import BackendUnavailableError, ConfigError
from pyfly.config_git._cat_file import DamagedCloneError, TooLargeError
from pyfly.config_git._clone import Clone, move_branch
from pyfly.config_git._credentials import needs_passphrase, read_credential
from pyfly.config_git._environment import (
    local_environment,
    remote_environment,
    remote_options,
)
from pyfly.config_git._location import GitLocation
from pyfly.config_git._objects import Objects
from pyfly.config_git._process import Git, GitError, RunningProcesses
from pyfly.config_git._refs import Refs, lost_branches
from pyfly.config_git._state import State, StateDirectory
from pyfly.config_git._tidying import tidy

_LOG: Final = logging.getLogger(__name__)

FETCH_SECONDS: Final = 120.0
"""The longest time of a fetch."""
CLONE_SECONDS: Final = 1800.0
"""The longest time of the first fetch."""
_VERIFY_AGAIN: Final = 600.0
"""While fetches fail, the clone is verified as often as this."""
_TIDY_GRACE_SECONDS: Final = 2.0
_FOLLOW_SECONDS: Final = 2.0
"""The longest time that new commits wait until what differs in them is parsed."""
_SECOND_LOOK: Final = 0.5
"""A loss is believed when it is seen again after this part of the time between two fetches."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """The last known state of the remote, and its objects."""

    state: State
    objects: Objects

    @property
    def refs(self) -> Refs:
        """Branches and tags. While nothing changes, it is the same object."""
        return self.state.refs


class Mirror:
    """The clone of one remote. Safe for use from several threads and processes.

    Args:
        location: The remote.
    """

    def __init__(self, location: GitLocation) -> None:
        self.location: Final = location
        self._directory = StateDirectory(location)
        self._running = RunningProcesses()
        self._guard = threading.Lock()
        self._signature: object = None
        self._snapshot: Snapshot | None = None
        self._is_private = False
        self._damaged: set[str] = set()
        self._verify_at = 0.0
        self._tidying: threading.Thread | None = None

    # --- reading ----------------------------------------------------------------------

    def snapshot(self) -> Snapshot | None:
        """Return the last known state; `None` before the first fetch.

        Raises:
            BackendUnavailableError: The directory for clones cannot be used.
        """
        with self._guard:
            if not self._is_private:
                self._directory.make()
                self._is_private = True
            signature = self._directory.signature()
            if signature != self._signature:
                state = None if signature is None else self._directory.read()
                self._snapshot = self._next_snapshot(state)
                self._signature = signature
            return self._snapshot

    def _next_snapshot(self, state: State | None) -> Snapshot | None:
        before = self._snapshot
        if before is not None and (state is None or state.clone != before.state.clone):
            before.objects.close()
        if state is None:
            return None
        if before is None or state.clone != before.state.clone:
            return Snapshot(state=state, objects=Objects(self.local(state.clone)))
        if state.refs == before.refs:
            state = replace(state, refs=before.refs)
        return Snapshot(state=state, objects=before.objects)

    def local(self, clone: str) -> Git:
        """Return git for a clone, for commands that reach no remote."""
        return Git(
            directory=self._directory.path / clone,
            environment=local_environment(self._directory.empty),
            running=self._running,
        )

    def report_damage(self, snapshot: Snapshot, error: DamagedCloneError) -> None:
        """Note that a clone is damaged, so that the next fetch makes a new one."""
        name = snapshot.state.clone
        with self._guard:
            is_new = name not in self._damaged
            self._damaged.add(name)
        if is_new:
            _LOG.warning(
                "the clone %s of %s is damaged and will be replaced: %s",
                self._directory.path / name,
                self.location.address,
                error,
            )

    def is_damaged(self, snapshot: Snapshot) -> bool:
        """True if damage of this clone was reported."""
        return snapshot.state.clone in self._damaged

    def close(self) -> None:
        """End all processes, and refuse further ones. Tidying gets two seconds to end.

        Otherwise short commands would never finish it.
        """
        if self._tidying is not None:
            self._tidying.join(_TIDY_GRACE_SECONDS)
        self._running.close()
        with self._guard:
            if self._snapshot is not None:
                self._snapshot.objects.close()

    # --- fetching ---------------------------------------------------------------------

    def fetch(self, *, since: float) -> None:
        """Fetch all branches and tags, unless a fetch has begun at `since` or later.

        Args:
            since: Seconds of the wall clock.

        Raises:
            BackendUnavailableError: The remote cannot be reached, or has lost its branches for
                the first time, or this machine lacks something. The last state stays.
        """
        if self._is_recent(self.snapshot(), since):
            return
        deadline = time.monotonic() + FETCH_SECONDS
        with self._directory.lock(deadline=deadline) as lock:
            if not self._is_recent(self.snapshot(), since):
                self.fetch_locked(lock)

    def _is_recent(self, snapshot: Snapshot | None, since: float) -> bool:
        if snapshot is None or self.is_damaged(snapshot) or snapshot.state.lost_at is not None:
            return False
        return since <= snapshot.state.fetched_at <= time.time()

    @contextmanager
    def lock(self, *, deadline: float) -> Generator[int]:
        """Hold the lock of the remote; see `StateDirectory.lock`."""
        with self._directory.lock(deadline=deadline) as lock:
            yield lock

    def fetch_locked(self, lock: int) -> None:
        """Fetch. The caller holds the lock.

        Raises:
            BackendUnavailableError: As `fetch`.
        """
        before = self.snapshot()
        is_usable = before is not None and not self.is_damaged(before)
        name = before.state.clone if before is not None and is_usable else self._new_name()
        seconds = FETCH_SECONDS if is_usable else CLONE_SECONDS
        began, deadline = time.time(), time.monotonic() + seconds
        clone = Clone(self.local(name), self.remote(name, lock))
        try:
            refs = clone.fetch(self.location.address, deadline=deadline)
        except (GitError, OSError) as error:
            if before is not None and is_usable:
                self._keep(before, clone, deadline)
            else:
                self._directory.remove_clone(name)
            reason = error.reason if isinstance(error, GitError) else error.strerror
            raise BackendUnavailableError(
                f"{self.location.address} cannot be fetched: {reason}{self._key_remark()}"
            ) from error
        if before is not None:
            self._check_lost(before.state, refs, began)
            if is_usable:
                _follow(before, refs, min(deadline, time.monotonic() + _FOLLOW_SECONDS))
        self._directory.write(State(clone=name, refs=refs, fetched_at=began))
        self._after_fetch(clone, before, refs, is_new=not is_usable)

    def _key_remark(self) -> str:
        """Return what ssh does not say about its key."""
        where = self.location
        if where.key_file is None or where.passphrase_file is not None or where.uses_agent:
            return ""
        if not needs_passphrase(where.key_file):
            return ""
        return (
            f"; the key {where.key_file} has a passphrase: name a file that holds it in "
            "passphrase_file=, or use a key without one"
        )

    def _keep(self, before: Snapshot, clone: Clone, deadline: float) -> None:
        """Keep what a failed fetch has brought, unless it failed because the clone is damaged.

        A removal is believed after a whole fetch only: git also leaves out what it cannot read.
        """
        if time.monotonic() >= self._verify_at:
            self._verify_at = time.monotonic() + _VERIFY_AGAIN
            if clone.is_damaged():
                self.report_damage(before, DamagedCloneError("git finds that it is not whole"))
                return
        try:
            found = clone.refs(deadline=deadline)
        except GitError:
            return
        refs = Refs(
            branches={**before.refs.branches, **found.branches},
            tags={**before.refs.tags, **found.tags},
        )
        if refs != before.refs:
            self._directory.write(replace(before.state, refs=refs))

    def _check_lost(self, before: State, refs: Refs, began: float) -> None:
        """Refuse to believe at once that the default branch was removed, or ever that all were.

        To git, an answer over HTTP that is cut in its headers looks like an empty repository.

        Raises:
            BackendUnavailableError: It is seen for the first time, or all branches are gone.
        """
        lost = lost_branches(before.refs, refs)
        if lost is None:
            return
        lost_at = began if before.lost_at is None else before.lost_at
        is_old = began - lost_at >= self.location.refresh * _SECOND_LOOK
        if refs.branches and before.lost_at is not None and is_old:
            _LOG.warning("%s has lost %s", self.location.address, lost)
            return
        self._directory.write(replace(before, lost_at=lost_at))
        until = "that is seen again"
        if not refs.branches:
            until = f"it has a branch again, or {self._directory.path} is removed"
        raise BackendUnavailableError(
            f"{self.location.address} has lost {lost}; the state before is kept until {until}"
        )

    def _after_fetch(
        self, clone: Clone, before: Snapshot | None, refs: Refs, *, is_new: bool
    ) -> None:
        """Log what was rewritten or removed; remove old clones; tidy."""
        if before is not None and not is_new:
            for line in clone.surprises(before.refs, refs, before.objects):
                _LOG.warning("%s: %s", self.location.address, line)
        current = self.snapshot()
        name = clone.local.directory.name
        for other in self._directory.clones():
            if other != name and current is not None and current.state.clone == name:
                self._directory.remove_clone(other)
        if refs.listed and (is_new or before is None or before.refs != refs):
            self._tidy(clone.local)

    def _tidy(self, git: Git) -> None:
        """Tidy a clone in a thread: fetches and saves do not wait for it."""
        if self._tidying is None or not self._tidying.is_alive():
            thread = threading.Thread(
                target=tidy, args=(git,), name="pyfly-config-git-tidy", daemon=True
            )
            thread.start()
            self._tidying = thread

    def _new_name(self) -> str:
        numbers = [int(name.rpartition("-")[2] or 0) for name in self._directory.clones()]
        return f"clone-{max(numbers, default=0) + 1}"

    def remote(self, clone: str, lock: int) -> Git:
        """Return git for a clone, for commands that reach the remote.

        Args:
            clone: The name of the clone.
            lock: The open file of the lock, which the processes keep.

        Raises:
            BackendUnavailableError: The password cannot be read, or there is none.
        """
        is_http = self.location.transport in {"http", "https"}
        credential = read_credential(self.location, running=self._running)
        return Git(
            directory=self._directory.path / clone,
            environment=remote_environment(
                self.location,
                empty=self._directory.empty,
                credential=credential,
                configuration=self._configuration(),
            ),
            options=remote_options(self.location, has_password=is_http and credential is not None),
            secrets=() if credential is None else (credential.secret,),
            is_polite=True,
            running=self._running,
            inherited=(lock,),
        )

    def _configuration(self) -> Path | None:
        """Write the setting that lets git read a local repository of another user."""
        if not self.location.trusts_owner:
            return None
        path = self._directory.path / "gitconfig"
        directory = self.location.address.removeprefix("file://")
        escaped = directory.replace("\\", "\\\\").replace('"', '\\"')
        text = f'[safe]\n\tdirectory = "{escaped}"\n\tdirectory = "{escaped}/.git"\n'
        path.write_text(text, encoding="utf-8")
        return path

    # --- writing ----------------------------------------------------------------------

    def moved(self, branch: str, commit: str) -> None:
        """Note that a branch of the remote was moved by a push. The caller holds the lock.

        The save is done: what cannot be noted here is brought by the next fetch.
        """
        snapshot = self.snapshot()
        if snapshot is None:
            return
        deadline = time.monotonic() + FETCH_SECONDS
        git = self.local(snapshot.state.clone)
        refs = replace(snapshot.refs, branches={**snapshot.refs.branches, branch: commit})
        try:
            move_branch(git, branch, commit, deadline=deadline)
            self._directory.write(replace(snapshot.state, refs=refs))
        except (GitError, OSError, BackendUnavailableError) as error:
            _LOG.warning("a save on the branch '%s' was pushed; its clone lags: %s", branch, error)


def _follow(before: Snapshot, refs: Refs, deadline: float) -> None:
    """Parse what has changed in labels that are read, so that readers do not wait for it."""
    old = before.refs.labels
    pairs = {(old[name], new) for name, new in refs.labels.items() if old.get(name, new) != new}
    for commit, new in pairs:
        try:
            before.objects.follow(commit, new, deadline=deadline)
        except (DamagedCloneError, TooLargeError, ConfigError) as error:  # a reader finds it again
            _LOG.debug("what has changed cannot be read: %s", error)
            return
