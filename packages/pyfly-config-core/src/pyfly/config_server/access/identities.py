"""Identities: how a trusted proxy names the client whose certificate it has verified.

An identity is one text that is compared as it is, such as the subject of a certificate:
`CN=orders,OU=shop`. The access file gives identities to principals.
"""

import re
from typing import Final

from pyfly.config_core import JsonValue

__all__ = ["IDENTITY", "MAX_IDENTITY_LENGTH", "check_identity"]

MAX_IDENTITY_LENGTH: Final = 1024
"""Characters of an identity."""
_PRINTABLE: Final = "^[!-~]([ -~]*[!-~])?$"
_JOINED: Final = r"(^|[^\\])(\\\\)*, "
"""A comma with a blank, as HTTP joins two headers; in a subject (RFC 2253) it has a backslash."""
IDENTITY: Final[dict[str, JsonValue]] = {
    "type": "string",
    "maxLength": MAX_IDENTITY_LENGTH,
    "pattern": _PRINTABLE,
    "not": {"pattern": _JOINED},
}
"""The JSON schema of an identity."""


def check_identity(text: str) -> None:
    """Check that a text may be an identity.

    Raises:
        ValueError: It may not; says why, without the text.
    """
    if len(text) > MAX_IDENTITY_LENGTH:
        raise ValueError(f"is longer than {MAX_IDENTITY_LENGTH:,} characters")
    if re.fullmatch(_PRINTABLE, text) is None:
        raise ValueError("must be printable ASCII, without blanks at its ends")
    if re.search(_JOINED, text):
        raise ValueError(r"has a comma with a blank, as two values would; write '\,' inside of one")
