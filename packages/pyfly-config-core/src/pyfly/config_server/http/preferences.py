"""What a request says about time: how long to wait (RFC 7240), how fresh to be (RFC 9111)."""

import re
from typing import Final

from pyfly.config_server.http.messages import HttpRequest
from pyfly.config_server.http.negotiation import elements

__all__ = ["MAX_WAIT_SECONDS", "must_be_fresh", "plain_wait", "wait_of"]

MAX_WAIT_SECONDS: Final = 300
"""Longer waits are shortened to this."""
_WAIT: Final = re.compile(
    r"""[ \t]*wait[ \t]*=[ \t]*
        (?: ([0-9]{1,9}) | "([0-9]{1,9})" )
        [ \t]*(?:;.*)?""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_PLAIN_WAIT: Final = re.compile(rb"wait=([0-9]{1,9})")


def plain_wait(preferred: bytes) -> int | None:
    """Return the seconds in a header `Prefer` that says nothing but `wait`, as clients write it.

    `None` for a header that needs `wait_of`.

    >>> plain_wait(b"wait=45")
    45
    """
    found = _PLAIN_WAIT.fullmatch(preferred)
    return min(int(found[1]), MAX_WAIT_SECONDS) or None if found else None


def wait_of(request: HttpRequest) -> int | None:
    """Return the seconds that a `GET` may be held, `None` if it asks for an answer at once.

    >>> wait_of(HttpRequest(method="GET", raw_path=b"/", headers=[(b"prefer", b"wait=45")]))
    45
    """
    preferred = request.header(b"prefer")
    if preferred is None or request.method != "GET":
        return None
    for element in elements(preferred.decode("latin-1")):
        found = _WAIT.fullmatch(element)
        if found is not None:
            return min(int(found[1] or found[2]), MAX_WAIT_SECONDS) or None
    return None


def must_be_fresh(request: HttpRequest) -> bool:
    """True if the answer has to include everything that was written before the request."""
    given = request.header(b"cache-control")
    if given is None:
        return False
    return any(one.strip().lower() == "no-cache" for one in elements(given.decode("latin-1")))
