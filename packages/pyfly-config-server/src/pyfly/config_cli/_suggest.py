"""Names that a misspelt one may stand for. Pure functions."""

import difflib
from collections.abc import Iterable
from typing import Final

from pyfly.config_core import ConfigKey

_ALIKE: Final = 0.6
"""How alike two names are, from 0 to 1, so that one may be meant by the other."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a word, in upper or lower case, if one is."""
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, 1, _ALIKE)
    return names[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question to be added to a message, empty where no known name is like the word.

    >>> did_you_mean("relase-1.4", ["main", "release-1.4"])
    "; did you mean 'release-1.4'?"
    """
    found = nearest(word, known)
    return "" if found is None else f"; did you mean {found!r}?"


def nearest_key(key: ConfigKey, known: Iterable[ConfigKey]) -> ConfigKey | None:
    """Return the known bundle whose application, profile and label are all like those of a key."""
    alike = {other: _likeness(key, other) for other in known}
    best = max(alike, key=lambda other: alike[other], default=None)
    return best if best is not None and alike[best] else None


def _likeness(one: ConfigKey, other: ConfigKey) -> float:
    pairs = zip(one.sort_key, other.sort_key, strict=True)
    ratios = [difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs]
    return sum(ratios) if min(ratios) >= _ALIKE else 0
