"""Patterns of names, in which `*` stands for any text."""

import re
from typing import Final

__all__ = ["ANY", "name_matcher"]

ANY: Final = "*"


def name_matcher(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression that takes linear time; use `fullmatch`.

    `*` stands for any text, also for none, and for `/` in a name.
    """
    first, *middle = map(re.escape, pattern.split(ANY))
    if not middle:
        return re.compile(first)
    last = middle.pop()
    found = "".join(f"(?>.*?{part})" for part in middle)
    return re.compile(f"{first}{found}.*{last}", re.DOTALL)
