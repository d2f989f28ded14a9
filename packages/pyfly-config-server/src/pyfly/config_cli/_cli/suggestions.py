"""Names that a misspelt name may stand for. Pure functions."""

import difflib
from collections.abc import Iterable
from typing import Final

from pyfly.config_core import ConfigKey

_MIN_RATIO: Final = 0.6
"""Two names are similar from this ratio on, between 0 and 1."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to a word, ignoring case; `None` if none is."""
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, 1, _MIN_RATIO)
    return names[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question to append to a message; empty if no known name is similar.

    >>> did_you_mean("relase-1.4", ["main", "release-1.4"])
    "; did you mean 'release-1.4'?"
    """
    found = nearest(word, known)
    return "" if found is None else f"; did you mean {found!r}?"


def nearest_key(key: ConfigKey, known: Iterable[ConfigKey]) -> ConfigKey | None:
    """Return the known key whose application, profile and label are all similar to those given."""
    ratios = {other: _similarity(key, other) for other in known}
    best = max(ratios, key=lambda other: ratios[other], default=None)
    return best if best is not None and ratios[best] else None


def _similarity(one: ConfigKey, other: ConfigKey) -> float:
    pairs = zip(one.sort_key, other.sort_key, strict=True)
    ratios = [difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs]
    return sum(ratios) if min(ratios) >= _MIN_RATIO else 0
