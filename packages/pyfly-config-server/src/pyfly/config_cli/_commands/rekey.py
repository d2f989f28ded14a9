"""`rekey`: encrypts the values of a store with another key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import (
    commit_options,
    filter_options,
    json_option,
    settings_option,
    store_argument,
)
from pyfly.config_cli._console.output import print_json, print_note
from pyfly.config_cli._console.progress import ProgressBar
from pyfly.config_cli._exit_codes import EXIT_CONDITION, EXIT_NOT_FOUND
from pyfly.config_cli._rekeying.bundle_rekeying import BundleRekeying, BundleResult
from pyfly.config_cli._rekeying.rekey_report import RekeyReport, print_report, report_document
from pyfly.config_cli._stores.contents import load_contents, selected
from pyfly.config_cli._stores.opening import BundleFilter, explain_empty, open_store
from pyfly.config_cli._stores.writing import describe_commit
from pyfly.config_server import CipherRekeyer

_HELP: Final = """\
Encrypt the values of a store with another key: every '{cipher}' value of the old key, in all
bundles and labels. Both keys come from the settings of the server, and stay there until no value
needs the old one any more.

A key is named as in 'encrypt --key-name'; 'default' is the key for values that name none. Values of
Spring's formats become bound to their application and key if the new key is one for such values.

Each bundle is stored at once, and only over the version that was read: what another writer stores
meanwhile stays. Text files keep everything but the values. If a value of the old key cannot be
decrypted, nothing is stored, because the key may be a wrong one; --partial goes on without such
values. To continue after an interruption, repeat the command. Plain files and histories
are not changed.

Ends with 3 if a value of the old key was left, or a bundle could not be read or stored, and with 4
if no bundle matches.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyArguments:
    """Which values to encrypt, and with which key."""

    store: str
    source: str
    target: str
    application: str | None
    profile: str | None
    label: str | None
    dry_run: bool
    partial: bool
    author: str | None
    message: str | None
    settings: str | None
    as_json: bool

    @property
    def selection(self) -> BundleFilter:
        """Which bundles to change."""
        return BundleFilter(application=self.application, profile=self.profile, label=self.label)


async def rekey(arguments: RekeyArguments) -> int:
    """Encrypt every value of the old key with the new one, and print them; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings.loading import load_encryption  # noqa: PLC0415

    rekeyer = CipherRekeyer(
        load_encryption(arguments.settings), source=arguments.source, target=arguments.target
    )
    message = arguments.message or f"encrypt with the key {arguments.target}"
    selection = arguments.selection
    async with open_store(arguments.store) as bundles:
        contents = await load_contents(bundles, label=arguments.label, with_files=False)
        chosen = selected(contents, selection)
        if not chosen:
            print_note(await explain_empty(bundles, selection, store=arguments.store))
        rekeying = BundleRekeying(
            bundles=bundles,
            rekeyer=rekeyer,
            info=describe_commit(arguments.author, message),
        )
        results = [await rekeying.plan(entry) for entry in chosen]
        is_held = not arguments.partial and any(
            value.is_unreadable for one in results for value in one.failures
        )
        if not arguments.dry_run and not is_held:
            await bundles.check_not_frozen(one.bundle for one in results if one.keys)
            results = await _store_all(rekeying, results)
    report = RekeyReport(
        source=arguments.source,
        target=arguments.target,
        dry_run=arguments.dry_run,
        is_held=is_held,
        results=results,
        items=contents.items,
    )
    if arguments.as_json:
        print_json(report_document(report))
    else:
        print_report(report)
    if not chosen and selection.is_set:
        return EXIT_NOT_FOUND
    return 0 if report.is_complete else EXIT_CONDITION


async def _store_all(
    rekeying: BundleRekeying, planned: Sequence[BundleResult]
) -> list[BundleResult]:
    results: list[BundleResult] = []
    try:
        with ProgressBar("Encrypting", total=len(planned)) as bar:
            for one in planned:
                bar.show(len(results), str(one.bundle))
                results.append(await rekeying.store(one) if one.keys else one)
    except BaseException:
        print_note(
            f"Stopped after {len(results)} of {len(planned)}. Repeat the command to continue there."
        )
        raise
    return results


COMMAND: Final = Command(
    "rekey",
    callback=callback_of(rekey, RekeyArguments),
    params=[
        store_argument(),
        click.Option(
            ["--from", "source"], required=True, metavar="KEY", help="The name of the old key."
        ),
        click.Option(
            ["--to", "target"], required=True, metavar="KEY", help="The name of the new key."
        ),
        *filter_options(),
        click.Option(["--dry-run"], is_flag=True, help="Print the outcomes, store nothing."),
        click.Option(
            ["--partial"], is_flag=True, help="Leave values that cannot be decrypted as they are."
        ),
        *commit_options(),
        settings_option(),
        json_option(),
    ],
    help=_HELP,
    examples=[
        "pyfly-config rekey ./config --from default --to 2028 --settings server.toml --dry-run",
        "pyfly-config rekey ./config --from default --to 2028 --settings server.toml",
    ],
)
