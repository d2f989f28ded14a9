"""Whether an answer may become configuration: its form, its identity, its content.

Everything that is used passes here, wherever it comes from.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pyfly.config_client._loading.answer import Answer, check_answer, read_document
from pyfly.config_client._loading.loaded import Loaded
from pyfly.config_client._loading.request import ConfigRequest
from pyfly.config_client._result.facts import Facts
from pyfly.config_client._result.properties import Properties, read_properties
from pyfly.config_client._snapshot.format import Snapshot
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
)
from pyfly.config_core import ConfigFormatError

Policy = Literal["prefer_server", "require_server", "offline"]
Strategy = Literal["always", "connection-timeout-only"]

_MANY: Final = 10
"""Fewer properties may shrink by any share without being suspicious."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Job:
    """What is wanted, and under which rules."""

    requests: tuple[tuple[ConfigRequest, ...], ...]
    """For every label one request to every server."""
    policy: Policy
    strategy: Strategy
    timeout: float
    attempts: int | None
    """Rounds at most; `None` leaves it to the deadline, or to a fallback that is at hand."""
    allow_empty: bool
    allow_shrink: bool
    placeholders: bool
    validate: Callable[[Properties], object] | None = None
    """Raises when a configuration must not be used."""

    @property
    def name(self) -> str:
        """What a log line calls it."""
        first = self.requests[0][0]
        return f"{first.application} [{first.profiles}]"


def accept(job: Job, request: ConfigRequest, result: Answer | ConfigClientError | None) -> Loaded:
    """Return the configuration in an answer.

    Raises:
        ConfigClientError: There is none that may be used.
    """
    if not isinstance(result, Answer):
        raise result or ServerUnreachableError(f"{request.url}: was not asked")
    check_answer(request, result)
    snapshot = Snapshot(
        body=result.body,
        url=request.url,
        saved_at=time.time(),
        label=request.label,
        etag=result.headers.get("etag"),
    )
    return Loaded(
        properties=read(job, snapshot, Facts(loaded_from="server", place=request.url)),
        snapshot=snapshot,
        waited=waited(result),
    )


def waited(result: Answer | ConfigClientError | None) -> bool:
    """Tell whether the server held the request until something changed (RFC 7240)."""
    applied = result.headers.get("preference-applied", "") if isinstance(result, Answer) else ""
    return any(one.partition("=")[0].strip().lower() == "wait" for one in applied.split(","))


def check_consent(job: Job, new: Loaded, before: Loaded | None) -> None:
    """Refuse a configuration that has lost most of what it had, unless that is allowed.

    Raises:
        InvalidPayloadError: It has.
    """
    count = 0 if before is None else len(before.properties)
    if not job.allow_shrink and count >= _MANY and 2 * len(new.properties) < count:
        raise InvalidPayloadError(
            f"{new.snapshot.url}: only {len(new.properties)} properties where there were {count}; "
            "if that is meant, start once with allow_shrink=True"
        )


def read(job: Job, snapshot: Snapshot, facts: Facts) -> Properties:
    """Return the configuration in a snapshot, or in an answer on its way to become one.

    Raises:
        InvalidPayloadError: It is another one, empty without consent, or refused by the program.
    """
    asked = job.requests[0][0]
    environment = read_document(
        snapshot.body,
        place=snapshot.url,
        application=asked.application,
        profiles=asked.profiles,
    )
    environ: Mapping[str, str] | None = os.environ if job.placeholders else None
    try:
        found = read_properties(
            environment.property_sources, facts.of(environment), environ=environ
        )
    except ConfigFormatError as error:
        raise InvalidPayloadError(f"{snapshot.url}: {error}") from error
    if not found and not job.allow_empty:
        raise InvalidPayloadError(
            f"{snapshot.url}: nothing is stored for {asked.application!r} with the profiles "
            f"{asked.profiles!r}; check the names, or pass allow_empty=True"
        )
    _validate(job, found, snapshot.url)
    return found


def _validate(job: Job, found: Properties, place: str) -> None:
    if job.validate is None:
        return
    try:
        job.validate(found)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigClientError) else type(error).__name__
        raise InvalidPayloadError(f"{place}: refused by the program itself: {reason}") from error
