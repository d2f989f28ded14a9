"""The exchange with a server: what is requested, requests and responses as values, and checks.

Imports no library. `pyfly.config_client.transport` is the public module of requests, responses and
the interface of what sends them. Whatever a check does not accept is an error; nothing becomes
empty configuration by accident.
"""

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn, Protocol, cast

from pyfly.config_client.errors import InvalidPayloadError, ServerRejectedError, printable
from pyfly.config_core import (
    ConfigFormatError,
    Environment,
    decode_environment,
    encode_slashes,
)
from pyfly.config_core.limits import MAX_ANSWER_BYTES, MAX_PROPERTIES


class Identity(NamedTuple):
    """Which configuration is requested, and from where. A snapshot belongs to one identity."""

    servers: tuple[str, ...]
    """Addresses without credentials, in the order in which they are asked."""
    application: str
    profiles: str
    labels: tuple[str | None, ...]
    """In the order in which they are tried."""
    keys: str = ""
    """The keys that are requested, comma separated; empty for all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class HttpRequest:
    """A GET request, ready to be sent. Has no `repr`, because its headers may hold a credential."""

    url: str
    """Without credentials."""
    headers: Mapping[str, str]
    """All headers to send."""
    timeout: float
    """Seconds for the whole exchange, to the last byte of the response."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class HttpResponse:
    """A whole response, as it arrived.

    Raises:
        TypeError: The status is not a number, or the body is not bytes.
    """

    status: int
    headers: Mapping[str, str]
    """Names are given in any case, and kept in lower case."""
    body: bytes

    def __post_init__(self) -> None:
        status, body = cast("object", self.status), cast("object", self.body)
        if not isinstance(status, int) or not isinstance(body, bytes):
            raise TypeError("a response needs a status that is a number, and a body of bytes")
        lower = {name.lower(): value for name, value in self.headers.items()}
        object.__setattr__(self, "headers", lower)


class Body:
    """Collects the body of a response, up to the largest size that is allowed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._content = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append a chunk.

        Raises:
            InvalidPayloadError: The body becomes too large.
        """
        self._content += chunk
        if len(self._content) > MAX_ANSWER_BYTES:
            raise InvalidPayloadError(
                f"{self._url}: the response is larger than {MAX_ANSWER_BYTES:,} bytes"
            )

    def response(self, status: int, headers: Mapping[str, str]) -> HttpResponse:
        """Return the whole response."""
        return HttpResponse(status=status, headers=headers, body=bytes(self._content))


class Exchange(Protocol):
    """A request that is being sent, and its response, for code without an event loop."""

    def run(self) -> HttpResponse:
        """Wait for the response and return it.

        Raises:
            ServerUnreachableError: There was no whole response in time, or `abort` was called.
            InvalidPayloadError: The response is too large, or its encoding is broken.
        """
        ...

    def abort(self) -> None:
        """End the exchange now. May be called from any thread, also before `run`."""
        ...


class Transport(Protocol):
    """Sends requests. `ConfigClient` calls `send`, `SyncConfigClient` calls `start`.

    May be called from several threads and event loops at the same time. Redirects must not be
    followed: a credential would go to another server. An `OSError` that it raises counts as a
    `ServerUnreachableError`; the client does not catch other errors.
    """

    @property
    def in_memory(self) -> bool:
        """True if responses come from this process.

        Then the client does not wait between attempts, makes one attempt unless `attempts` is
        given, and keeps no snapshot unless `snapshot_dir` is given.
        """
        ...

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return the whole response. `ConfigClient` cancels it at the timeout.

        Raises:
            ServerUnreachableError: There was no whole response in time.
            InvalidPayloadError: The response is too large, or its encoding is broken.
        """
        ...

    def start(self, request: HttpRequest) -> Exchange:
        """Return an exchange that sends a request when it is run."""
        ...


class TlsFiles(NamedTuple):
    """The files that TLS needs. Every one is optional."""

    ca_file: str | os.PathLike[str] | None = None
    """Certificates of the authorities that may sign the server's certificate."""
    client_cert: str | os.PathLike[str] | None = None
    """The certificate of the client."""
    client_key: str | os.PathLike[str] | None = None
    """The key of the client's certificate, if that is another file."""

    @property
    def given(self) -> bool:
        """True if there is at least one file."""
        return (self.ca_file, self.client_cert, self.client_key) != (None, None, None)


# --- checks of responses --------------------------------------------------------------

MAX_VALUES: Final = 5 * MAX_PROPERTIES
"""The limit of values in one document. A property with its origin is three values."""

_MAX_NUMBER_LENGTH: Final = 400
"""Characters; the largest number of 64 bits in floating point has 309 digits."""
# Also ends at the end of the text; otherwise an unclosed string takes quadratic time. Compiled
# when it is used: most responses are too short to have too many values.
_STRING: Final = rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
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
    return _separators(re.sub(_STRING, b"", body)) > most


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


def check_response(response: HttpResponse, url: str, base_path_twice: str = "") -> None:
    """Reject a response whose body need not be read.

    Args:
        response: The response.
        url: The requested address, without credentials.
        base_path_twice: The base path, if the address has it twice.

    Raises:
        ServerRejectedError: The status is not 200. Redirects are not followed.
        InvalidPayloadError: The body is not JSON, or does not match its digest.
    """
    if response.status != _OK:
        raise _rejection(response, url, base_path_twice)
    _check_headers(response, url)


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


def _rejection(response: HttpResponse, url: str, base_path_twice: str) -> ServerRejectedError:
    advice = _ADVICE.get(response.status, "see the log of the server")
    if 300 <= response.status < 400 and response.status != _NOT_MODIFIED:  # noqa: PLR2004 - redirects
        advice = "redirects are not followed; use the final address of the server"
    if response.status == _NOT_FOUND and base_path_twice:
        advice = (
            f"the server URL ends with {base_path_twice}, and the base path {base_path_twice} was "
            "appended to it; remove it from the URL, or set the base path to an empty text"
        )
    problem, message = _problem(response)
    if message:
        advice = f"the server says: {message} ({advice})"
    return ServerRejectedError(url, response.status, advice, problem)


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


def _check_headers(response: HttpResponse, url: str) -> None:
    media_type = _media_type(response)
    if not media_type.startswith("application/") or not media_type.endswith(("/json", "+json")):
        raise InvalidPayloadError(
            f"{url}: the response is {printable(media_type) or 'of no type'!r}, not JSON; "
            "check that this is the address of a configuration server"
        )
    if response.headers.get("content-encoding", "identity") != "identity":
        raise InvalidPayloadError(
            f"{url}: the response has a content encoding that was not requested"
        )
    if not response.body:
        raise InvalidPayloadError(f"{url}: the response has no body")
    digest = response.headers.get("content-digest")
    if digest is not None and not _matches(digest, response.body):
        raise InvalidPayloadError(f"{url}: the body does not match its Content-Digest")


def _matches(header: str, body: bytes) -> bool:
    """True if a `Content-Digest` (RFC 9530) has the SHA-256 of the body."""
    wanted = f":{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    digests = (one.partition("=") for one in header.split(","))
    found = next((value for name, _, value in digests if name.strip() == "sha-256"), "")
    return found.strip().startswith(wanted)
