"""Opaque cursors for the next page of a listing or of a history."""

import base64
from typing import Final

from pyfly.config_core import ConfigKey
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.parameters import Parameter, invalid_query

__all__ = ["KEY_CURSOR", "VERSION_CURSOR", "encode_key_cursor", "encode_version_cursor"]

_SEPARATOR: Final = "\n"  # never part of a name
_VERSION: Final = "version"
"""The beginning of the cursor of a history, which distinguishes it from one of a listing."""
_DESCRIPTION: Final = "`next` of the previous page."


def encode_key_cursor(key: ConfigKey) -> str:
    """Return an opaque text that `KEY_CURSOR` reads as `key`."""
    return _encode(*key.sort_key)


def encode_version_cursor(version: str) -> str:
    """Return an opaque text that `VERSION_CURSOR` reads as `version`."""
    return _encode(_VERSION, version)


def _decode_key(text: str) -> ConfigKey:
    try:
        label, application, profile = _decode(text).split(_SEPARATOR)
        return ConfigKey(application=application, profile=profile, label=label)
    except ValueError as error:  # not base64, not UTF-8, not three parts, or invalid names
        raise _invalid_cursor() from error


def _decode_version(text: str) -> str:
    try:
        begin, separator, version = _decode(text).partition(_SEPARATOR)
    except ValueError as error:  # not base64, or not UTF-8
        raise _invalid_cursor() from error
    if begin != _VERSION or not separator:
        raise _invalid_cursor()
    return version


def _encode(*parts: str) -> str:
    return base64.urlsafe_b64encode(_SEPARATOR.join(parts).encode()).decode().rstrip("=")


def _decode(text: str) -> str:
    padded = text + "=" * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True).decode()


def _invalid_cursor() -> HttpError:
    return invalid_query("invalid cursor; start again without one")


KEY_CURSOR: Final[Parameter[ConfigKey | None]] = Parameter(
    name="cursor",
    place="query",
    description=_DESCRIPTION,
    schema={"type": "string"},
    parse=_decode_key,
)
VERSION_CURSOR: Final[Parameter[str | None]] = Parameter(
    name="cursor",
    place="query",
    description=_DESCRIPTION,
    schema={"type": "string"},
    parse=_decode_version,
)
