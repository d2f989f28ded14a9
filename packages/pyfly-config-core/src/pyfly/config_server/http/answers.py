"""Building answers: bodies with their validators, and errors (contract §8, RFC 9110, RFC 9530)."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final
from zlib import crc32

from pyfly.config_core import MEDIA_TYPE_V2, ConfigFormatError, JsonValue
from pyfly.config_core.limits import MAX_ANSWER_BYTES
from pyfly.config_server.formats.documents import encode_json
from pyfly.config_server.http.messages import Headers, HttpRequest, HttpResponse
from pyfly.config_server.http.negotiation import is_current
from pyfly.config_server.http.refusals import Refusal
from pyfly.config_server.storage import TOO_LARGE

JSON: Final = "application/json"
TEXT: Final = "text/plain;charset=UTF-8"
PROBLEM: Final = "application/problem+json"

_ALWAYS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
SHOWN_PATH_LENGTH: Final = 1024
"""Bytes of a path that an error or a log line repeats."""


def answer(
    request: HttpRequest,
    body: bytes,
    media_type: str,
    *,
    entity_tag: bytes | None = None,
    modified: datetime | None = None,
) -> HttpResponse:
    """Return 200 with `body`, or 304 when the client has it.

    Without an `entity_tag` it is made of the body and the media type; it is strong.
    """
    digest = hashlib.sha256(body)
    if entity_tag is None:
        entity_tag = f'"{digest.hexdigest()[:32]}{_tag_suffix(media_type)}"'.encode()
    dated: Headers = ()
    if modified is not None:
        dated = ((b"last-modified", format_datetime(modified, usegmt=True).encode()),)
    validators = (
        *dated,
        (b"etag", entity_tag),
        (b"vary", b"Accept, Authorization"),
        *_ALWAYS,
    )
    if is_current(request, entity_tag, modified):
        return HttpResponse(status=304, headers=validators)
    return HttpResponse(
        status=200,
        headers=(
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"content-digest", b"sha-256=:" + base64.b64encode(digest.digest()) + b":"),
            *validators,
        ),
        body=body,
    )


def bounded_answer(
    request: HttpRequest, body: bytes, media_type: str, *, advice: str = TOO_LARGE
) -> HttpResponse:
    """Return `answer` with a body that was composed of what is stored.

    Args:
        request: What is answered.
        body: All of it.
        media_type: Of the body.
        advice: What to do when the body is too long.

    Raises:
        ConfigFormatError: It is longer than one answer may be.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise ConfigFormatError(
            f"{len(body):,} bytes of body, more than {MAX_ANSWER_BYTES:,} in one answer; {advice}"
        )
    return answer(request, body, media_type)


def _tag_suffix(media_type: str) -> str:
    if media_type in {JSON, MEDIA_TYPE_V2}:
        return "" if media_type == JSON else "-v2"
    return f"-{crc32(media_type.encode()):08x}"


def empty_answer(status: int) -> HttpResponse:
    """Return an answer without a body."""
    return HttpResponse(status=status, headers=((b"content-length", b"0"), *_ALWAYS))


def allowed_methods(methods: tuple[str, ...]) -> HttpResponse:
    """Return the answer to `OPTIONS`."""
    return HttpResponse(
        status=200,
        headers=((b"allow", ", ".join(methods).encode()), (b"content-length", b"0"), *_ALWAYS),
    )


def error_answer(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Return an error with the body that Spring Boot sends (contract §8)."""
    status = refusal.status
    document: dict[str, JsonValue] = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "status": status,
        "error": HTTPStatus(status).phrase,
        "path": _shown_path(request),
    }
    if refusal.message:
        document["message"] = refusal.message
    return json_answer(document, status=status, headers=refusal.headers)


def problem_answer(
    request: HttpRequest, refusal: Refusal, *, more: Mapping[str, JsonValue]
) -> HttpResponse:
    """Return an error of our own routes (RFC 9457), with its code and `more` members."""
    document: dict[str, JsonValue] = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.message,
        "instance": _shown_path(request),
        "code": refusal.code,
        **more,
    }
    return json_answer(document, status=refusal.status, headers=refusal.headers, media_type=PROBLEM)


def _shown_path(request: HttpRequest) -> str:
    return request.raw_path[:SHOWN_PATH_LENGTH].decode("ascii", "backslashreplace")


def text_answer(text: str, media_type: str) -> HttpResponse:
    """Return a text without validators: it is another one for every request."""
    return _bare_answer(text.encode(), media_type, status=200)


def json_answer(
    document: Mapping[str, JsonValue],
    *,
    status: int,
    headers: Headers = (),
    media_type: str = JSON,
) -> HttpResponse:
    """Return a small JSON document without validators."""
    return _bare_answer(encode_json(document), media_type, status=status, headers=headers)


def _bare_answer(
    body: bytes, media_type: str, *, status: int, headers: Headers = ()
) -> HttpResponse:
    return HttpResponse(
        status=status,
        headers=(
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(body)),
            *headers,
            *_ALWAYS,
        ),
        body=body,
    )
