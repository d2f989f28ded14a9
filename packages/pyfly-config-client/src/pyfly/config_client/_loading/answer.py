"""Whether an answer is the configuration that was asked for. Pure functions.

Everything that is not exactly that is an error; nothing becomes empty configuration by accident.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from pyfly.config_client._loading.json_text import decode_json
from pyfly.config_client._loading.request import ConfigRequest
from pyfly.config_client._printable import printable
from pyfly.config_client.errors import InvalidPayloadError, ServerRejectedError
from pyfly.config_core import ConfigFormatError, Environment, decode_environment, encode_slashes

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_NOT_FOUND: Final = 404
_JSON: Final = re.compile(r"application/(?:json|[a-z0-9.+-]+\+json)", re.IGNORECASE)
_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([^:]*):")
_ADVICE: Final = {
    304: "nothing was asked that this could answer",
    401: "the credential is missing or wrong",
    403: "the credential does not allow this",
    404: "the label does not exist there, or the base path is another one",
}
_LARGEST_PROBLEM: Final = 65_536
"""Bytes of an error document that are read."""
_MESSAGE_FIELDS: Final = ("detail", "message", "title", "error")
_LONGEST_MESSAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Answer:
    """One whole answer as it arrived."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


def check_answer(request: ConfigRequest, answer: Answer) -> None:
    """Refuse an answer whose body is not worth reading.

    Raises:
        ServerRejectedError: The status is not 200; redirects are not followed.
        InvalidPayloadError: The answer is not JSON, or does not match its digest.
    """
    if answer.status != _OK:
        raise _rejection(request, answer)
    _check_headers(request, answer)


def read_document(body: bytes, *, place: str, application: str, profiles: str) -> Environment:
    """Return the environment document that was asked for.

    Args:
        body: JSON, from a server or from a file.
        place: Its address or file, for errors.
        application: As asked for.
        profiles: As asked for, comma separated.

    Raises:
        InvalidPayloadError: It is not an environment document, or another one.
    """
    try:
        environment = decode_environment(decode_json(body))
    except ConfigFormatError as error:
        raise InvalidPayloadError(f"{place}: {error}") from None
    names = {application, encode_slashes(application)}
    if environment.name not in names or ",".join(environment.profiles) != profiles:
        raise InvalidPayloadError(
            f"{place}: the answer is for {printable(environment.name)!r} with the profiles "
            f"{printable(','.join(environment.profiles))!r}, which was not asked for"
        )
    return environment


def _rejection(request: ConfigRequest, answer: Answer) -> ServerRejectedError:
    advice = _ADVICE.get(answer.status, "see the log of the server")
    if 300 <= answer.status < 400 and answer.status != _NOT_MODIFIED:  # noqa: PLR2004 - redirects
        advice = "redirects are not followed; name the server's own address"
    if answer.status == _NOT_FOUND and request.base_path_twice:
        advice = (
            f"the server URL ends with {request.base_path_twice}, and the base path "
            f"{request.base_path_twice} was added to it; leave it out of the URL, or set the base "
            "path to an empty text"
        )
    problem, message = _problem(answer)
    if message:
        advice = f"the server says: {message} ({advice})"
    return ServerRejectedError(request.url, answer.status, advice, problem)


def _problem(answer: Answer) -> tuple[object, str]:
    """Return the JSON error document of an answer, and what it tells people."""
    media_type = _media_type(answer)
    if len(answer.body) > _LARGEST_PROBLEM:
        return None, ""
    if media_type == "text/plain":
        text = answer.body.decode(errors="replace").strip()
        return None, printable(text.partition("\n")[0].strip(), _LONGEST_MESSAGE)
    try:
        problem = decode_json(answer.body)
    except ConfigFormatError:
        return None, ""
    if not isinstance(problem, dict):
        return problem, ""
    fields = cast("dict[str, object]", problem)  # JSON objects have string keys
    texts = (fields.get(name) for name in _MESSAGE_FIELDS)
    said = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    return fields, printable(said.strip(), _LONGEST_MESSAGE)


def _media_type(answer: Answer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_headers(request: ConfigRequest, answer: Answer) -> None:
    media_type = _media_type(answer)
    if not _JSON.fullmatch(media_type):
        raise InvalidPayloadError(
            f"{request.url}: the answer is {printable(media_type) or 'of no type'!r}, not JSON; "
            "is this a configuration server?"
        )
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise InvalidPayloadError(f"{request.url}: the answer is encoded although not asked to be")
    if not answer.body:
        raise InvalidPayloadError(f"{request.url}: the answer has no body")
    digest = answer.headers.get("content-digest")
    if digest is not None and not _matches(digest, answer.body):
        raise InvalidPayloadError(f"{request.url}: the body does not match its Content-Digest")


def _matches(header: str, body: bytes) -> bool:
    """Check a SHA-256 `Content-Digest` (RFC 9530); other algorithms alone do not suffice."""
    found = _DIGEST.search(header)
    if found is None:
        return False
    try:
        return base64.b64decode(found[1], validate=True) == hashlib.sha256(body).digest()
    except ValueError:  # not base64, or not even ASCII
        return False
