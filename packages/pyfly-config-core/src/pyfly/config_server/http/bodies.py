"""Reading what a client sends: bounded in size and time, and of a known type."""

import asyncio
from typing import Final

from pyfly.config_server.http.charsets import decode
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import MAX_BODY_BYTES, HttpRequest

__all__ = ["BODY_SECONDS", "LARGE_BODY", "media_type", "read_body", "read_utf8", "unsupported_type"]

_MAX_PARAMETERS: Final = 8
"""Parameters of a media type that are looked at."""
_UTF_8: Final = frozenset({"utf-8", "utf8"})
BODY_SECONDS: Final = 30.0
"""A client has this long to send a body."""
LARGE_BODY: Final = 16_384
"""Bytes of a body from which on it is parsed in a thread."""


async def read_body(request: HttpRequest) -> bytes:
    """Return the body, whole.

    Raises:
        HttpError: It is compressed, too long, or did not come to its end.
    """
    if request.header(b"content-encoding") not in {None, b"identity"}:
        raise HttpError(415, "unsupported-media-type", "compressed bodies are not taken")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read_body()
    except TimeoutError as error:
        raise HttpError(408, "body-timeout", f"no whole body in {BODY_SECONDS:g} s") from error
    except ConnectionError as error:
        raise HttpError(400, "body-incomplete", "the body ended too early") from error
    if len(body) > MAX_BODY_BYTES:
        raise HttpError(413, "too-large", f"a body holds at most {MAX_BODY_BYTES:,} bytes")
    return body


async def read_utf8(request: HttpRequest) -> bytes:
    """Return the body in UTF-8, whatever charset its `Content-Type` names.

    A body in UTF-8, or without a charset, is returned as it was sent, without a check.

    Raises:
        HttpError: As `read_body`; the charset is not known; the bytes are not of it.
    """
    charset = _charset(request)
    if decode(b"", charset) is None:
        raise HttpError(415, "unsupported-media-type", "the charset is not known; send UTF-8")
    body = await read_body(request)
    if charset in _UTF_8:
        return body
    try:
        return (decode(body, charset, errors="strict") or "").encode()
    except UnicodeDecodeError as error:
        raise HttpError(400, "no-text", "the body is not in the charset that it names") from error


def media_type(request: HttpRequest) -> str:
    """Return the type of the body in lower case, without parameters; empty when none is named."""
    return _content_type(request)[0]


def unsupported_type(*taken: str) -> HttpError:
    """Return the error for a body of another media type than those in `taken`."""
    return HttpError(415, "unsupported-media-type", f"say Content-Type: {' or '.join(taken)}")


def _charset(request: HttpRequest) -> str:
    for parameter in _content_type(request)[1:]:
        name, _, value = parameter.partition("=")
        if name.rstrip() == "charset":
            return value.strip().strip('"')
    return "utf-8"


def _content_type(request: HttpRequest) -> list[str]:
    value = request.header(b"content-type") or b""
    return [part.strip().lower() for part in value.decode("latin-1").split(";", _MAX_PARAMETERS)]
