"""Whether an answer is the configuration that was asked for. Pure functions (reliability G4).

Everything that is not exactly that is an error; nothing becomes empty configuration by accident.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from pyfly.config_client._loading.request import ConfigRequest
from pyfly.config_client.errors import InvalidPayloadError, ServerRejectedError
from pyfly.config_core import ConfigError, Environment, decode_environment, encode_slashes

_OK: Final = 200
_JSON: Final = re.compile(r"application/(?:json|[a-z0-9.+-]+\+json)", re.IGNORECASE)
_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([^:]*):")
_ADVICE: Final = {
    401: "the credential is missing or wrong",
    403: "the credential does not allow this",
    404: "the label does not exist there, or the base path is another one",
}


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
        environment = decode_environment(_decode(body))
    except (ConfigError, ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            reason = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        else:
            reason = str(error) if isinstance(error, ConfigError) else "not JSON that can be read"
        raise InvalidPayloadError(f"{place}: {reason}") from error
    names = {application, encode_slashes(application)}
    if environment.name not in names or ",".join(environment.profiles) != profiles:
        raise InvalidPayloadError(
            f"{place}: the answer is for {environment.name!r} with the profiles "
            f"{','.join(environment.profiles)!r}, which was not asked for"
        )
    return environment


def _rejection(request: ConfigRequest, answer: Answer) -> ServerRejectedError:
    advice = _ADVICE.get(answer.status, "see the log of the server")
    if 300 <= answer.status < 400:  # noqa: PLR2004 - the class of redirects
        advice = "redirects are not followed; name the server's own address"
    try:
        problem: object = _decode(answer.body)
    except (ValueError, RecursionError):
        problem = None
    return ServerRejectedError(request.url, answer.status, advice, problem)


def _check_headers(request: ConfigRequest, answer: Answer) -> None:
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    if not _JSON.fullmatch(media_type):
        raise InvalidPayloadError(
            f"{request.url}: the answer is {media_type or 'of no type'!r}, not JSON; "
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
    except binascii.Error:
        return False


def _decode(body: bytes) -> object:
    return json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_refuse)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key is given twice")
    return mapping


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
