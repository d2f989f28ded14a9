"""Building responses: bodies with their validators (RFC 9110, RFC 9530), and errors."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

from pyfly.config_core import JsonValue
from pyfly.config_server.composition.representation import Representation
from pyfly.config_server.formats.documents import encode_json
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import Headers, HttpRequest, HttpResponse, Reusable
from pyfly.config_server.http.negotiation import is_current

__all__ = [
    "JSON",
    "PROBLEM_JSON",
    "SECURITY_HEADERS",
    "TEXT",
    "accept_patch",
    "document_response",
    "empty_response",
    "error_response",
    "json_response",
    "known_headers",
    "options_response",
    "problem_response",
    "representation_headers",
    "representation_response",
    "shown_path",
    "text_response",
]

JSON: Final = "application/json"
TEXT: Final = "text/plain;charset=UTF-8"
PROBLEM_JSON: Final = "application/problem+json"

SECURITY_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""Headers of every response: nobody stores it, and no browser runs, frames or reinterprets it."""

_SHOWN_PATH_LENGTH: Final = 1024


def representation_response(
    request: HttpRequest,
    representation: Representation,
    *,
    headers: Headers = (),
    reusable: Reusable | None = None,
) -> HttpResponse:
    """Return 200 with the representation, or 304 if the client has it.

    Args:
        request: The request.
        representation: The document.
        headers: Further headers, for both statuses.
        reusable: How the request may be answered again.
    """
    tag, modified = representation.entity_tag, representation.modified
    if is_current(request, tag, modified):
        own = known_headers(representation)
        return HttpResponse(status=304, headers=(*own, *headers), reusable=reusable)
    own = representation_headers(representation)
    body = representation.body
    return HttpResponse(status=200, headers=(*own, *headers), body=body, reusable=reusable)


def document_response(
    request: HttpRequest, body: bytes, media_type: str, *, entity_tag: bytes | None = None
) -> HttpResponse:
    """Return 200 with `body`, or 304 if the client has it.

    By default the strong entity tag is a digest of the body and the media type.
    """
    representation = Representation(body=body, media_type=media_type)
    if entity_tag is not None:
        representation = representation.tagged(entity_tag)
    return representation_response(request, representation)


def representation_headers(representation: Representation) -> Headers:
    """Return the headers of a representation with status 200."""
    return (
        (b"content-type", representation.media_type.encode()),
        (b"content-length", b"%d" % len(representation.body)),
        (b"content-digest", representation.content_digest),
        *known_headers(representation),
    )


def known_headers(representation: Representation) -> Headers:
    """Return the headers of a representation with status 304."""
    validators = (
        (b"etag", representation.entity_tag),
        (b"vary", b"Accept, Authorization"),
        *SECURITY_HEADERS,
    )
    modified = representation.modified
    if modified is None:
        return validators
    return ((b"last-modified", format_datetime(modified, usegmt=True).encode()), *validators)


def empty_response(status: int) -> HttpResponse:
    """Return a response without a body."""
    return HttpResponse(status=status, headers=((b"content-length", b"0"), *SECURITY_HEADERS))


def options_response(methods: Sequence[str], patch_types: Sequence[str] = ()) -> HttpResponse:
    """Return the response to `OPTIONS`, with the media types of patches."""
    patches = (accept_patch(patch_types),) if patch_types else ()
    return HttpResponse(
        status=200,
        headers=(
            (b"allow", ", ".join(methods).encode()),
            *patches,
            (b"content-length", b"0"),
            *SECURITY_HEADERS,
        ),
    )


def accept_patch(media_types: Iterable[str]) -> tuple[bytes, bytes]:
    """Return the header that names the media types of patches (RFC 5789)."""
    return (b"accept-patch", ", ".join(media_types).encode())


def error_response(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Return an error with a body in the format of Spring Boot."""
    status = error.status
    document: dict[str, JsonValue] = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "status": status,
        "error": HTTPStatus(status).phrase,
        "path": shown_path(request),
    }
    if error.message:
        document["message"] = error.message
    return json_response(document, status=status, headers=error.headers)


def problem_response(
    request: HttpRequest, error: HttpError, *, members: Mapping[str, JsonValue]
) -> HttpResponse:
    """Return an error as a problem document (RFC 9457), with its code and further members."""
    document: dict[str, JsonValue] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "instance": shown_path(request),
        "code": error.code,
        **members,
    }
    return json_response(
        document, status=error.status, headers=error.headers, media_type=PROBLEM_JSON
    )


def shown_path(request: HttpRequest) -> str:
    """Return the beginning of the path as sent, for errors."""
    path = request.root_path + request.raw_path
    return path[:_SHOWN_PATH_LENGTH].decode("ascii", "backslashreplace")


def text_response(text: str, media_type: str) -> HttpResponse:
    """Return a text without validators, for texts that differ from request to request."""
    return _plain_response(text.encode(), media_type, status=200)


def json_response(
    document: Mapping[str, JsonValue] | list[JsonValue],
    *,
    status: int,
    headers: Headers = (),
    media_type: str = JSON,
) -> HttpResponse:
    """Return a small JSON document without validators."""
    return _plain_response(encode_json(document), media_type, status=status, headers=headers)


def _plain_response(
    body: bytes, media_type: str, *, status: int, headers: Headers = ()
) -> HttpResponse:
    return HttpResponse(
        status=status,
        headers=(
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(body)),
            *headers,
            *SECURITY_HEADERS,
        ),
        body=body,
    )
