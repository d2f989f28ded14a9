"""Pushing a commit, and learning what became of it. The caller holds the lock of the remote."""

import logging
import re
import time
from dataclasses import dataclass
from typing import Final

from pyfly.config_core import BackendAccessDeniedError, BackendUnavailableError
from pyfly.config_git._mirror import Mirror
from pyfly.config_git._process import GitError
from pyfly.config_server.files import FilesChangedError

_LOG: Final = logging.getLogger(__name__)

_PUSH_SECONDS: Final = 20.0
_REJECTED: Final = re.compile(r"!\t[^\t]*\t(\[[^\]]*\](?: \((?P<reason>.*)\))?)")
_LOST_RACES: Final = (
    *("non-fast-forward", "fetch first", "stale info", "failed to update ref"),
    *("cannot lock ref", "reference already exists", "incorrect old value"),
)
_MAX_REASON: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchMove:
    """A branch that shall move from a commit to its child."""

    branch: str
    """It may not exist yet."""
    parent: str | None
    """Its last known commit; `None` for a new branch."""
    commit: str
    """The new commit."""


def push(mirror: Mirror, clone: str, move: BranchMove, *, lock: int) -> None:
    """Move a branch of the remote, if it is still where it was.

    A push without a lease would also move a branch that was removed, or set back to an older
    commit, in the meantime: what others have taken away would come back.

    Args:
        mirror: The clone of the remote.
        clone: The name of the clone that has the commit.
        move: The branch and its commits.
        lock: The open file of the lock.

    Raises:
        FilesChangedError: The branch has moved in the meantime; it was fetched.
        BackendAccessDeniedError: The remote refuses the commit.
        BackendUnavailableError: The remote does not answer.
    """
    branch, commit = move.branch, move.commit
    try:
        mirror.remote(clone, lock).run(
            *("push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed"),
            f"--force-with-lease=refs/heads/{branch}:{move.parent or ''}",
            *("--recurse-submodules=no", mirror.location.address),
            f"{commit}:refs/heads/{branch}",
            deadline=time.monotonic() + _PUSH_SECONDS,
        )
    except GitError as error:
        rejected = _REJECTED.search(error.output.decode(errors="replace"))
        if rejected is None:
            _learn(mirror, branch, commit, error, lock=lock)
            return
        reason = rejected["reason"] or rejected[1]
        if any(text in reason for text in _LOST_RACES):
            try:
                mirror.fetch_locked(lock)
            except BackendUnavailableError as away:
                raise BackendUnavailableError(f"{away}; nothing was written") from away
            raise FilesChangedError(f"the branch '{branch}' keeps moving") from error
        shown = "".join(one if one.isprintable() else " " for one in reason)[:_MAX_REASON]
        raise BackendAccessDeniedError(
            f"the remote refuses the save on the branch '{branch}': {shown}; nothing was written"
        ) from error
    mirror.moved(branch, commit)


def _learn(mirror: Mirror, branch: str, commit: str, error: GitError, *, lock: int) -> None:
    """Return if a push that failed has moved the branch nevertheless.

    Raises:
        BackendUnavailableError: It has not, or that cannot be learned.
    """
    try:
        mirror.fetch_locked(lock)
    except BackendUnavailableError as unknown:
        raise BackendUnavailableError(
            f"the save on the branch '{branch}' has failed, and perhaps was done: {error.reason}"
        ) from unknown
    snapshot = mirror.snapshot()
    head = None if snapshot is None else snapshot.refs.branches.get(branch)
    if (
        snapshot is not None
        and head is not None
        and _contains(mirror, snapshot.state.clone, commit, head)
    ):
        _LOG.info("the answer to a push was lost; it was done")
        return
    raise BackendUnavailableError(
        f"the save on the branch '{branch}' has failed: {error.reason}; nothing was written"
    ) from error


def _contains(mirror: Mirror, clone: str, commit: str, head: str) -> bool:
    try:
        mirror.local(clone).run(
            *("merge-base", "--is-ancestor", commit, head),
            deadline=time.monotonic() + _PUSH_SECONDS,
        )
    except GitError:
        return False
    return True
