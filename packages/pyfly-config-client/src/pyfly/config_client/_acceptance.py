"""Checks that a response may become configuration: its form, its identity, its content.

Responses of servers, snapshots and baselines all pass these checks. No input or output.
"""

import math
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from pyfly.config_client._config import ClientConfig
from pyfly.config_client._exchange import HttpResponse
from pyfly.config_client._properties import Properties, read_properties
from pyfly.config_client._requests import ConfigRequest
from pyfly.config_client._responses import check_response, read_document
from pyfly.config_client._snapshots import Snapshot
from pyfly.config_client._views import ConfigMetadata
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
    StaleResponseError,
)
from pyfly.config_core import SHARED_APPLICATION, EncryptionError

_MAX_ETAG_LENGTH: Final = 1_000
_MAX_DIGITS: Final = 12
"""Of a number of seconds."""
_SHRINK_THRESHOLD: Final = 10
"""A configuration of fewer properties may shrink without `allow_shrink`."""
_DOCUMENT_NUMBER: Final = re.compile(r" \(document #[0-9]+\)\Z")
_SHARED: Final = re.compile(rf"{re.escape(SHARED_APPLICATION)}(?:[-.,].*)?|overrides", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Job:
    """One fetch: what to send, and under which rules."""

    config: ClientConfig
    requests: tuple[tuple[ConfigRequest, ...], ...]
    """For every label one request to every server."""
    attempts: int | None
    """The limit of rounds. `None`: until the timeout, or a few if there is a fallback."""
    pauses: bool = True
    """False if attempts follow each other without a pause, as with a transport in memory."""

    @property
    def name(self) -> str:
        """The name of the configuration in log lines."""
        return f"{self.config.application} [{self.config.identity.profiles}]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Loaded:
    """An accepted configuration, and the response it was read from."""

    properties: Properties
    snapshot: Snapshot
    waited: bool = False
    """True if the server holds requests until something changes (RFC 7240)."""
    only_shared: bool = False
    """True if nothing is stored for the application itself."""


def accept(
    job: Job,
    request: ConfigRequest,
    result: HttpResponse | ConfigClientError | None,
    until: float = math.inf,
) -> Loaded:
    """Return the configuration in a response. Does not call the program's `validate`.

    Args:
        job: The fetch.
        request: The request that was sent.
        result: Its response, or the reason why there is none.
        until: The deadline, by `time.monotonic`. It is checked between steps whose work is
            bounded by the sizes in `pyfly.config_core.limits`.

    Raises:
        ConfigClientError: There is no response, or it must not be used.
    """
    if not isinstance(result, HttpResponse):
        raise result or ServerUnreachableError(f"{request.url}: the request was not sent")
    check_response(request, result)
    snapshot = Snapshot(
        body=result.body,
        url=request.url,
        saved_at=time.time(),
        label=request.label,
        etag=_etag(result),
    )
    metadata = ConfigMetadata(
        loaded_from="server", place=request.url, stale_when_loaded=stale_seconds(result)
    )
    return replace(read(job, snapshot, metadata, until), waited=waited(result))


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


def read(job: Job, snapshot: Snapshot, metadata: ConfigMetadata, until: float = math.inf) -> Loaded:
    """Return the configuration in the body of a snapshot or of a response.

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
            environment = config.value_cipher.decrypt(environment)
        except EncryptionError as error:
            raise InvalidPayloadError(f"{snapshot.url}: {error}") from None
    _check_deadline(snapshot, until)
    properties = read_properties(
        environment.property_sources,
        metadata.of(environment),
        environ=os.environ if config.placeholders else None,
    )
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
    """True if all property sources are shared by all applications.

    A name of an unknown form counts as the application's own, so that servers which name sources
    in another way cause no false warning.

    >>> only_shared(["main/application.yaml", "overrides"], "orders")
    True
    >>> only_shared(["file:/repo/application-prod.yml (document #1)", "orders-prod"], "orders")
    False

    Args:
        names: The names of the property sources that are not empty.
        application: The requested application; may be a comma list.
    """
    if SHARED_APPLICATION in application.split(","):
        return False
    files = [re.split(r"[/:]", _DOCUMENT_NUMBER.sub("", name))[-1] for name in names]
    return bool(files) and all(_SHARED.fullmatch(file) for file in files)


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
