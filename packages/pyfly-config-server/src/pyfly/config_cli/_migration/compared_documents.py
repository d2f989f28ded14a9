"""Asking an old server and a new one for the same documents, some at a time."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._console.progress import ProgressBar
from pyfly.config_cli._migration.document_differences import (
    DocumentDifference,
    Outcome,
    differences,
)
from pyfly.config_cli._migration.old_server import OldServer
from pyfly.config_core import (
    DEFAULT_PROFILE,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    decode_environment,
    encode_environment,
)
from pyfly.config_server import ConfigServer

__all__ = ["CONCURRENT", "ComparedDocument", "Request", "compare", "requests"]

CONCURRENT: Final = 8
"""Documents that are asked for at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Request:
    """One document."""

    label: str
    application: str
    profile: str

    def __str__(self) -> str:
        return f"{self.application}/{self.profile}/{self.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedDocument:
    """One document, and how it differs."""

    request: Request
    is_absent: bool
    """True if the old server has answered 404."""
    differences: Sequence[DocumentDifference]


def requests(
    keys: Iterable[ConfigKey],
    *,
    applications: Sequence[str] = (),
    profiles: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> list[Request]:
    """Return the documents to compare, ordered by label, application, profile.

    Under each label, every application of it in every profile of it and in `default`. Names that
    are given replace those of the bundles.

    Args:
        keys: The bundles of the stores.
        applications: Exactly these applications.
        profiles: Exactly these profiles.
        labels: Exactly these labels.
    """
    known = [*keys]
    return sorted(
        Request(label=label, application=application, profile=profile)
        for label in labels or {key.label for key in known}
        for application in applications or {k.application for k in known if k.label == label}
        for profile in profiles or {DEFAULT_PROFILE, *_profiles(known, label)}
    )


def _profiles(keys: Iterable[ConfigKey], label: str) -> Iterator[str]:
    return (key.profile for key in keys if key.label == label and not key.is_base)


async def compare(
    old: OldServer, new: ConfigServer, wanted: Sequence[Request]
) -> list[ComparedDocument]:
    """Ask both for every document; return how they differ, in the order of the requests.

    The default label is asked for without naming it, so that each server uses its own.

    Raises:
        ConfigError: A server or a store cannot be reached or refuses.
    """
    found: list[ComparedDocument] = []
    with ProgressBar("Comparing", total=len(wanted)) as bar:
        for start in range(0, len(wanted), CONCURRENT):
            batch = wanted[start : start + CONCURRENT]
            bar.show(start, str(batch[0]))
            found += await _compared_together(old, new, batch)
    return found


async def _compared_together(
    old: OldServer, new: ConfigServer, batch: Sequence[Request]
) -> list[ComparedDocument]:
    """Compare some documents at the same time; the first failure ends all."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_compared(old, new, one)) for one in batch]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _compared(old: OldServer, new: ConfigServer, request: Request) -> ComparedDocument:
    label = None if request.label == new.default_label else request.label
    one = await old.fetch(request.application, request.profile, label)
    other = await _composed(new, request, label)
    return ComparedDocument(
        request=request, is_absent=one == _ABSENT, differences=differences(one, other)
    )


async def _composed(server: ConfigServer, request: Request, label: str | None) -> Outcome:
    """Return what the new server answers: the document as it is sent, or the status."""
    try:
        found = await server.compose(request.application, request.profile, label)
    except ConfigNotFoundError:
        return _ABSENT
    except ConfigFormatError:
        return _BROKEN
    return decode_environment(encode_environment(found.environment))


_ABSENT: Final = 404
_BROKEN: Final = 500
