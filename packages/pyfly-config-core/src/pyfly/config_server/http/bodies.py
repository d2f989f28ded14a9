"""Reading what a client sends: bounded in size and time, and of a known type."""

import asyncio
from typing import Final

from pyfly.config_server.http.charsets import decode
from pyfly.config_server.http.messages import MAX_BODY_BYTES, HttpRequest, header
from pyfly.config_server.http.refusals import Refusal

MAX_PARAMETERS: Final = 8
"""Parameters of a media type that are looked at."""
_UTF_8: Final = frozenset({"utf-8", "utf8"})
BODY_SECONDS: Final = 30.0
"""A client has this long to send a body."""


async def read_body(request: HttpRequest) -> bytes:
    """Return the body, whole.

    Raises:
        Refusal: It is compressed, too long, or did not come to its end.
    """
    if header(request, b"content-encoding") not in {None, b"identity"}:
        raise Refusal(415, "unsupported-media-type", "compressed bodies are not taken")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read_body()
    except TimeoutError as error:
        raise Refusal(408, "body-timeout", f"no whole body in {BODY_SECONDS:g} s") from error
    except ConnectionError as error:
        raise Refusal(400, "body-incomplete", "the body ended too early") from error
    if len(body) > MAX_BODY_BYTES:
        raise Refusal(413, "too-large", f"a body holds at most {MAX_BODY_BYTES:,} bytes")
    return body


async def read_utf8(request: HttpRequest) -> bytes:
    """Return the body in UTF-8, whatever charset its `Content-Type` names.

    What is said to be UTF-8, or nothing at all, is returned as it was sent, without a check.

    Raises:
        Refusal: As `read_body`; the charset is not known; the bytes are not of it.
    """
    charset = _charset(request)
    if decode(b"", charset) is None:
        raise Refusal(415, "unsupported-media-type", "the charset is not known; send UTF-8")
    body = await read_body(request)
    if charset in _UTF_8:
        return body
    try:
        return (decode(body, charset, errors="strict") or "").encode()
    except UnicodeDecodeError as error:
        raise Refusal(400, "no-text", "the body is not in the charset that it names") from error


def media_type(request: HttpRequest) -> str:
    """Return the type of the body in lower case, without parameters; empty when none is named."""
    return _content_type(request)[0]


def _charset(request: HttpRequest) -> str:
    for parameter in _content_type(request)[1:]:
        name, _, value = parameter.partition("=")
        if name.rstrip() == "charset":
            return value.strip().strip('"')
    return "utf-8"


def _content_type(request: HttpRequest) -> list[str]:
    value = header(request, b"content-type") or b""
    return [part.strip().lower() for part in value.decode("latin-1").split(";", MAX_PARAMETERS)]
