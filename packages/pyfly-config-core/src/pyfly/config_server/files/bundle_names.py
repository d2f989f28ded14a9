"""The possible bundles of a file name. Pure functions for all layouts."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_core import BASE_PROFILE, DEFAULT_LABEL, ConfigKey, InvalidConfigKeyError

__all__ = ["key_or_none", "readings_of", "splits_of", "stems_of"]

_MAX_DASHES: Final = 16
"""Names with more dashes are base bundles, or are split at one of the last dashes."""


def stems_of(names: Iterable[str], suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the names of bundle files, each with and without its suffix."""
    for name in names:
        stem, dot, ending = name.rpartition(".")
        if dot + ending in suffixes and "/" not in stem:
            yield name, stem


def splits_of(stem: str) -> Iterator[tuple[str, str]]:
    """Yield every possible application and profile of a name, the longest application first."""
    application, profile = stem, ""
    for _ in range(_MAX_DASHES):
        application, dash, part = application.rpartition("-")
        if not dash:
            return
        profile = f"{part}-{profile}" if profile else part
        if key_or_none(application, profile, DEFAULT_LABEL) is not None:
            yield application, profile


def readings_of(label: str, name: str, suffixes: tuple[str, ...]) -> list[ConfigKey]:
    """Return every bundle that a fetch could read from a file; empty for a plain file."""
    path = PurePosixPath(name)
    if path.suffix not in suffixes:
        return []
    stem = str(path.with_suffix(""))
    keys = [
        key_or_none(stem, BASE_PROFILE, label),
        *(key_or_none(application, profile, label) for application, profile in splits_of(stem)),
    ]
    return [key for key in keys if key is not None]


def key_or_none(application: str, profile: str, label: str) -> ConfigKey | None:
    """Return the key of these names, `None` if a name is not acceptable."""
    try:
        return ConfigKey(application=application, profile=profile, label=label)
    except InvalidConfigKeyError:
        return None
