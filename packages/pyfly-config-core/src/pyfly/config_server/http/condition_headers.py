"""Conditions of writes in `If-Match` and `If-None-Match` (RFC 9110 §13.1)."""

import re
from typing import Final
from urllib.parse import quote, unquote

from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest
from pyfly.config_server.http.parameters import text_parameter
from pyfly.config_server.storage import ABSENT, PRESENT, Expected

__all__ = ["IF_MATCH", "IF_NONE_MATCH", "entity_tag", "required_condition", "version_of"]

IF_MATCH: Final = text_parameter(
    "If-Match", "header", '`"<version>"`, or `*` for any stored version.'
)
IF_NONE_MATCH: Final = text_parameter("If-None-Match", "header", "`*`: nothing is stored yet.")
_SAFE: Final = "!#$&'()*+,/:;=?@[]^`{|}~"
_TAG: Final = re.compile(rb'(W/)?"([\x21\x23-\x7e]*)"')


def entity_tag(version: str) -> bytes:
    """Return a version as an entity tag. Characters outside of a tag are percent-encoded."""
    return f'"{quote(version, safe=_SAFE)}"'.encode()


def version_of(tag: bytes) -> str | None:
    """Return the version of a strong entity tag; `None` for anything else."""
    found = _TAG.fullmatch(tag)
    return None if found is None or found[1] else unquote(found[2].decode("ascii"))


def required_condition(request: HttpRequest) -> Expected:
    """Return the condition under which a bundle may be written.

    Raises:
        HttpError: 428 if there is no condition, 400 if it is invalid, 412 if it is a weak tag,
            which never matches.
    """
    if_match, if_none_match = (request.header(name) for name in (b"if-match", b"if-none-match"))
    if if_match is None and if_none_match is None:
        raise HttpError(
            428,
            "precondition-required",
            'send a condition: If-Match: "<version>" to replace that version, If-Match: * to '
            "replace any version, If-None-Match: * to create a bundle",
        )
    if if_match is None:
        if if_none_match == b"*":
            return ABSENT
        raise _unusable("If-None-Match must be *")
    if if_none_match is not None:
        raise _unusable("send If-Match or If-None-Match, not both")
    return PRESENT if if_match == b"*" else _version(if_match)


def _version(text: bytes) -> str:
    tag = _TAG.fullmatch(text)
    if tag is None:
        raise _unusable("If-Match must be one version in double quotes, as in an ETag, or *")
    if tag[1]:
        raise HttpError(412, "version-conflict", "a weak entity tag never matches (RFC 9110)")
    return unquote(tag[2].decode("ascii"))


def _unusable(message: str) -> HttpError:
    return HttpError(400, "invalid-precondition", message)
