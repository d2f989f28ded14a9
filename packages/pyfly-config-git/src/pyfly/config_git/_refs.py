"""Branches and tags at one moment, and the labels that they are. Pure functions."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from pyfly.config_core import DEFAULT_LABEL, InvalidConfigKeyError, check_name

FALLBACK_BRANCH: Final = "master"
"""The branch for the default label in a repository without that branch."""
FORMAT: Final = "%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)"
"""What `parse_refs` reads, for `git for-each-ref`."""
COMMIT_ID: Final = re.compile(r"[0-9A-Fa-f]{4,40}|[0-9A-Fa-f]{64}")
"""A label that may be the id of a commit."""

_ROW: Final = re.compile(
    r"(?P<kind>\w+) (?P<id>[0-9a-f]+) (?P<peeled>\w*) (?P<target>[0-9a-f]*) "
    r"refs/(?P<space>heads|tags)/(?P<name>.+)"
)


@dataclass(frozen=True, kw_only=True)
class Refs:
    """Branches and tags with their commits."""

    branches: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The commit of each label. A branch comes before a tag of the same name.

        The default label is the branch `master` if there is no such branch or tag.
        """
        found = {**self.tags, **self.branches}
        branch = self.default_branch
        if branch is not None:
            found.setdefault(DEFAULT_LABEL, self.branches[branch])
        return found

    @property
    def default_branch(self) -> str | None:
        """The branch of the default label; `None` if there is none."""
        for name in (DEFAULT_LABEL, FALLBACK_BRANCH):
            if name in self.branches:
                return name
        return None

    @cached_property
    def listed(self) -> Mapping[str, str]:
        """The labels of a listing, each under its own name only."""
        return {**self.tags, **self.branches}

    def branch_of(self, label: str) -> str | None:
        """Return the branch that a save under this label moves or makes.

        `None` if the label is a tag.
        """
        if label in self.branches:
            return label
        if label in self.tags:
            return None
        if label == DEFAULT_LABEL and FALLBACK_BRANCH in self.branches:
            return FALLBACK_BRANCH
        return label

    @cached_property
    def cursor(self) -> str:
        """A digest of all names and commits."""
        rows = [sorted(self.branches.items()), sorted(self.tags.items())]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def parse_refs(output: bytes) -> tuple[Refs, dict[str, str]]:
    """Return the branches and tags in the output of `git for-each-ref`.

    Names that cannot be labels are left out.

    Returns:
        The refs, and the tags of tags, whose commits are not known yet, with their objects.
    """
    branches: dict[str, str] = {}
    tags: dict[str, str] = {}
    nested: dict[str, str] = {}
    for line in output.split(b"\n"):  # a name may hold what other splits take for an end of line
        row = _ROW.fullmatch(line.decode(errors="surrogateescape"))
        if row is None or not _is_label(row["name"]):
            continue
        if row["space"] == "heads":
            if row["kind"] == "commit":
                branches[row["name"]] = row["id"]
        elif row["kind"] == "commit":
            tags[row["name"]] = row["id"]
        elif row["peeled"] == "commit":
            tags[row["name"]] = row["target"]
        elif row["peeled"] == "tag":
            nested[row["name"]] = row["id"]
    return Refs(branches=branches, tags=tags), nested


def lost_branches(before: Refs, after: Refs) -> str | None:
    """Return what vanished if it looks like an accident; `None` if all is well.

    A remote that was emptied, or has lost its default branch, may be one that is being restored.
    Without `main` the default label would be an old `master`; with `main`, `master` is not missed.
    """
    if before.branches and not after.branches:
        return "all its branches"
    branch = before.default_branch
    if branch not in {None, *after.branches} and after.default_branch != DEFAULT_LABEL:
        return f"its branch '{branch}'"
    return None


def _is_label(text: str) -> bool:
    try:
        check_name("label", text)
    except InvalidConfigKeyError:
        return False
    return True
