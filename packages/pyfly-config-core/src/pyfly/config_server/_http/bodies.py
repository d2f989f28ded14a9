"""Reading what a client sends: bounded in size and time, and of a known type."""

import asyncio
from typing import Final

from pyfly.config_server._http.messages import MAX_BODY_BYTES, HttpRequest, header
from pyfly.config_server._http.refusals import Refusal

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


def media_type(request: HttpRequest) -> str:
    """Return the type of the body in lower case, without parameters; empty when none is named."""
    value = header(request, b"content-type") or b""
    return value.split(b";")[0].strip().lower().decode("latin-1")
