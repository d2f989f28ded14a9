"""From a response to a configuration: what is accepted, and why a response is rejected.

Snapshots and baselines pass the same checks of form, identity and content. Whatever a check does
not accept is an error; nothing becomes empty configuration by accident. No input or output.
"""

import base64
import hashlib
import math
import os
import time
from collections.abc import Iterable
from typing import Final, cast

from pyfly.config_client._changes import Loaded
from pyfly.config_client._disk import Snapshot
from pyfly.config_client._properties import ConfigMetadata, read_properties
from pyfly.config_client._requests import ConfigRequest, HttpResponse
from pyfly.config_client._steps import Job
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerRejectedError,
    ServerUnreachableError,
    StaleResponseError,
    printable,
)
from pyfly.config_core import (
    SHARED_APPLICATION,
    ConfigFormatError,
    EncryptionError,
    Environment,
    decode_environment,
    encode_slashes,
)
from pyfly.config_core.strict_json import decode_json

_MAX_ETAG_LENGTH: Final = 1_000
_MAX_DIGITS: Final = 12
"""Of a number of seconds."""
_SHRINK_THRESHOLD: Final = 10
"""A configuration of fewer properties may shrink without `allow_shrink`."""
_DOCUMENT_NUMBER: Final = " (document #"
_AFTER_A_NAME: Final = ("", "-", ".", ",")  # in the name of a file


def accept(
    job: Job,
    request: ConfigRequest,
    result: HttpResponse | ConfigClientError | None,
    until: float = math.inf,
) -> Loaded:
    """Return the configuration in a response. Does not call the program's `validate`.

    `until` is the deadline, by `time.monotonic`. It is checked between steps whose work is bounded
    by the sizes in `pyfly.config_core.limits`.

    Raises:
        ConfigClientError: There is no response, or it must not be used.
    """
    if not isinstance(result, HttpResponse):
        raise result or ServerUnreachableError(f"{request.url}: the request was not sent")
    check_response(result, request.url, request.base_path_twice)
    snapshot = Snapshot(
        body=result.body,
        url=request.url,
        saved_at=time.time(),
        label=request.label,
        etag=_etag(result),
    )
    loaded = read(job, snapshot, stale=stale_seconds(result), until=until)
    return loaded._replace(waited=waited(result))


def _etag(response: HttpResponse) -> str | None:
    """Return the entity tag if it can be sent back."""
    etag = response.headers.get("etag", "")
    return etag if 0 < len(etag) <= _MAX_ETAG_LENGTH and etag.isascii() else None


def waited(response: HttpResponse) -> bool:
    """True if the server holds requests until something changes (RFC 7240)."""
    applied = response.headers.get("preference-applied", "")
    return any(one.partition("=")[0].strip().lower() == "wait" for one in applied.split(","))


def stale_seconds(response: HttpResponse) -> float | None:
    """Return for how many seconds the server cannot read its store; `None` if it can.

    The header `X-Config-Stale` says so. One without a number counts as 0 seconds.
    """
    text = response.headers.get("x-config-stale")
    if text is None:
        return None
    number = text.strip()
    usable = number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS
    return float(number) if usable else 0.0


def check_not_behind(new: Loaded, current: Loaded | None) -> None:
    """Reject another configuration of a server that cannot read its store.

    It may be older than the current one. A stale configuration is accepted if it is the first one
    that the server sends.

    Raises:
        StaleResponseError: The response is stale, and differs from the current configuration.
    """
    if current is None or current.properties.from_snapshot or new.properties.stale_for is None:
        return
    known, found = current.snapshot, new.snapshot
    if found.body != known.body and (found.etag is None or found.etag != known.etag):
        raise StaleResponseError(
            f"{found.url}: the server cannot read its store, and its last good configuration "
            "differs from the one in use, which may be newer"
        )


def check_shrinking(job: Job, new: Loaded, before: Loaded | None) -> None:
    """Reject a configuration that lost most of its properties, unless that is allowed.

    Raises:
        InvalidPayloadError: It lost more than half of ten or more properties.
    """
    count = 0 if before is None else len(before.properties)
    allowed = job.config.allow_shrink or count < _SHRINK_THRESHOLD
    if not allowed and 2 * len(new.properties) < count:
        raise _rejection(
            new,
            f"only {len(new.properties)} properties, {count} before; if that is intended, start "
            "once with allow_shrink=True",
        )


def read(
    job: Job, snapshot: Snapshot, *, stale: float | None = None, until: float = math.inf
) -> Loaded:
    """Return the configuration in the body of a snapshot or of a response.

    `stale` is for how many seconds the server could not read its store; `None` if it could.

    Raises:
        InvalidPayloadError: It is not the configuration that was requested, or is empty and that
            is not allowed.
        ServerUnreachableError: The deadline `until` has passed.
    """
    config = job.config
    environment = read_document(
        snapshot.body,
        place=snapshot.url,
        application=config.application,
        profiles=config.identity.profiles,
    )
    if config.value_cipher is not None:
        try:
            environment = config.value_cipher.decrypt(
                environment, applications=config.application.split(",")
            )
        except EncryptionError as error:
            raise InvalidPayloadError(f"{snapshot.url}: {error}") from None
    _check_deadline(snapshot, until)
    metadata = ConfigMetadata(
        name=environment.name,
        profiles=environment.profiles,
        label=environment.label,
        version=environment.version,
        loaded_from=snapshot.origin,
        place=snapshot.url,
        age=max(time.time() - snapshot.saved_at, 0.0),
        stale=stale,
    )
    environ = os.environ if config.placeholders else None
    properties = read_properties(environment.property_sources, metadata, environ=environ)
    if not properties and not config.allow_empty:
        keys = f" and the keys {config.identity.keys!r}" if config.identity.keys else ""
        raise InvalidPayloadError(
            f"{snapshot.url}: nothing is stored for {config.application!r} with the profiles "
            f"{config.identity.profiles!r}{keys}; check the names, or pass allow_empty=True"
        )
    _check_deadline(snapshot, until)
    names = (source.name for source in environment.property_sources if source.source)
    shared = only_shared(names, config.application)
    return Loaded(properties=properties, snapshot=snapshot, only_shared=shared)


def _check_deadline(snapshot: Snapshot, until: float) -> None:
    if time.monotonic() > until:
        raise ServerUnreachableError(
            f"{snapshot.url}: the response arrived, but could not be read within the timeout"
        )


def only_shared(names: Iterable[str], application: str) -> bool:
    """True if all property sources, by their names, are shared by all applications.

    A name of an unknown form counts as the application's own, so that servers which name sources
    in another way cause no false warning.

    >>> only_shared(["main/application.yaml", "overrides"], "orders")
    True
    >>> only_shared(["file:/repo/application-prod.yml (document #1)", "orders-prod"], "orders")
    False
    """
    if SHARED_APPLICATION in application.split(","):
        return False
    files = [name.replace(":", "/").rpartition("/")[2] for name in names]
    return bool(files) and all(map(_is_shared, files))


def _is_shared(file: str) -> bool:
    stem = file.partition(_DOCUMENT_NUMBER)[0]
    rest = stem.removeprefix(SHARED_APPLICATION)
    return stem == "overrides" or (rest != stem and rest[:1] in _AFTER_A_NAME)


def validate(job: Job, loaded: Loaded) -> Loaded:
    """Return a configuration after the program's `validate` has accepted it.

    Raises:
        InvalidPayloadError: The program rejects it.
    """
    check = job.config.validate
    if check is None:
        return loaded
    try:
        check(loaded.properties)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigClientError) else type(error).__name__
        raise _rejection(loaded, f"rejected by 'validate' of the program: {reason}") from error
    return loaded


def _rejection(loaded: Loaded, reason: str) -> InvalidPayloadError:
    """Return the error for a configuration that arrived whole, and must not be used."""
    found = loaded.snapshot
    error = InvalidPayloadError(f"{found.url}: {reason}")
    error.url, error.etag = found.url, found.etag
    return error


# --- checks of responses --------------------------------------------------------------

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

    Raises:
        ServerRejectedError: The status is not 200. Redirects are not followed.
        InvalidPayloadError: The body is not JSON, or does not match its digest.
    """
    if response.status != _OK:
        raise _wrong_status(response, url, base_path_twice)
    _check_headers(response, url)


def read_document(body: bytes, *, place: str, application: str, profiles: str) -> Environment:
    """Return the requested environment document; `place` is its address or file, for errors.

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


def _wrong_status(response: HttpResponse, url: str, base_path_twice: str) -> ServerRejectedError:
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
