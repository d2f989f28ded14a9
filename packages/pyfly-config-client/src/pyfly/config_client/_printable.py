"""Texts of others in messages of this program: short, on one line, without control characters."""

from typing import Final

_LONGEST: Final = 200


def printable(text: str, most: int = _LONGEST) -> str:
    """Return a text for a log line or an error, shortened; odd characters are escaped."""
    short = text if len(text) <= most else text[:most] + "…"
    if short.isprintable():
        return short
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in short)
