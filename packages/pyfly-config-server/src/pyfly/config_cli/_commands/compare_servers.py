"""`compare`: what an old server answers, and what a server of these stores would answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import (
    StoreType,
    json_option,
    settings_option,
    show_secrets_option,
)
from pyfly.config_cli._console.masking import MASKED, ValuePrinter
from pyfly.config_cli._console.output import print_json, print_note, print_result
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._exit_codes import EXIT_CONDITION, EXIT_NOT_FOUND
from pyfly.config_core import ConfigKey, JsonValue
from pyfly.config_server import Bundles, ConfigServer

if TYPE_CHECKING:
    from pyfly.config_cli._migration.compared_documents import ComparedDocument, Request
    from pyfly.config_cli._migration.compared_texts import TextRequest
    from pyfly.config_cli._migration.document_differences import DocumentDifference

_HELP: Final = """\
Compare a running server of Spring Cloud Config, or of pyfly-config, with stores that shall take
its place: every application, in every profile, under every label of the stores, and of the old
server if that is one of pyfly-config and lets its client list bundles.

OLD-SERVER is its URL with its prefix. Its credential is not an argument, because other users of
the machine may read command lines: set PYFLY_CONFIG_COMPARE_USERNAME and
PYFLY_CONFIG_COMPARE_PASSWORD, or PYFLY_CONFIG_COMPARE_TOKEN, or with _FILE behind these names
the files that hold them.

The stores are served in this process with the settings of 'serve': overrides, keys, defaults.
Compared are the property sources in their order, their names, keys and values. Of the name of a
source only the name of its file counts, without directories, extension and repository. The
default label is asked for without naming it. With --formats the flattened formats are compared
too, with --files the plain files of the stores: byte by byte, and JSON by its values. Values are
not shown, because they may be secrets, unless --show-values is given.

Ends with 0 if all documents are equal, with 3 if one differs, with 4 if there is nothing to
compare, and with 1 if a server or a store cannot be asked.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareArguments:
    """What to compare."""

    old_server: str
    stores: tuple[str, ...]
    applications: str | None
    profiles: str | None
    labels: str | None
    timeout: float
    formats: bool
    files: bool
    show_values: bool
    show_secrets: bool
    settings: str | None
    as_json: bool


async def compare_servers(arguments: CompareArguments) -> int:
    """Print what differs; return the exit code."""
    # httpx and pydantic are not imported to complete a command line
    from pyfly.config_cli._migration.compared_documents import compare  # noqa: PLC0415
    from pyfly.config_cli._migration.compared_texts import compare_texts  # noqa: PLC0415
    from pyfly.config_cli._migration.old_server import OldServer, read_credential  # noqa: PLC0415

    server = _open_server(arguments)
    async with (
        server,
        OldServer(arguments.old_server, read_credential(), seconds=arguments.timeout) as old,
    ):
        wanted = await _requests(server, await old.names(), arguments)
        if not wanted:
            print_note("there are no bundles in the stores; name --applications to compare")
            return EXIT_NOT_FOUND
        found = await compare(old, server, wanted)
        texts = await _texts(server, wanted, arguments)
        found += await compare_texts(old, server, texts)
    if all(one.is_absent for one in found):
        print_note(
            "the old server has answered everything with 404: its URL must end with its prefix"
        )
    if arguments.as_json:
        print_json(_document(found, show_values=arguments.show_values))
    else:
        _print_differences(found, arguments)
    return EXIT_CONDITION if any(one.differences for one in found) else 0


def _open_server(arguments: CompareArguments) -> ConfigServer:
    from pyfly.config_cli._serving.setup import open_server  # noqa: PLC0415 - as above
    from pyfly.config_cli._settings.loading import load_settings  # noqa: PLC0415 - as above

    values: dict[str, object] = {}
    if arguments.settings is not None:
        values["settings"] = arguments.settings
    if arguments.stores:
        values["backend"] = arguments.stores
    return open_server(load_settings(values))


async def _requests(
    server: ConfigServer, old_names: Sequence[ConfigKey], arguments: CompareArguments
) -> "list[Request]":
    from pyfly.config_cli._migration.compared_documents import requests  # noqa: PLC0415 - as above

    keys = [key for backend in server.backends async for key in Bundles(backend).names()]
    return requests(
        [*keys, *old_names],
        applications=_words(arguments.applications),
        profiles=_words(arguments.profiles),
        labels=_words(arguments.labels),
    )


async def _texts(
    server: ConfigServer, wanted: "Sequence[Request]", arguments: CompareArguments
) -> "list[TextRequest]":
    from pyfly.config_cli._migration.compared_texts import (  # noqa: PLC0415 - as above
        file_requests,
        flattened_requests,
        list_files,
    )

    default = server.default_label
    texts: list[TextRequest] = []
    if arguments.formats:
        texts += flattened_requests(wanted, default_label=default)
    if arguments.files:
        files = await list_files(server, [*dict.fromkeys(one.label for one in wanted)])
        texts += file_requests(wanted, files, default_label=default)
    return texts


def _words(text: str | None) -> list[str]:
    return [word for word in (text or "").split(",") if word]


def _print_differences(found: "Sequence[ComparedDocument]", arguments: CompareArguments) -> None:
    values = ValuePrinter(show_secrets=arguments.show_secrets)
    rows = [
        (
            one.request.label,
            one.request.application,
            one.request.profile,
            change.source or "",
            change.key or "",
            _sentence(change),
            *(_shown_values(change, values) if arguments.show_values else ()),
        )
        for one in found
        for change in one.differences
    ]
    if rows:
        headings = ("LABEL", "APPLICATION", "PROFILE", "SOURCE", "KEY", "DIFFERENCE")
        print_table((*headings, *(("OLD", "NEW") if arguments.show_values else ())), rows)
    different = sum(bool(one.differences) for one in found)
    print_result(f"{len(found):,} documents compared, {different:,} differ")
    if values.has_masked:
        print_note(MASKED)


def _sentence(change: "DocumentDifference") -> str:
    from pyfly.config_cli._migration.document_differences import What  # noqa: PLC0415 - as above

    if change.what is What.STATUS:
        return f"status {change.old} in the old server, {change.new} here"
    return str(change.what.value)


def _shown_values(change: "DocumentDifference", values: ValuePrinter) -> tuple[str, str]:
    old, new = (
        "" if value is None else values.text(change.key or "", value)
        for value in (change.old, change.new)
    )
    return old, new


def _document(found: "Sequence[ComparedDocument]", *, show_values: bool) -> dict[str, JsonValue]:
    rows: list[JsonValue] = []
    for one in found:
        request = one.request
        for change in one.differences:
            row: dict[str, JsonValue] = {
                "label": request.label,
                "application": request.application,
                "profile": request.profile,
                "source": change.source,
                "key": change.key,
                "what": change.what.name.lower().replace("_", "-"),
            }
            rows.append(row | {"old": change.old, "new": change.new} if show_values else row)
    different = sum(bool(one.differences) for one in found)
    return {"compared": len(found), "different": different, "differences": rows}


COMMAND: Final = Command(
    "compare",
    callback=callback_of(compare_servers, CompareArguments),
    params=[
        click.Argument(["old_server"], metavar="OLD-SERVER"),
        click.Argument(["stores"], type=StoreType(), metavar="STORE ...", nargs=-1),
        *(
            click.Option([f"--{name}"], metavar="NAME,...", help=f"Only these {name}.")
            for name in ("applications", "profiles", "labels")
        ),
        click.Option(
            ["--timeout"],
            type=click.FloatRange(min=0.1, max=3_600),
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="The longest time for one answer of the old server.",
        ),
        click.Option(["--formats"], is_flag=True, help="Compare .json, .yml and .properties, too."),
        click.Option(["--files"], is_flag=True, help="Compare the plain files of the stores, too."),
        click.Option(["--show-values"], is_flag=True, help="Print the values that differ."),
        show_secrets_option(),
        settings_option(),
        json_option(),
    ],
    help=_HELP,
    examples=[
        "pyfly-config compare https://config.example.com/config ./config",
        "pyfly-config compare http://localhost:8888 ./config --applications orders --json",
    ],
)
