"""Whether an answer may become configuration: its form, its identity, its content.

Everything that is used passes here, wherever it comes from.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from pyfly.config_client._loading.answer import Answer, check_answer, read_document
from pyfly.config_client._loading.loaded import Loaded
from pyfly.config_client._loading.request import ConfigRequest
from pyfly.config_client._loading.shared import only_shared
from pyfly.config_client._result.facts import Facts
from pyfly.config_client._result.properties import Properties, read_properties
from pyfly.config_client._snapshot.format import Snapshot
from pyfly.config_client.errors import (
    ConfigClientError,
    InvalidPayloadError,
    ServerUnreachableError,
)

Policy = Literal["prefer_server", "require_server", "offline"]
Strategy = Literal["always", "connection-timeout-only"]

_LONGEST_ETAG: Final = 1_000
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
    instant: bool = False
    """Whether attempts follow each other without pauses, as in tests."""

    @property
    def name(self) -> str:
        """What a log line calls it."""
        first = self.requests[0][0]
        return f"{first.application} [{first.profiles}]"


def accept(
    job: Job,
    request: ConfigRequest,
    result: Answer | ConfigClientError | None,
    until: float = math.inf,
) -> Loaded:
    """Return the configuration in an answer; the program's own check is left to `validate`.

    Args:
        job: What is wanted.
        request: What the answer belongs to.
        result: The answer, or why there is none.
        until: When this must be done, by `time.monotonic`. Looked at between the steps, whose
            work is bounded by the sizes of `pyfly.config_core.limits`.

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
        etag=_etag(result),
    )
    found = read(job, snapshot, Facts(loaded_from="server", place=request.url), until)
    return replace(found, waited=waited(result))


def _etag(result: Answer) -> str | None:
    """Return the entity tag, if it is one that can be sent back."""
    etag = result.headers.get("etag", "")
    return etag if 0 < len(etag) <= _LONGEST_ETAG and etag.isascii() else None


def waited(result: Answer | ConfigClientError | None) -> bool:
    """True if the server held the request until something changed (RFC 7240)."""
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


def read(job: Job, snapshot: Snapshot, facts: Facts, until: float = math.inf) -> Loaded:
    """Return the configuration in a snapshot, or in an answer on its way to become one.

    Raises:
        InvalidPayloadError: It is another one, or empty without consent.
        ServerUnreachableError: It is later than `until`.
    """
    asked = job.requests[0][0]
    environment = read_document(
        snapshot.body,
        place=snapshot.url,
        application=asked.application,
        profiles=asked.profiles,
    )
    _check_time(snapshot, until)
    environ: Mapping[str, str] | None = os.environ if job.placeholders else None
    found = read_properties(environment.property_sources, facts.of(environment), environ=environ)
    if not found and not job.allow_empty:
        raise InvalidPayloadError(
            f"{snapshot.url}: nothing is stored for {asked.application!r} with the profiles "
            f"{asked.profiles!r}; check the names, or pass allow_empty=True"
        )
    _check_time(snapshot, until)
    names = (source.name for source in environment.property_sources if source.source)
    return Loaded(
        properties=found, snapshot=snapshot, only_shared=only_shared(names, asked.application)
    )


def _check_time(snapshot: Snapshot, until: float) -> None:
    if time.monotonic() > until:
        raise ServerUnreachableError(
            f"{snapshot.url}: the answer arrived, but could not be read within the timeout"
        )


def validate(job: Job, loaded: Loaded) -> Loaded:
    """Let the program itself check a configuration.

    Raises:
        InvalidPayloadError: It is refused.
    """
    if job.validate is None:
        return loaded
    try:
        job.validate(loaded.properties)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigClientError) else type(error).__name__
        place = loaded.snapshot.url
        raise InvalidPayloadError(f"{place}: refused by the program itself: {reason}") from error
    return loaded
