"""Checks for all stores: the size of an answer and of a page."""

from typing import Final

from pyfly.config_core import ConfigFormatError
from pyfly.config_core.limits import MAX_PAGE_ROWS, MAX_STORED_BYTES

__all__ = ["TOO_LARGE", "check_limit", "check_stored_bytes"]

TOO_LARGE: Final = "ask for fewer applications, profiles or labels at once, or store less for them"
"""Advice for errors about a large answer."""


def check_stored_bytes(size: int) -> None:
    """Refuse an answer that needs too much stored text. A store may check before it reads.

    Args:
        size: Bytes of stored text that are needed for one answer.

    Raises:
        ConfigFormatError: The size is more than 8 MiB.
    """
    if size > MAX_STORED_BYTES:
        raise ConfigFormatError(
            f"more than {MAX_STORED_BYTES:,} bytes of stored text in one answer; {TOO_LARGE}"
        )


def check_limit(limit: int) -> None:
    """Refuse an invalid number of rows for a page. A store calls this in `history`.

    Raises:
        ValueError: The number is not from 1 to 1,000.
    """
    if not 1 <= limit <= MAX_PAGE_ROWS:
        raise ValueError(f"'limit' must be a number from 1 to {MAX_PAGE_ROWS:,}")
