"""Names that a misspelt one may stand for. Pure functions."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a word, in upper or lower case, if one is."""
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, 1)
    return names[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question to be added to a message, empty where no known name is like the word.

    >>> did_you_mean("relase-1.4", ["main", "release-1.4"])
    "; did you mean 'release-1.4'?"
    """
    found = nearest(word, known)
    return "" if found is None else f"; did you mean {found!r}?"
