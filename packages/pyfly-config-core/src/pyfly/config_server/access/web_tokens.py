"""The text of JSON Web Tokens (RFC 7519), read strictly before any signature is looked at."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from pyfly.config_core.strict_json import decode_json

__all__ = [
    "LEEWAY_SECONDS",
    "MAX_TOKEN_BYTES",
    "UnknownKeyError",
    "WebToken",
    "WebTokenError",
    "check_times",
    "read_token",
]

MAX_TOKEN_BYTES: Final = 8192
LEEWAY_SECONDS: Final = 60
"""How far the clocks of an issuer and of a server may differ."""
_LONGEST_SECONDS: Final = 366 * 86_400
_FORM: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TIMES: Final = ("exp", "nbf", "iat")


class WebTokenError(Exception):
    """A token is refused. The message has the reason and nothing of the token."""


class UnknownKeyError(WebTokenError):
    """No key has the id that a token names; the issuer may have a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebToken:
    """What a token says, which nobody has verified."""

    text: str = field(repr=False)
    algorithm: str
    key_id: str | None
    claims: Mapping[str, object] = field(repr=False)

    @property
    def issuer(self) -> object:
        """The claim `iss`."""
        return self.claims.get("iss")


def read_token(token: bytes) -> WebToken:
    """Return what a token says.

    Raises:
        WebTokenError: It is too large or no signed token, a member stands twice, or it has
            critical members, which nobody here understands (RFC 7515, section 4.1.11).
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise WebTokenError(f"it has more than {MAX_TOKEN_BYTES} bytes")
    if _FORM.fullmatch(token) is None:
        raise WebTokenError("it is not a signed token of three parts")
    head, body, _ = token.split(b".")
    header, claims = _object(head, "header"), _object(body, "claims")
    if "crit" in header:
        raise WebTokenError("its header has critical members")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(key_id, str | None):
        raise WebTokenError("its header has no algorithm, or a key id that is no text")
    return WebToken(text=token.decode("ascii"), algorithm=algorithm, key_id=key_id, claims=claims)


def check_times(claims: Mapping[str, object], *, now: float) -> int:
    """Check the form of the times of a token; return its end, in seconds since 1970.

    Whether the times have come is checked with the signature.

    Raises:
        WebTokenError: The end is missing or more than a year ahead, or a time is not an integer.
    """
    for name in _TIMES:
        if name in claims and type(claims[name]) is not int:  # true is no number
            raise WebTokenError(f"its claim '{name}' is not an integer")
    end = claims.get("exp")
    if not isinstance(end, int):
        raise WebTokenError("it has no claim 'exp'")
    if end >= now + _LONGEST_SECONDS:
        raise WebTokenError("its claim 'exp' is more than a year ahead")
    return end


def _object(part: bytes, what: str) -> Mapping[str, object]:
    try:
        value = decode_json(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (ValueError, binascii.Error):  # not chained: it holds the text
        raise WebTokenError(f"its {what} are not JSON, or a member stands twice") from None
    if not isinstance(value, dict):
        raise WebTokenError(f"its {what} are no JSON object")
    return cast("dict[str, object]", value)
