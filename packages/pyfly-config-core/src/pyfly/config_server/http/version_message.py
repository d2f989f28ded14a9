"""`X-Config-Message`: the message of a new version of a bundle."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from pyfly.config_core.limits import MAX_MESSAGE_LENGTH
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest
from pyfly.config_server.http.parameters import text_parameter

__all__ = ["MESSAGE", "version_message"]

MESSAGE: Final = text_parameter(
    "X-Config-Message",
    "header",
    "The message of the new version: percent-encoded UTF-8 of at most 1,024 characters.",
)
_NOT_ENCODED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})|[^\x20-\x7e]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def version_message(request: HttpRequest) -> str | None:
    """Return the message of `X-Config-Message`, `None` without the header.

    Raises:
        HttpError: 400; the message is not percent-encoded UTF-8 text, or is too long.
    """
    value = request.header(b"x-config-message")
    if value is None:
        return None
    text = _decoded(value)
    if text is None:
        raise _invalid_message("is not percent-encoded UTF-8")
    if len(text) > MAX_MESSAGE_LENGTH:
        raise _invalid_message(f"has more than {MAX_MESSAGE_LENGTH:,} characters")
    if _CONTROLS.search(text):
        raise _invalid_message("contains control characters")
    return text or None


def _decoded(value: bytes) -> str | None:
    if _NOT_ENCODED.search(value):
        return None
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return None


def _invalid_message(reason: str) -> HttpError:
    return HttpError(400, "invalid-message", f"X-Config-Message {reason}")
