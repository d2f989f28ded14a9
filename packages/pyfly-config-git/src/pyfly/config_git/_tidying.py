"""Tidying a clone beside fetches and saves, and removing what killed commands left in it.

Packs that have piled up are joined without the lock of the remote, because that may take minutes.
Git lets fetches and reads go on meanwhile; see the notes of `git help gc`. It removes what no
branch has reached for two weeks. Should a branch come back to such a commit at that moment, the
clone is found to be damaged, and is made anew.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Final

from pyfly.config_core import BackendUnavailableError
from pyfly.config_git._process import Git, GitError

_LOG: Final = logging.getLogger(__name__)

TIDY_SECONDS: Final = 600.0
"""The longest time of tidying."""
_FETCHING: Final = "pyfly-fetching"
"""A file that is there while a command changes the clone, and after one that failed or was killed.
"""
_TIDYING: Final = "pyfly-tidying"
"""The same for tidying, which may run at the same time."""
_TIDY_LOCK: Final = "pyfly-tidying-lock"
_MANY_OBJECTS: Final = 6_000
_MANY_PACKS: Final = 30
_SAMPLE: Final = "17"
"""The directory of loose objects that git counts, one of `_SAMPLES`."""
_SAMPLES: Final = 256
_OPTIONS: Final = tuple(
    part
    for setting in (
        f"gc.auto={_MANY_OBJECTS}",
        f"gc.autoPackLimit={_MANY_PACKS}",
        "gc.autoDetach=false",
        "gc.pruneExpire=2.weeks.ago",
        "gc.writeCommitGraph=true",
    )
    for part in ("-c", setting)
)
_LEFTOVERS: Final = (
    *("*.lock", "packed-refs.new", "refs/**/*.lock", "objects/info/**/*.lock", "objects/tmp_*"),
    *("objects/pack/tmp_*", "objects/pack/.tmp-*", "objects/pack/*.keep"),
    *("objects/[0-9a-f][0-9a-f]/tmp_*",),
)
"""What killed commands leave: temporary files, and locks that nobody holds."""


def tidy(git: Git) -> None:
    """Pack what has piled up, if it is time. Nothing that a reader may use is removed.

    Returns at once while another process tidies the clone.
    """
    try:
        if not _is_due(git.directory):
            return
        with _tidying(git.directory) as lock:
            if lock is not None:
                _tidy(replace(git, options=_OPTIONS, is_polite=True, inherited=(lock,)))
    except GitError as error:
        if error.code is None or error.code >= 0:  # it was not killed by closing the store
            _LOG.warning("the clone %s was not tidied: %s", git.directory, error.reason)
    except OSError as error:
        _LOG.warning("the clone %s was not tidied: %s", git.directory, error.strerror)
    except BackendUnavailableError as error:  # the store is being closed
        _LOG.debug("the clone %s was not tidied: %s", git.directory, error)


def _is_due(directory: Path) -> bool:
    """True if `git gc --auto` would find something to do, by its own rules."""
    objects = directory / "objects"
    if (directory / _TIDYING).exists() or not any((objects / "info").glob("commit-graph*")):
        return True
    packs = sum(1 for _ in (objects / "pack").glob("*.pack"))
    loose = sum(1 for _ in (objects / _SAMPLE).glob("*"))
    return packs > _MANY_PACKS or loose * _SAMPLES > _MANY_OBJECTS


def _tidy(git: Git) -> None:
    deadline = time.monotonic() + TIDY_SECONDS
    mark = git.directory / _TIDYING
    mark.touch()
    if not any((git.directory / "objects" / "info").glob("commit-graph*")):
        command = ("commit-graph", "write", "--reachable", "--changed-paths", "--no-progress")
        git.run(*command, deadline=deadline)
    git.run("gc", "--auto", "--quiet", deadline=deadline)
    mark.unlink(missing_ok=True)


@contextlib.contextmanager
def marked(directory: Path) -> Generator[None]:
    """Mark the clone while git changes it, and tidy up after a command that did not end well.

    The caller holds the lock of the remote.
    """
    mark = directory / _FETCHING
    if mark.exists() or (directory / _TIDYING).exists():
        _remove_leftovers(directory)
    mark.touch()
    yield
    mark.unlink(missing_ok=True)


def _remove_leftovers(directory: Path) -> None:
    """Remove what killed commands left. While the clone is tidied, that waits for later."""
    with _tidying(directory) as lock:
        if lock is None:
            return
        for pattern in _LEFTOVERS:
            for path in directory.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        (directory / _TIDYING).unlink(missing_ok=True)


@contextlib.contextmanager
def _tidying(directory: Path) -> Generator[int | None]:
    """Hold the lock of tidying; give `None` if another process, or a thread, holds it.

    Processes of git inherit it: what they write is not taken for a leftover while they run.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(directory / _TIDY_LOCK, flags, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)
