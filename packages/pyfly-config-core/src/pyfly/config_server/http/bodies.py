"""Reading the body of a request, with limits of size and time."""

import asyncio
from typing import Final

from pyfly.config_server.http.charsets import decode
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import MAX_BODY_BYTES, Headers, HttpRequest

__all__ = ["BODY_SECONDS", "LARGE_BODY", "media_type", "read_body", "read_utf8", "unsupported_type"]

_MAX_PARAMETERS: Final = 8
"""The largest number of parameters of a media type that are read."""
_UTF_8: Final = frozenset({"utf-8", "utf8"})
BODY_SECONDS: Final = 30.0
"""The time for a client to send a body."""
LARGE_BODY: Final = 16_384
"""In bytes. Larger bodies are parsed in a thread."""


async def read_body(request: HttpRequest) -> bytes:
    """Return the complete body.

    Raises:
        HttpError: The body is compressed, too long or incomplete.
    """
    if request.header(b"content-encoding") not in {None, b"identity"}:
        raise HttpError(415, "unsupported-media-type", "send the body without compression")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read_body()
    except TimeoutError as error:
        message = f"the body was not complete after {BODY_SECONDS:g} s"
        raise HttpError(408, "body-timeout", message) from error
    except ConnectionError as error:
        raise HttpError(400, "body-incomplete", "the body ended too early") from error
    if len(body) > MAX_BODY_BYTES:
        raise HttpError(413, "too-large", f"the body has more than {MAX_BODY_BYTES:,} bytes")
    return body


async def read_utf8(request: HttpRequest) -> bytes:
    """Return the body in UTF-8, whatever charset its `Content-Type` names.

    A body in UTF-8, or without a charset, is returned as it was sent, without a check.

    Raises:
        HttpError: As `read_body`; or the charset is unknown, or the bytes do not match it.
    """
    charset = _charset(request)
    if decode(b"", charset) is None:
        raise HttpError(415, "unsupported-media-type", "the charset is unknown; send UTF-8")
    body = await read_body(request)
    if charset in _UTF_8:
        return body
    try:
        return (decode(body, charset, errors="strict") or "").encode()
    except UnicodeDecodeError as error:
        raise HttpError(400, "no-text", "the body does not match its charset") from error


def media_type(request: HttpRequest) -> str:
    """Return the media type in lower case, without parameters; empty if there is none."""
    return _content_type(request)[0]


def unsupported_type(*taken: str, headers: Headers = ()) -> HttpError:
    """Return the error for a body of another media type than those in `taken`."""
    message = f"send Content-Type: {' or '.join(taken)}"
    return HttpError(415, "unsupported-media-type", message, headers=headers)


def _charset(request: HttpRequest) -> str:
    for parameter in _content_type(request)[1:]:
        name, _, value = parameter.partition("=")
        if name.rstrip() == "charset":
            return value.strip().strip('"')
    return "utf-8"


def _content_type(request: HttpRequest) -> list[str]:
    value = request.header(b"content-type") or b""
    return [part.strip().lower() for part in value.decode("latin-1").split(";", _MAX_PARAMETERS)]
