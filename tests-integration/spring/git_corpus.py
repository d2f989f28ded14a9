"""Branches and tags of a Git repository, made up from a seed, and what to ask for.

Each repository of `reference_corpus` is a branch. There are more branches, tags and commits whose
files lie in search locations.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import git_repositories
from reference_corpus import (
    LOCATIONS,
    SUBJECTS,
    V2,
    Repository,
    Request,
    located_repository,
    repositories,
)

GIT_LOCATIONS: Final = (*(place for place in LOCATIONS if place), "of/{label}")
"""The search locations; the root is the first of them without being named."""

SHORT: Final = ("defaults", "roles", "plain", "conditions", "properties", "formats")
"""The subjects that are asked for in a short run."""

_STEMS: Final = ("application", "orders", "orders-prod", "billing-eu", "orders-default")
_CONDITION: Final = "---\nspring.config.activate.on-profile: prod\nonly: prod\n"


def fill_git(
    remote: git_repositories.Repository, seed: int, *, subjects: Sequence[str] = tuple(SUBJECTS)
) -> list[Repository]:
    """Make the branches and tags of a seed; return what is asked of each label.

    Args:
        remote: A bare repository.
        seed: Names and contents depend on it.
        subjects: Of the repositories of `reference_corpus`.
    """
    made = [one for one in repositories(seed, copies=1) if one.label.startswith(tuple(subjects))]
    for one in made:
        remote.commit(one.files, one.label)
    return [*made, *_labels(remote, seed)]


def shortened(repository: Repository, count: int) -> Repository:
    """Return a repository of which less is asked.

    What is asked in one format is asked as `.properties`, too: the reasons for differences need it.
    """
    chance = random.Random(repository.label)
    requests = repository.requests
    chosen = chance.sample(requests, k=min(count, len(requests)))
    for path in [one.path.partition("?")[0] for one in chosen]:
        if path.endswith((".json", ".yml")):
            chosen.append(Request(path=path.rpartition(".")[0] + ".properties"))
    return replace(repository, requests=tuple(dict.fromkeys(chosen)))


def _labels(remote: git_repositories.Repository, seed: int) -> Iterator[Repository]:
    """Yield branches, tags of both kinds, commits, lists of labels, and the default label."""
    line, light, noted, both = (f"{name}{seed}" for name in ("line", "light", "noted", "both"))
    yield _committed(remote, line, light)
    first = remote.head(line)
    remote.git("tag", light, first)
    remote.git("tag", "-a", "-m", "x", both, first)
    yield _committed(remote, line, noted)
    remote.git("tag", "-a", "-m", "x", noted, remote.head(line))
    yield _committed(remote, line, line)
    yield _committed(remote, both, both)
    branch, tag = f"release/{seed}.x", f"v/{seed}"
    yield _committed(remote, branch, branch)
    remote.git("tag", tag, remote.head(branch))
    several = (f"{line},{light}", f"{noted},{both}", f"{light},nolabel", f"nolabel,{line}")
    for label in (tag, first, first[:12], *several):
        yield _asked(label)
    default = _committed(remote, "main", "main")
    yield replace(default, requests=tuple(map(_without_label, default.requests)))


def _committed(remote: git_repositories.Repository, branch: str, label: str) -> Repository:
    """Commit files in search locations on a branch; return what is asked of a label."""
    chance = random.Random(label)
    made = _asked(label)
    files = {**made.files}
    names = [f"{stem}.{ending}" for stem in _STEMS for ending in ("yml", "yaml")]
    for place in ("common/a", "common/b", "common/c/d", f"of/{label}", "config"):
        for name in chance.sample(names, k=len(names) // 2):
            document = f"who: {label} {place}/{name}\n"
            condition = _CONDITION if chance.random() < 0.3 else ""
            files[f"{place}/{name}"] = (document + condition).encode()
    remote.commit(files, branch)
    return replace(made, files=files)


def _asked(label: str) -> Repository:
    """Return what is asked of a label, and files that have answers for it."""
    made = located_repository(label.replace("/", "(_)"), 0)
    documents = [one for one in made.requests if one.path.count("/") == 3]
    origins = [replace(one, accept=V2) for one in documents[::4]]
    return replace(made, label=label, requests=(*made.requests, *origins))


def _without_label(request: Request) -> Request:
    """Return a request for the default label, which is `main`."""
    head, _, tail = request.path.partition("/main")
    path = f"{head}{tail}"
    return replace(request, path=f"{path}?useDefaultLabel" if head and tail else path)
