"""Checks that stores share: the size of an answer and of a page."""

from typing import Final

from pyfly.config_core import ConfigFormatError
from pyfly.config_core.limits import MAX_PAGE_ROWS, MAX_STORED_BYTES

__all__ = ["TOO_LARGE", "check_limit", "check_stored_bytes"]

TOO_LARGE: Final = "ask for fewer applications, profiles or labels at once, or store less for them"
"""What to do when an answer is too large."""


def check_stored_bytes(size: int) -> None:
    """Refuse to make one answer of too much text. A store may ask before it reads or parses.

    Args:
        size: Bytes of stored text that are needed for one answer.

    Raises:
        ConfigFormatError: It is more than 8 MiB.
    """
    if size > MAX_STORED_BYTES:
        raise ConfigFormatError(
            f"more than {MAX_STORED_BYTES:,} bytes of stored text in one answer; {TOO_LARGE}"
        )


def check_limit(limit: int) -> None:
    """Refuse a number of rows that no page has. A store calls this in `history`.

    Raises:
        ValueError: It is not from 1 to 1,000.
    """
    if not 1 <= limit <= MAX_PAGE_ROWS:
        raise ValueError(f"'limit' is a number from 1 to {MAX_PAGE_ROWS:,}")
