"""Checks before a store writes."""

import json

from pyfly.config_core import (
    ConfigFormatError,
    check_collisions,
    check_not_reserved,
    flatten,
)
from pyfly.config_core.limits import MAX_AUTHOR_LENGTH, MAX_DOCUMENT_BYTES, MAX_MESSAGE_LENGTH
from pyfly.config_server.composition.activation import is_active
from pyfly.config_server.storage import ConfigSource


def check_storable(source: ConfigSource) -> None:
    """Refuse a bundle that could not be served.

    Raises:
        InvalidConfigKeyError: The name is reserved.
        ConfigFormatError: The properties collide, are too many, too deep or too large, or hold
            a condition that cannot be read.
    """
    check_not_reserved(source.key)
    check_collisions(source.properties)
    is_active(flatten(source.properties), frozenset())
    size = len(json.dumps(source.properties, ensure_ascii=False).encode())
    if size > MAX_DOCUMENT_BYTES:
        raise ConfigFormatError(f"{size:,} bytes of JSON, more than {MAX_DOCUMENT_BYTES:,}")


def check_remarks(*, author: str | None, message: str | None) -> None:
    """Refuse an author or a message that is too long for a history.

    Raises:
        ConfigFormatError: The author has more than 256 characters or the message more than
            1,024.
    """
    _check_length("author", author, MAX_AUTHOR_LENGTH)
    _check_length("message", message, MAX_MESSAGE_LENGTH)


def _check_length(what: str, text: str | None, most: int) -> None:
    if text is not None and len(text) > most:
        raise ConfigFormatError(f"the {what} has {len(text):,} characters, more than {most:,}")
