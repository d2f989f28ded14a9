"""`list`: the names and versions of the bundles in a store."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import filter_options, json_option, store_argument
from pyfly.config_cli._console.output import print_json, print_note
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._exit_codes import EXIT_FAILED
from pyfly.config_cli._stores.opening import BundleFilter, open_store, select_entries
from pyfly.config_server.formats.documents import entry_document

_HELP: Final = """\
Show the names and versions of bundles, and what is wrong with broken ones.

Ends with 1 if a bundle is broken.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListArguments:
    """What to list."""

    store: str
    application: str | None
    profile: str | None
    label: str | None
    as_json: bool


async def list_bundles(arguments: ListArguments) -> int:
    """Print the names of bundles; return the exit code."""
    selection = BundleFilter(
        application=arguments.application, profile=arguments.profile, label=arguments.label
    )
    async with open_store(arguments.store) as bundles:
        entries = await select_entries(bundles, selection, store=arguments.store)
    if arguments.as_json:
        print_json({"bundles": [entry_document(entry) for entry in entries]})
    else:
        headings = ("LABEL", "APPLICATION", "PROFILE", "VERSION")
        keys = [entry.key for entry in entries]
        names = [(key.label, key.application, key.profile) for key in keys]
        versions = [entry.version or "-" for entry in entries]
        print_table(headings, [(*n, version) for n, version in zip(names, versions, strict=True)])
        for entry in entries:
            if entry.error is not None:
                print_note(f"unreadable: {entry.key}: {entry.error}")
    return EXIT_FAILED if any(entry.error is not None for entry in entries) else 0


COMMAND: Final = Command(
    "list",
    callback=callback_of(list_bundles, ListArguments),
    params=[store_argument(), *filter_options(), json_option()],
    help=_HELP,
    examples=[
        "pyfly-config list ./config",
        "pyfly-config list ./config --application orders --json",
    ],
)
