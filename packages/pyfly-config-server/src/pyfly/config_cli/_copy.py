"""`copy`: bundles from one store into another, without overwriting anything unseen."""

import argparse
import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from pyfly.config_cli import _stores as stores
from pyfly.config_cli._exit import EXIT_CONDITION, EXIT_FAILED, EXIT_NOT_FOUND
from pyfly.config_cli._output import Progress, note, say, say_json, table
from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendUnavailableError,
    ConfigConflictError,
    ConfigError,
    ConfigKey,
    JsonValue,
    UnsupportedOperationError,
)
from pyfly.config_server import Bundles, ConfigSource
from pyfly.config_server.formats.documents import name_document
from pyfly.config_server.formats.text import same_tree
from pyfly.config_server.storage import ABSENT, Expected, SupportsConditionalSave

Outcome: TypeAlias = Literal["created", "replaced", "unchanged", "differs", "failed"]

_Row: TypeAlias = tuple[ConfigKey, Outcome, str]

_TOGETHER: Final = 32
"""Bundles that are copied at the same time: a store may write them together."""

_ALWAYS_COUNTED: Final[tuple[Outcome, ...]] = ("created", "replaced", "unchanged")


async def copy(arguments: argparse.Namespace) -> int:
    """Copy every bundle that the filters let through; say what became of each."""
    async with stores.opened(arguments.store) as source, stores.opened(arguments.to) as target:
        keys = [entry.key for entry in await stores.chosen(source, arguments)]
        outcomes: list[_Row] = []
        try:
            with Progress(len(keys)) as progress:
                for start in range(0, len(keys), _TOGETHER):
                    group = keys[start : start + _TOGETHER]
                    progress.show(start, str(group[0]))
                    copies = (_copy_one(source, target, key, arguments) for key in group)
                    done = await asyncio.gather(*copies, return_exceptions=True)
                    outcomes += [
                        (key, *row)
                        for key, row in zip(group, done, strict=True)
                        if not isinstance(row, BaseException)
                    ]
                    _raise_first(done)
        except BaseException:
            note(f"Stopped after {len(outcomes)} of {len(keys)}; the same command goes on there.")
            raise
    counts: Counter[Outcome] = Counter(outcome for _, outcome, _ in outcomes)
    if arguments.json:
        say_json({"dryRun": arguments.dry_run, "bundles": [_document(row) for row in outcomes]})
    else:
        _show(outcomes, counts, dry_run=arguments.dry_run)
    if counts["failed"]:
        return EXIT_FAILED
    if not keys and stores.is_filtered(arguments):
        return EXIT_NOT_FOUND
    return EXIT_CONDITION if counts["differs"] else 0


def _raise_first(results: Sequence[object]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _copy_one(
    source: Bundles, target: Bundles, key: ConfigKey, arguments: argparse.Namespace
) -> tuple[Outcome, str]:
    try:
        bundle = await source.load(key)
        if await _create(target, stores.source_of(key, bundle.properties), arguments):
            return "created", ""
        found, expected = await stores.current(target, key)
        if found is not None and same_tree(found.properties, bundle.properties):
            return "unchanged", ""
        if found is not None and not arguments.overwrite:
            return "differs", ""
        if not arguments.dry_run:
            await _store(target, stores.source_of(key, bundle.properties), expected, arguments)
    except (BackendUnavailableError, BackendAccessDeniedError, UnsupportedOperationError):
        raise  # it would be the same for every other one
    except ConfigConflictError:
        return "differs", ""  # somebody wrote it just now
    except ConfigError as error:
        return "failed", str(error)
    return "created" if found is None else "replaced", ""


async def _create(target: Bundles, source: ConfigSource, arguments: argparse.Namespace) -> bool:
    """Store a bundle where nothing is, without a look; tell whether that was so."""
    if arguments.dry_run or not isinstance(target.backend, SupportsConditionalSave):
        return False
    try:
        await target.commit(source, expected=ABSENT)
    except ConfigConflictError:
        return False
    return True


async def _store(
    target: Bundles, source: ConfigSource, expected: Expected, arguments: argparse.Namespace
) -> None:
    conditional = isinstance(target.backend, SupportsConditionalSave)
    if arguments.overwrite and not conditional:
        await target.save(source)  # the user has agreed to what may come between
    else:
        await target.commit(source, expected=expected)


def _document(row: _Row) -> JsonValue:
    key, outcome, error = row
    return name_document(key) | {"outcome": outcome} | ({"error": error} if error else {})


def _show(outcomes: Sequence[_Row], counts: Mapping[Outcome, int], *, dry_run: bool) -> None:
    if dry_run and outcomes:
        names = [(outcome, key.label, key.application, key.profile) for key, outcome, _ in outcomes]
        say(table(("OUTCOME", "LABEL", "APPLICATION", "PROFILE"), names) + "\n")
    for key, outcome, error in outcomes:
        if outcome in {"differs", "failed"}:
            note(f"{outcome}: {key}" + (f": {error}" if error else ""))
    say(_summary(counts))
    if dry_run:
        note("This was a dry run: nothing was stored.")


def _summary(counts: Mapping[Outcome, int]) -> str:
    parts = [f"{counts[outcome]} {outcome}" for outcome in _ALWAYS_COUNTED]
    if counts["differs"]:
        parts.append(f"{counts['differs']} left alone that differ (--overwrite replaces them)")
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    return ", ".join(parts)
