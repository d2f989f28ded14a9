"""Quoting names from outside for messages."""

from typing import Final

_SHOWN_LENGTH: Final = 80


def shown(text: str) -> str:
    """Return `text` quoted for a message, shortened, with control characters escaped."""
    return repr(text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…")
