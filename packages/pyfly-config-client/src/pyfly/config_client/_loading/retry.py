"""When to ask again. Pure functions."""

import random
from collections.abc import Mapping
from typing import Final, Literal

from pyfly.config_client.errors import (
    ConfigClientError,
    ServerRejectedError,
    ServerUnreachableError,
)

Verdict = Literal["unknown", "refused", "later", "broken", "odd"]

_BUSY: Final = {408, 425, 429}
_SERVER_ERRORS: Final = 500
_CLIENT_ERRORS: Final = 400
_NOT_FOUND: Final = 404
_MAX_EXPONENT: Final = 30


def judge(error: ConfigClientError) -> Verdict:
    """Say what an answer, or its absence, means for going on.

    Returns:
        `unknown`: the label does not exist, and another may be tried. `refused`: an answer that
        asking again does not change. `later`: the server may do better soon. `broken`: an
        answer was there and could not be used. `odd`: no configuration server answers there,
        and asking again does not change that.
    """
    if isinstance(error, ServerUnreachableError):
        return "odd" if error.permanent else "later"
    if not isinstance(error, ServerRejectedError):
        return "broken"
    if error.status == _NOT_FOUND:
        return "unknown"
    if error.status >= _SERVER_ERRORS or error.status in _BUSY:
        return "later"
    return "refused" if error.status >= _CLIENT_ERRORS else "odd"


def backoff(attempt: int, *, first: float, most: float) -> float:
    """Return how long to wait before the next attempt: full jitter, so that nobody walks in step.

    Args:
        attempt: Counted from 0.
        first: The longest first wait, in seconds; it doubles from there on.
        most: The longest wait of all.
    """
    return random.uniform(0, min(most, first * 2 ** min(attempt, _MAX_EXPONENT)))  # noqa: S311


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a server asks to wait; dates and nonsense count as none."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() else 0.0
