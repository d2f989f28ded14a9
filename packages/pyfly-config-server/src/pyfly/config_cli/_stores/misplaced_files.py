"""Finding files outside of the directories of a store, and suggesting the intended location."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from pyfly.config_cli._console.output import print_note
from pyfly.config_cli._stores.location import find_store
from pyfly.config_core import ConfigError
from pyfly.config_server.formats.text import SUFFIXES

_MAX_SHOWN: Final = 3
_MAX_ENTRIES: Final = 1000
"""The most directories, and the most entries of one directory, that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    """The files in a directory and below it."""

    name: str
    """The directory as the user named it."""
    path: Path
    is_flat: bool
    files: list[str]
    """Files that could be bundles, directly in it."""
    labels: list[str]
    """Some directories below it with such files in them."""


def report_misplaced_files(stores: Iterable[str]) -> None:
    """Print a remark for each store that has files which are not served."""
    for name in stores:
        if remark := describe_misplaced_files(name):
            print_note(remark)


def describe_misplaced_files(name: str) -> str | None:
    """Return a remark about the files in a directory that a store does not read.

    Args:
        name: A directory, or the URL of any store.

    Returns:
        One sentence with the name that was probably meant; `None` if all files are read, or the
        directory cannot be read.
    """
    try:
        survey = _look(name)
        return None if survey is None else _remark(survey)
    except (ConfigError, OSError, ValueError):  # the store itself reports what is wrong
        return None


def _look(name: str) -> _Survey | None:
    location = find_store(name)
    url = location.url
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    if parts.scheme != "file" or not parts.path or "search" in options:
        return None
    path = Path(unquote(parts.path) if url == name else name)  # a directory has become a URL
    return _Survey(
        name=location.shown,
        path=path,
        is_flat=options.get("layout", ["labels"]) != ["labels"],
        files=_files(path),
        labels=[*islice(_labels(path), _MAX_SHOWN + 1)],
    )


def _remark(survey: _Survey) -> str | None:
    flat = f"{survey.path.resolve().as_uri()}?layout=spring"
    if survey.is_flat:
        if survey.files or not survey.labels:
            return None
        return (
            f"no files lie directly in {str(survey.path)!r}, only directories"
            f"{_listed(survey.labels)}; did you mean {survey.path.resolve().as_uri()!r}?"
        )
    if survey.files:
        meant = repr(flat)
        if not survey.labels and not (survey.path / ".git").exists():
            above = os.path.normpath(survey.path / "..")
            meant = f"{above!r}, where {survey.path.resolve().name!r} is a label, or {flat!r}"
        return (
            f"files lie directly in {survey.name!r} and are not served{_listed(survey.files)}; "
            f"each label is a directory. Did you mean {meant}?"
        )
    if survey.labels:
        return None
    return (
        f"there are no bundles in {survey.name!r}: "
        "no directory in it holds <application>-<profile>.yaml"
    )


def _listed(names: list[str]) -> str:
    more = ", …" if len(names) > _MAX_SHOWN else ""
    return f" ({', '.join(names[:_MAX_SHOWN])}{more})"


def _files(path: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(path) if _is_bundle(entry))


def _labels(path: Path) -> Iterator[str]:
    """Yield the directories below a directory that hold files; a label may have slashes."""
    waiting = [path]
    for _ in range(_MAX_ENTRIES):
        if not waiting:
            return
        directory = waiting.pop()
        if directory != path and any(map(_is_bundle, _entries(directory))):
            yield directory.relative_to(path).as_posix()
        below = (Path(entry.path) for entry in _entries(directory) if entry.is_dir())
        waiting += sorted(below, reverse=True)


def _is_bundle(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(SUFFIXES) and entry.is_file()


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what is not hidden in a directory; nothing when it cannot be read."""
    try:
        with os.scandir(path) as entries:
            yield from (
                entry for entry in islice(entries, _MAX_ENTRIES) if not entry.name.startswith(".")
            )
    except OSError:
        return
