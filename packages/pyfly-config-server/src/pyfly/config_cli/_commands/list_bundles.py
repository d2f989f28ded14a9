"""`list`: the names and versions of the bundles in a store."""

from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import filter_options, json_option, store_argument
from pyfly.config_cli._console.output import print_json, print_note
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._exit_codes import EXIT_FAILED
from pyfly.config_cli._stores.contents import load_contents, selected
from pyfly.config_cli._stores.opening import BundleFilter, explain_empty, open_store
from pyfly.config_server.formats.documents import entry_document

_HELP: Final = """\
Show the names and versions of bundles, and what is wrong with broken ones.

A base bundle, which counts for every profile, has the profile '-'. A '?' behind the version marks
a bundle whose file could also be read as another one.

Ends with 1 if a bundle is broken, or a label cannot be read.
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
        contents = await load_contents(bundles, label=arguments.label, with_files=False)
        entries = selected(contents, selection)
        if not entries and not contents.items:
            print_note(await explain_empty(bundles, selection, store=arguments.store))
    if arguments.as_json:
        print_json({"bundles": [entry_document(entry) for entry in entries]})
    else:
        headings = ("LABEL", "APPLICATION", "PROFILE", "VERSION")
        keys = [entry.key for entry in entries]
        names = [(key.label, key.application, key.profile) for key in keys]
        versions = [f"{entry.version or '-'}{' ?' * entry.is_guess}" for entry in entries]
        print_table(headings, [(*n, version) for n, version in zip(names, versions, strict=True)])
        for entry in entries:
            if entry.error is not None:
                print_note(f"unreadable: {entry.key}: {entry.error}")
    for item in contents.items:
        print_note(f"unreadable: {item.name}: {item.reason}")
    is_broken = bool(contents.items) or any(entry.error is not None for entry in entries)
    return EXIT_FAILED if is_broken else 0


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
