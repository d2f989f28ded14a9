"""`copy`: bundles from one store into another, with a report of all that was not copied."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

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
from pyfly.config_cli._copying.comparison import Difference, compare_stores
from pyfly.config_cli._copying.copier import Copier, CopyResult, Outcome
from pyfly.config_cli._copying.plan import PlannedCopy, StoreSemantics, plan_copies
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._exit_codes import EXIT_CONDITION, EXIT_NOT_FOUND
from pyfly.config_cli._stores.contents import UncopiedItem, load_contents, selected
from pyfly.config_cli._stores.opening import BundleFilter, explain_empty, open_store
from pyfly.config_cli._stores.writing import describe_commit
from pyfly.config_core import ConfigKey, JsonValue
from pyfly.config_server import Bundles
from pyfly.config_server.formats.documents import name_document
from pyfly.config_server.storage import default_is_base, has_base_bundles

_BATCH: Final = 32
"""Bundles that are copied at the same time: a store may write them together."""

_ALWAYS_COUNTED: Final[tuple[Outcome, ...]] = ("created", "updated", "unchanged")

_HELP: Final = """\
Copy bundles from one store into another.

Bundles that the other store holds already with other content are left alone, unless --overwrite
is given; and even then nothing is overwritten that was stored after it was read. To continue an
interrupted copy, repeat the command. A store that cannot save conditionally is written with
--overwrite only. Comments are not copied.

Everything that is not copied is named with the reason: plain files, files of several documents,
broken files, labels that cannot be read, and bundles that would count for other profiles in the
other store. A dry run names every bundle and its outcome. --verify compares afterwards what both
stores serve: every application in every profile, with placeholders and cipher texts as they are;
with --dry-run it compares only.

Ends with 3 if anything was left alone or not copied, or if a comparison finds a difference, and
with 4 if no bundle matches.
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
    verify: bool
    author: str | None
    message: str | None
    as_json: bool

    @property
    def selection(self) -> BundleFilter:
        """Which bundles to copy."""
        return BundleFilter(application=self.application, profile=self.profile, label=self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """Everything that a copy did and did not do."""

    dry_run: bool
    results: Sequence[CopyResult]
    items: Sequence[UncopiedItem]
    """What is in the source and is no bundle, or cannot be read."""
    differences: Sequence[Difference] | None
    """`None` without a comparison."""

    @property
    def counts(self) -> Counter[Outcome]:
        """How often every outcome occurred; items count as not copied."""
        counted: Counter[Outcome] = Counter(result.outcome for result in self.results)
        counted["not-copied"] += len(self.items)
        return counted

    @property
    def is_complete(self) -> bool:
        """True if the target holds everything that was to be copied, and serves the same."""
        return not (self.counts["left"] or self.counts["not-copied"] or self.differences)


async def copy_bundles(arguments: CopyArguments) -> int:
    """Copy every bundle that the filters admit, and print the outcomes; return the exit code."""
    if arguments.verify and not {arguments.application, arguments.profile} == {None}:
        raise ArgumentError("--verify compares whole labels; leave out --application and --profile")
    selection = arguments.selection
    async with open_store(arguments.store) as source, open_store(arguments.to) as target:
        contents = await load_contents(source, label=arguments.label, with_files=True)
        keys = [entry.key for entry in contents.entries]
        chosen = {entry.key for entry in selected(contents, selection)}
        if not chosen:
            print_note(await explain_empty(source, selection, store=arguments.store))
        copier = Copier(
            source=source,
            target=target,
            overwrite=arguments.overwrite,
            dry_run=arguments.dry_run,
            info=describe_commit(arguments.author, arguments.message),
        )
        plan = plan_copies(keys, source=_semantics(source), target=_semantics(target))
        report = CopyReport(
            dry_run=arguments.dry_run,
            results=await _copy_all(copier, [one for one in plan if one.source in chosen]),
            items=contents.items if selection.is_whole_label else (),
            differences=await _verify(source, target, keys, arguments),
        )
    if arguments.as_json:
        print_json(_document(report))
    else:
        _print_report(report)
    if not chosen and selection.is_set:
        return EXIT_NOT_FOUND
    return 0 if report.is_complete else EXIT_CONDITION


def _semantics(bundles: Bundles) -> StoreSemantics:
    return StoreSemantics(
        has_base_bundles=has_base_bundles(bundles.backend),
        default_is_base=default_is_base(bundles.backend),
    )


async def _verify(
    source: Bundles, target: Bundles, keys: Sequence[ConfigKey], arguments: CopyArguments
) -> list[Difference] | None:
    if not arguments.verify:
        return None
    stored = await load_contents(target, label=arguments.label, with_files=False)
    labels = {key.label for key in keys}
    others = [entry.key for entry in stored.entries if entry.key.label in labels]
    return await compare_stores(source, target, [*keys, *others])


async def _copy_all(copier: Copier, plan: Sequence[PlannedCopy]) -> list[CopyResult]:
    results: list[CopyResult] = []
    try:
        with ProgressBar("Copying", total=len(plan)) as bar:
            for start in range(0, len(plan), _BATCH):
                batch = plan[start : start + _BATCH]
                bar.show(start, str(batch[0].source))
                done = await asyncio.gather(*map(copier.copy, batch), return_exceptions=True)
                results += [one for one in done if isinstance(one, CopyResult)]
                _raise_first(done)
    except BaseException:
        print_note(
            f"Stopped after {len(results)} of {len(plan)}. Repeat the command to continue there."
        )
        raise
    return results


def _raise_first(results: Sequence[object]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _document(report: CopyReport) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {
        "dryRun": report.dry_run,
        "bundles": [_row(result) for result in report.results],
        "notCopied": [
            {"label": item.label, "path": item.path, "reason": item.reason} for item in report.items
        ],
    }
    if report.differences is not None:
        document["differences"] = [
            {
                "label": one.label,
                "application": one.application,
                "profile": one.profile,
                "difference": one.what,
            }
            for one in report.differences
        ]
    return document


def _row(result: CopyResult) -> JsonValue:
    row = name_document(result.copy.source) | {"outcome": result.outcome}
    target = result.copy.target
    if target not in {None, result.copy.source}:
        row["to"] = str(target)
    return row | ({"reason": result.reason} if result.reason else {})


def _print_report(report: CopyReport) -> None:
    if report.dry_run and report.results:
        keys = [(result.outcome, result.copy.source) for result in report.results]
        names = [(outcome, key.label, key.application, key.profile) for outcome, key in keys]
        print_table(("OUTCOME", "LABEL", "APPLICATION", "PROFILE"), names)
        print_result("")
    for result in report.results:
        _print_remark(result)
    for item in report.items:
        print_note(f"not copied: {item.name}: {item.reason}")
    for one in report.differences or ():
        print_note(f"differs: {one.application}/{one.profile}/{one.label}: {one.what}")
    print_result(_summary(report.counts))
    if report.differences is not None:
        count = len(report.differences)
        print_result(f"Verified: {f'{count} documents differ' if count else 'all documents equal'}")
    if report.dry_run:
        print_note("This was a dry run: nothing was stored.")


def _print_remark(result: CopyResult) -> None:
    source, target = result.copy.source, result.copy.target
    if result.outcome == "left":
        print_note(f"left alone: {target} holds other content")
    elif result.outcome == "not-copied":
        print_note(f"not copied: {source}: {result.reason}")
    elif target != source:
        print_note(f"{source} is {target} in the other store")


def _summary(counts: Mapping[Outcome, int]) -> str:
    parts = [f"{counts[outcome]} {outcome}" for outcome in _ALWAYS_COUNTED]
    if counts["left"]:
        parts.append(f"{counts['left']} left alone (--overwrite replaces them)")
    if counts["not-copied"]:
        parts.append(f"{counts['not-copied']} not copied")
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
        click.Option(["--verify"], is_flag=True, help="Compare what both stores serve."),
        *commit_options(),
        json_option(),
    ],
    help=_HELP,
    examples=[
        "pyfly-config copy ./config file:///etc/pyfly --dry-run",
        "pyfly-config copy ./config ./new --label main --verify",
    ],
)
