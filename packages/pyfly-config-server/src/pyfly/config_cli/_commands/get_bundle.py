"""`get`: one bundle as it is stored."""

from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import BundleArguments, bundle_parameters, json_option
from pyfly.config_cli._console.output import print_exactly, print_json, print_note
from pyfly.config_cli._stores.opening import load_bundle, open_store
from pyfly.config_server.formats.documents import bundle_document
from pyfly.config_server.formats.text import dump_text


@dataclass(frozen=True, slots=True, kw_only=True)
class GetArguments(BundleArguments):
    """What to print."""

    version: str | None
    as_json: bool


async def get_bundle(arguments: GetArguments) -> int:
    """Print one bundle; return the exit code."""
    key = arguments.key
    async with open_store(arguments.store) as bundles:
        source = await load_bundle(bundles, key, version=arguments.version, store=arguments.store)
    if arguments.as_json:
        print_json(bundle_document(source))
        return 0
    if source.version is not None:
        print_note(f"{key} at version {source.version}")
    print_exactly(dump_text(source.properties, suffix=".yaml").decode().rstrip("\n"))
    return 0


COMMAND: Final = Command(
    "get",
    callback=callback_of(get_bundle, GetArguments),
    params=[
        *bundle_parameters(),
        click.Option(["--version"], help="An old version, if the store has a history."),
        json_option(),
    ],
    help="Print a bundle as it is stored, as YAML. Its version goes to standard error.",
    examples=[
        "pyfly-config get ./config orders prod",
        "pyfly-config get ./config orders prod --label release-1.4",
    ],
)
