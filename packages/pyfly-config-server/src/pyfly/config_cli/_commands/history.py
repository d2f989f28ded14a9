"""`history`: the newest changes of one bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import (
    MAX_ROWS,
    BundleArguments,
    bundle_parameters,
    json_option,
)
from pyfly.config_cli._console.output import print_json, print_note
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._stores.opening import add_suggestion, open_store
from pyfly.config_core import ConfigNotFoundError
from pyfly.config_server.formats.documents import version_document
from pyfly.config_server.storage import ConfigVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryArguments(BundleArguments):
    """Which changes to show."""

    limit: int
    as_json: bool


async def show_history(arguments: HistoryArguments) -> int:
    """Print the newest changes of a bundle; return the exit code."""
    key, limit = arguments.key, arguments.limit
    async with open_store(arguments.store) as bundles:
        try:
            versions = [row async for row in bundles.versions(key, most=limit + 1)]
        except ConfigNotFoundError as error:
            await add_suggestion(error, bundles, key, store=arguments.store)
            raise
    _print_versions(versions[:limit], as_json=arguments.as_json)
    if len(versions) > limit:
        print_note(
            f"there are older versions; show more with --limit, such as --limit {10 * limit}"
        )
    return 0


def _print_versions(versions: Sequence[ConfigVersion], *, as_json: bool) -> None:
    if as_json:
        print_json({"versions": [version_document(row) for row in versions]})
        return
    rows = [
        (
            row.version,
            f"{row.saved_at:%Y-%m-%d %H:%M:%S}",
            row.author or "-",
            "(removed)" if row.deleted else " ".join((row.message or "-").split()),
        )
        for row in versions
    ]
    print_table(("VERSION", "SAVED (UTC)", "AUTHOR", "MESSAGE"), rows)


COMMAND: Final = Command(
    "history",
    callback=callback_of(show_history, HistoryArguments),
    params=[
        *bundle_parameters(),
        click.Option(
            ["--limit"],
            metavar="N",
            type=click.IntRange(1, MAX_ROWS),
            default=20,
            show_default=True,
            help="The most versions to show.",
        ),
        json_option(),
    ],
    help="Show the changes of a bundle, the newest first, if the store has a history.",
    examples=[
        "pyfly-config history sqlite:///config.db orders prod",
        "pyfly-config history sqlite:///config.db orders prod --limit 500 --json",
    ],
)
