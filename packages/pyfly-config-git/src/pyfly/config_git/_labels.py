"""From a label to a commit: a branch, else a tag, else a commit that one of them reaches."""

import threading
import time
from typing import Final

from pyfly.config_git._mirror import Snapshot
from pyfly.config_git._refs import COMMIT_ID, Refs

_REMEMBERED: Final = 10_000
_MOST_CANDIDATES: Final = 1_000


class LabelResolver:
    """Finds the commits of labels. Safe for use from several threads.

    Names go to git as whole refs or as hexadecimal digits only: a text such as `main~1` is no
    label.
    """

    def __init__(self) -> None:
        self._refs: Refs | None = None
        self._commits: dict[str, str | None] = {}
        self._served: dict[str, None] = {}
        self._guard = threading.Lock()

    def commit(self, snapshot: Snapshot, label: str, *, deadline: float) -> str | None:
        """Return the commit of a label; `None` if there is none, or if an id is ambiguous."""
        known = snapshot.refs.labels.get(label)
        if known is not None or not COMMIT_ID.fullmatch(label):
            return known
        with self._guard:
            if snapshot.refs is self._refs and label in self._commits:
                return self._commits[label]
        found = _reachable_commit(snapshot, label, deadline)
        with self._guard:
            if snapshot.refs is not self._refs:
                self._refs, self._commits = snapshot.refs, {}
            if len(self._commits) < _REMEMBERED:
                self._commits[label] = found
            if found is not None:
                self._served[label] = None
            while len(self._served) > _REMEMBERED:
                self._served.pop(next(iter(self._served)))
        return found

    def commit_labels(self) -> list[str]:
        """Return the commit ids that were labels, the latest 10,000."""
        with self._guard:
            return [*self._served]


def _reachable_commit(snapshot: Snapshot, digits: str, deadline: float) -> str | None:
    objects = snapshot.objects
    deadline = max(deadline, time.monotonic() + 1.0)
    listed = objects.run("rev-parse", f"--disambiguate={digits}", deadline=deadline)
    ids = listed.decode().split()
    if not ids or len(ids) > _MOST_CANDIDATES:
        return None
    described = objects.run(
        *("cat-file", "--batch-check=%(objecttype) %(objectname)"),
        data="\n".join(ids).encode() + b"\n",
        deadline=deadline,
    )
    rows = (line.split() for line in described.decode().splitlines())
    commits = [row[1] for row in rows if row[0] == "commit"]
    if len(commits) != 1:
        return None
    return commits[0] if _is_reachable(snapshot, commits[0], deadline) else None


def _is_reachable(snapshot: Snapshot, commit: str, deadline: float) -> bool:
    """True if a branch or tag of the snapshot contains the commit."""
    tips = {*snapshot.refs.branches.values(), *snapshot.refs.tags.values()}
    if commit in tips:
        return True
    # What remains of the commit without the history of all tips: nothing, if they reach it.
    remaining = snapshot.objects.run(
        *("rev-list", "--max-count=1", "--stdin"),
        data="\n".join([commit, *(f"^{tip}" for tip in sorted(tips))]).encode() + b"\n",
        deadline=deadline,
    )
    return not remaining.strip()
