"""`copy`: bundles from one store into another. Nothing is overwritten that was not read."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import click

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import (
    commit_options,
    filter_options,
    json_option,
    store_argument,
)
from pyfly.config_cli._console.output import print_json, print_note, print_result
from pyfly.config_cli._console.progress import ProgressBar
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._exit_codes import EXIT_CONDITION, EXIT_FAILED, EXIT_NOT_FOUND
from pyfly.config_cli._stores.opening import BundleFilter, open_store, select_entries
from pyfly.config_cli._stores.writing import (
    CommitInfo,
    describe_commit,
    load_current,
    make_source,
    store_bundle,
)
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
from pyfly.config_server.storage import ABSENT, ANY, Expected, SupportsConditionalSave, ability

Outcome: TypeAlias = Literal["created", "replaced", "unchanged", "differs", "failed"]

_Row: TypeAlias = tuple[ConfigKey, Outcome, str]

_BATCH: Final = 32
"""Bundles that are copied at the same time: a store may write them together."""

_ALWAYS_COUNTED: Final[tuple[Outcome, ...]] = ("created", "replaced", "unchanged")

_HELP: Final = """\
Copy bundles from one store into another.

Bundles that the other store holds already are left alone, unless --overwrite is given; and even
then nothing is overwritten that was stored after it was read. To continue an interrupted copy,
repeat the command. A store that cannot save conditionally is written with --overwrite only.
Comments are not copied. A dry run names every bundle and its outcome. Ends with 3 if bundles
differ and were left alone, and with 4 if no bundle matches.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyArguments:
    """What to copy, and where to."""

    store: str
    to: str
    application: str | None
    profile: str | None
    label: str | None
    overwrite: bool
    dry_run: bool
    author: str | None
    message: str | None
    as_json: bool

    @property
    def selection(self) -> BundleFilter:
        """Which bundles to copy."""
        return BundleFilter(application=self.application, profile=self.profile, label=self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copier:
    """Copies single bundles."""

    source: Bundles
    target: Bundles
    overwrite: bool
    dry_run: bool
    info: CommitInfo

    async def copy(self, key: ConfigKey) -> tuple[Outcome, str]:
        """Copy one bundle; return the outcome, and the error if it failed.

        Raises:
            BackendError: A store failed in a way that concerns every other bundle, too.
        """
        try:
            bundle = make_source(key, (await self.source.load(key)).properties)
            if await self._create(bundle):
                return "created", ""
            found, expected = await load_current(self.target, key)
            if found is not None and same_tree(found.properties, bundle.properties):
                return "unchanged", ""
            if found is not None and not self.overwrite:
                return "differs", ""
            if not self.dry_run:
                await self._store(bundle, expected)
        except (BackendUnavailableError, BackendAccessDeniedError, UnsupportedOperationError):
            raise
        except ConfigConflictError:
            return "differs", ""  # another writer stored it just now
        except ConfigError as error:
            return "failed", str(error)
        return "created" if found is None else "replaced", ""

    @property
    def _is_conditional(self) -> bool:
        return ability(self.target.backend, SupportsConditionalSave) is not None

    async def _create(self, bundle: ConfigSource) -> bool:
        """Store a bundle if none is there, without reading before; True if it was stored."""
        if self.dry_run or not self._is_conditional:
            return False
        try:
            await store_bundle(self.target, bundle, expected=ABSENT, info=self.info)
        except ConfigConflictError:
            return False
        return True

    async def _store(self, bundle: ConfigSource, expected: Expected) -> None:
        if self.overwrite and not self._is_conditional:
            expected = ANY  # the user has agreed to overwrite what is stored meanwhile
        await store_bundle(self.target, bundle, expected=expected, info=self.info)


async def copy_bundles(arguments: CopyArguments) -> int:
    """Copy every bundle that the filters admit, and print the outcomes; return the exit code."""
    async with open_store(arguments.store) as source, open_store(arguments.to) as target:
        selection = arguments.selection
        entries = await select_entries(source, selection, store=arguments.store)
        copier = _Copier(
            source=source,
            target=target,
            overwrite=arguments.overwrite,
            dry_run=arguments.dry_run,
            info=describe_commit(arguments.author, arguments.message),
        )
        rows = await _copy_all(copier, [entry.key for entry in entries])
    counts: Counter[Outcome] = Counter(outcome for _, outcome, _ in rows)
    if arguments.as_json:
        print_json({"dryRun": arguments.dry_run, "bundles": [_document(row) for row in rows]})
    else:
        _print_report(rows, counts, dry_run=arguments.dry_run)
    if counts["failed"]:
        return EXIT_FAILED
    if not entries and selection.is_set:
        return EXIT_NOT_FOUND
    return EXIT_CONDITION if counts["differs"] else 0


async def _copy_all(copier: _Copier, keys: Sequence[ConfigKey]) -> list[_Row]:
    rows: list[_Row] = []
    try:
        with ProgressBar("Copying", total=len(keys)) as bar:
            for start in range(0, len(keys), _BATCH):
                batch = keys[start : start + _BATCH]
                bar.show(start, str(batch[0]))
                done = await asyncio.gather(*map(copier.copy, batch), return_exceptions=True)
                rows += [
                    (key, *outcome)
                    for key, outcome in zip(batch, done, strict=True)
                    if not isinstance(outcome, BaseException)
                ]
                _raise_first(done)
    except BaseException:
        print_note(
            f"Stopped after {len(rows)} of {len(keys)}. Repeat the command to continue there."
        )
        raise
    return rows


def _raise_first(results: Sequence[object]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _document(row: _Row) -> JsonValue:
    key, outcome, error = row
    return name_document(key) | {"outcome": outcome} | ({"error": error} if error else {})


def _print_report(rows: Sequence[_Row], counts: Mapping[Outcome, int], *, dry_run: bool) -> None:
    if dry_run and rows:
        names = [(outcome, key.label, key.application, key.profile) for key, outcome, _ in rows]
        print_table(("OUTCOME", "LABEL", "APPLICATION", "PROFILE"), names)
        print_result("")
    for key, outcome, error in rows:
        if outcome in {"differs", "failed"}:
            print_note(f"{outcome}: {key}" + (f": {error}" if error else ""))
    print_result(_summary(counts))
    if dry_run:
        print_note("This was a dry run: nothing was stored.")


def _summary(counts: Mapping[Outcome, int]) -> str:
    parts = [f"{counts[outcome]} {outcome}" for outcome in _ALWAYS_COUNTED]
    if counts["differs"]:
        parts.append(f"{counts['differs']} left alone that differ (--overwrite replaces them)")
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    return ", ".join(parts)


COMMAND: Final = Command(
    "copy",
    callback=callback_of(copy_bundles, CopyArguments),
    params=[
        store_argument(),
        store_argument("to"),
        *filter_options(),
        click.Option(["--overwrite"], is_flag=True, help="Replace bundles that differ."),
        click.Option(["--dry-run"], is_flag=True, help="Print the outcomes, store nothing."),
        *commit_options(),
        json_option(),
    ],
    help=_HELP,
    examples=[
        "pyfly-config copy ./config file:///etc/pyfly --dry-run",
        "pyfly-config copy ./config ./new --label main",
    ],
)
