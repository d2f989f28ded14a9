"""Directories whose files are not where a store looks for them, and what was probably meant."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from pyfly.config_cli._known import value_of
from pyfly.config_cli._output import note
from pyfly.config_cli._settings import store_url
from pyfly.config_core import ConfigError
from pyfly.config_server.formats.text import SUFFIXES

_SHOWN: Final = 3
_LOOKED_AT: Final = 1000
"""Directories, and entries of one of them: remarks need no more than a part of a large tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A directory, named as the user did, and what lies in it."""

    name: str
    path: Path
    is_flat: bool
    files: list[str]
    """Files that could be bundles, directly in it."""
    labels: list[str]
    """Some directories below it with such files in them."""


def tell_unserved(values: Mapping[str, str]) -> None:
    """Print a remark for each store of `serve` that has files which are not served.

    Args:
        values: The settings by their names without prefix.
    """
    for name in value_of(values, "BACKEND").splitlines():
        if remark := unserved(name.strip()):
            note(remark)


def unserved(name: str) -> str | None:
    """Return what to tell about the files in a directory that are not served.

    Args:
        name: A directory, or the URL of any store.

    Returns:
        One sentence with the name that was probably meant, `None` when there is nothing to tell
        or the directory cannot be read.
    """
    try:
        place = _look(name)
        return None if place is None else _remark(place)
    except (ConfigError, OSError, ValueError):  # what is wrong with it is told by its store
        return None


def _look(name: str) -> _Place | None:
    url, _ = store_url(name)
    parts = urlsplit(url)
    if parts.scheme != "file" or not parts.path:
        return None
    path = Path(unquote(parts.path) if url == name else name)  # a directory has become a URL
    return _Place(
        name=name,
        path=path,
        is_flat=parse_qs(parts.query).get("layout", ["labels"]) != ["labels"],
        files=_files(path),
        labels=[*islice(_labels(path), _SHOWN + 1)],
    )


def _remark(place: _Place) -> str | None:
    flat = f"{place.path.resolve().as_uri()}?layout=flat"
    if place.is_flat:
        if place.files or not place.labels:
            return None
        return (
            f"no files lie directly in {str(place.path)!r}, only directories"
            f"{_are(place.labels)}; did you mean {place.path.resolve().as_uri()!r}?"
        )
    if place.files:
        meant = repr(flat)
        if not place.labels and not (place.path / ".git").exists():
            above = os.path.normpath(place.path / "..")
            meant = f"{above!r}, where {place.path.resolve().name!r} is a label, or {flat!r}"
        return (
            f"files lie directly in {place.name!r} and are not served{_are(place.files)}; "
            f"each label is a directory. Did you mean {meant}?"
        )
    if place.labels:
        return None
    return (
        f"there are no bundles in {place.name!r}: "
        "no directory in it holds <application>-<profile>.yaml"
    )


def _are(names: list[str]) -> str:
    more = ", …" if len(names) > _SHOWN else ""
    return f" ({', '.join(names[:_SHOWN])}{more})"


def _files(path: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(path) if _is_bundle(entry))


def _labels(path: Path) -> Iterator[str]:
    """Yield the directories below a directory that hold files; a label may have slashes."""
    waiting = [path]
    for _ in range(_LOOKED_AT):
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
                entry for entry in islice(entries, _LOOKED_AT) if not entry.name.startswith(".")
            )
    except OSError:
        return
