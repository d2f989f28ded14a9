"""Checks of responses, and decoding of JSON within bounds. Pure functions.

Everything else is an error; nothing becomes empty configuration by accident.
"""

import base64
import hashlib
import json
import math
import re
from typing import Final, NoReturn, cast

from pyfly.config_client._exchange import HttpResponse
from pyfly.config_client._requests import ConfigRequest
from pyfly.config_client.errors import InvalidPayloadError, ServerRejectedError, printable
from pyfly.config_core import ConfigFormatError, Environment, decode_environment, encode_slashes
from pyfly.config_core.limits import MAX_ANSWER_BYTES, MAX_PROPERTIES

MAX_VALUES: Final = 5 * MAX_PROPERTIES
"""The limit of values in one document. A property with its origin is three values."""

_MAX_NUMBER_LENGTH: Final = 400
"""Characters; the largest number of 64 bits in floating point has 309 digits."""
# Also ends at the end of the text; otherwise an unclosed string takes quadratic time.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_SEPARATORS: Final = (b",", b"[", b"{")


def decode_json(body: bytes) -> object:
    """Return the content of a JSON text in UTF-8.

    Raises:
        ConfigFormatError: It is not JSON; an object has a key twice; a number is not finite or
            has more than 400 digits; or it is larger than a response may be. The error shows no
            value.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise ConfigFormatError(f"larger than {MAX_ANSWER_BYTES:,} bytes")
    if _has_more_values(body, MAX_VALUES):
        raise ConfigFormatError(f"more than {MAX_VALUES:,} values")
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_constant=_reject_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:  # not chained: it contains the whole text
        what = error.msg.removesuffix(" at")
        reason = f"not JSON: {what} at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:  # the same
        reason = "not JSON: it is not in UTF-8"
    except RecursionError:
        reason = "unreadable JSON: it is nested too deeply"
    raise ConfigFormatError(reason)


def _has_more_values(body: bytes, most: int) -> bool:
    """True if a text certainly has more values than are allowed.

    Every value follows a comma or an opening bracket outside strings, and has at most two
    strings: itself and its key.
    """
    if _separators(body) <= most:
        return False
    if body.count(b'"') - body.count(b'\\"') > 4 * most:
        return True
    return _separators(_STRING.sub(b"", body)) > most


def _separators(text: bytes) -> int:
    return sum(text.count(separator) for separator in _SEPARATORS)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ConfigFormatError("unreadable JSON: an object has a key twice")
    return mapping


def _reject_constant(name: str) -> NoReturn:
    raise ConfigFormatError(f"not JSON: {name}")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ConfigFormatError("unreadable JSON: a number is too large")
    return number


def _int(text: str) -> int:
    if len(text) > _MAX_NUMBER_LENGTH:
        raise ConfigFormatError("unreadable JSON: a number is too large")
    return int(text)


_OK: Final = 200
_NOT_MODIFIED: Final = 304
_NOT_FOUND: Final = 404
_JSON: Final = re.compile(r"application/(?:json|[a-z0-9.+-]+\+json)", re.IGNORECASE)
_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([^:]*):")
_ADVICE: Final = {
    304: "the request was not conditional",
    401: "the credential is missing or wrong",
    403: "the credential does not allow this",
    404: "the label does not exist, or the base path is wrong",
}
_MAX_PROBLEM_BYTES: Final = 65_536
"""The largest error document that is read."""
_MESSAGE_FIELDS: Final = ("detail", "message", "title", "error")
_MAX_MESSAGE_LENGTH: Final = 500


def check_response(request: ConfigRequest, response: HttpResponse) -> None:
    """Reject a response whose body need not be read.

    Raises:
        ServerRejectedError: The status is not 200. Redirects are not followed.
        InvalidPayloadError: The body is not JSON, or does not match its digest.
    """
    if response.status != _OK:
        raise _rejection(request, response)
    _check_headers(request, response)


def read_document(body: bytes, *, place: str, application: str, profiles: str) -> Environment:
    """Return the requested environment document.

    Args:
        body: JSON, from a server or from a file.
        place: Its address or file, for errors.
        application: As requested.
        profiles: As requested, comma separated.

    Raises:
        InvalidPayloadError: It is not an environment document, or it is for other names.
    """
    try:
        environment = decode_environment(decode_json(body))
    except ConfigFormatError as error:
        raise InvalidPayloadError(f"{place}: {error}") from None
    names = {application, encode_slashes(application)}
    if environment.name not in names or ",".join(environment.profiles) != profiles:
        raise InvalidPayloadError(
            f"{place}: the response is for {printable(environment.name)!r} with the profiles "
            f"{printable(','.join(environment.profiles))!r}, which were not requested"
        )
    return environment


def _rejection(request: ConfigRequest, response: HttpResponse) -> ServerRejectedError:
    advice = _ADVICE.get(response.status, "see the log of the server")
    if 300 <= response.status < 400 and response.status != _NOT_MODIFIED:  # noqa: PLR2004 - redirects
        advice = "redirects are not followed; use the final address of the server"
    if response.status == _NOT_FOUND and request.base_path_twice:
        advice = (
            f"the server URL ends with {request.base_path_twice}, and the base path "
            f"{request.base_path_twice} was appended to it; remove it from the URL, or set the "
            "base path to an empty text"
        )
    problem, message = _problem(response)
    if message:
        advice = f"the server says: {message} ({advice})"
    return ServerRejectedError(request.url, response.status, advice, problem)


def _problem(response: HttpResponse) -> tuple[object, str]:
    """Return the JSON error document of a response, and its message."""
    media_type = _media_type(response)
    if len(response.body) > _MAX_PROBLEM_BYTES:
        return None, ""
    if media_type == "text/plain":
        text = response.body.decode(errors="replace").strip()
        return None, printable(text.partition("\n")[0].strip(), _MAX_MESSAGE_LENGTH)
    try:
        problem = decode_json(response.body)
    except ConfigFormatError:
        return None, ""
    if not isinstance(problem, dict):
        return problem, ""
    fields = cast("dict[str, object]", problem)  # JSON objects have string keys
    texts = (fields.get(name) for name in _MESSAGE_FIELDS)
    message = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    return fields, printable(message.strip(), _MAX_MESSAGE_LENGTH)


def _media_type(response: HttpResponse) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_headers(request: ConfigRequest, response: HttpResponse) -> None:
    media_type = _media_type(response)
    if not _JSON.fullmatch(media_type):
        raise InvalidPayloadError(
            f"{request.url}: the response is {printable(media_type) or 'of no type'!r}, not JSON; "
            "check that this is the address of a configuration server"
        )
    if response.headers.get("content-encoding", "identity") != "identity":
        raise InvalidPayloadError(
            f"{request.url}: the response has a content encoding that was not requested"
        )
    if not response.body:
        raise InvalidPayloadError(f"{request.url}: the response has no body")
    digest = response.headers.get("content-digest")
    if digest is not None and not _matches(digest, response.body):
        raise InvalidPayloadError(f"{request.url}: the body does not match its Content-Digest")


def _matches(header: str, body: bytes) -> bool:
    """True if a `Content-Digest` (RFC 9530) has the SHA-256 of the body."""
    found = _DIGEST.search(header)
    if found is None:
        return False
    try:
        return base64.b64decode(found[1], validate=True) == hashlib.sha256(body).digest()
    except ValueError:  # not base64, or not even ASCII
        return False
