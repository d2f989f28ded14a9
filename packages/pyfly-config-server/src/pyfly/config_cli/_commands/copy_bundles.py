"""`copy`: bundles from one store into another, with a report of all that was not copied."""

import asyncio
from collections.abc import Sequence
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
from pyfly.config_cli._console.output import print_json, print_note
from pyfly.config_cli._console.progress import ProgressBar
from pyfly.config_cli._copying.comparison import Difference, compare_stores
from pyfly.config_cli._copying.copier import Copier, CopyResult
from pyfly.config_cli._copying.plan import PlannedCopy, StoreSemantics, plan_copies
from pyfly.config_cli._copying.report import CopyReport, print_report, report_document
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._exit_codes import EXIT_CONDITION, EXIT_NOT_FOUND
from pyfly.config_cli._stores.contents import StoreContents, load_contents, selected
from pyfly.config_cli._stores.opening import BundleFilter, explain_empty, open_store
from pyfly.config_cli._stores.writing import describe_commit
from pyfly.config_core import ConfigKey
from pyfly.config_server import Bundles
from pyfly.config_server.files import TextStore
from pyfly.config_server.storage import ability, default_is_base, has_base_bundles

_BATCH: Final = 32
"""Bundles that are copied at the same time: a store may write them together."""

_HELP: Final = """\
Copy bundles from one store into another.

Bundles that the other store holds already with other content are left alone, unless --overwrite
is given; and even then nothing is overwritten that was stored after it was read. To continue an
interrupted copy, repeat the command. A store that cannot save conditionally is written with
--overwrite only. Comments are not copied.

Everything that is not copied is named with the reason: plain files, files of several documents,
broken files, labels that cannot be read, and bundles that would count for other profiles in the
other store. Bundles are named if the names of their files only suggest what they are. A dry run
names every bundle and its outcome; what the other store refuses to keep shows in the copy only.
--verify compares afterwards what both stores serve: every application in every profile, and in
lists of them, with placeholders and cipher texts as they are; with --dry-run it compares only.

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
        plan = [
            one
            for one in plan_copies(keys, source=_semantics(source), target=_semantics(target))
            if one.source in chosen
        ]
        await copier.check_not_frozen(plan)
        report = CopyReport(
            dry_run=arguments.dry_run,
            results=await _copy_all(copier, plan),
            items=contents.items if selection.is_whole_label else (),
            guesses=_guesses(contents, target),
            differences=await _verify(source, target, keys, arguments),
        )
    if arguments.as_json:
        print_json(report_document(report))
    else:
        print_report(report)
    if not chosen and selection.is_set:
        return EXIT_NOT_FOUND
    return 0 if report.is_complete else EXIT_CONDITION


def _guesses(contents: StoreContents, target: Bundles) -> frozenset[ConfigKey]:
    """Return the bundles whose names are guesses, if they mean something else in the target."""
    if _semantics(target).names_files:  # the names of files stay
        return frozenset()
    return frozenset(entry.key for entry in contents.entries if entry.is_guess)


def _semantics(bundles: Bundles) -> StoreSemantics:
    return StoreSemantics(
        has_base_bundles=has_base_bundles(bundles.backend),
        default_is_base=default_is_base(bundles.backend),
        names_files=ability(bundles.backend, TextStore) is not None,
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
