"""`put`: stores a whole bundle, or changes single properties of one."""

import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import click

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import (
    BundleArguments,
    bundle_parameters,
    commit_options,
    expect_option,
    json_option,
)
from pyfly.config_cli._console.output import print_note
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._exit_codes import EXIT_FAILED
from pyfly.config_cli._stores.lost_text import confirm, describe_lost_text, has_comments
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_cli._stores.property_changes import PropertyChange, store_change
from pyfly.config_cli._stores.writing import (
    describe_commit,
    describe_new_label,
    expectation,
    load_for_change,
    make_source,
    print_change,
    store_bundle,
)
from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_server.files.layouts import PROPERTIES_SUFFIX
from pyfly.config_server.formats.text import parse_mapping, parse_scalar
from pyfly.config_server.storage import ABSENT

_SUFFIXES: Final = {"yaml": ".yaml", "json": ".json"}

_HELP: Final = """\
Store a bundle: a whole one from --file, or a change of single properties.

A whole bundle is created. To replace one, name its version with --expect. A change touches the
properties that it names and no others: what another writer stores meanwhile stays, and if that
concerns the same properties, nothing is changed. Values are read as YAML: 8080
is a number, '8080' a text. Keep secrets off the command line: use --file.

A text store changes only the lines of the file that say something else now: comments, order and
quotes stay. A change of a file with several documents, or of a bundle in several files, is stored
if exactly one of them has each changed key. Where an edit of the text is impossible, it is written
anew; a remark says before that comments are lost, and on a terminal --yes agrees to it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutArguments(BundleArguments):
    """What to store, and under which condition."""

    assignments: tuple[str, ...]
    file: str | None
    format: str | None
    remove: tuple[str, ...]
    yes: bool
    expect: str | None
    author: str | None
    message: str | None
    as_json: bool


async def put_bundle(arguments: PutArguments) -> int:
    """Store a bundle; return the exit code."""
    key, change = arguments.key, _parse_change(arguments)
    async with open_store(arguments.store) as bundles:
        await bundles.check_not_frozen([key])  # told before a question, not after it
        whole, read = None, None
        if arguments.file is not None:
            properties = _read_file(arguments.file, arguments.format)
            whole = make_source(key, properties)
        else:
            read = await load_for_change(bundles, key)
            # a mistake is told first
            properties = change.applied({} if read is None else read.properties)
        remark = await describe_lost_text(bundles, key, properties)
        if remark is not None and not confirm(remark, agreed=arguments.yes):
            print_note("nothing was stored")
            return EXIT_FAILED
        new_label = await describe_new_label(bundles, key.label)
        info = describe_commit(arguments.author, arguments.message)
        expected = None if arguments.expect is None else expectation(arguments.expect)
        if whole is None:
            version = await store_change(bundles, change, read=read, expected=expected, info=info)
        else:
            condition = ABSENT if expected is None else expected
            version = await store_bundle(bundles, whole, expected=condition, info=info)
    print_change(key, version, what="stored", as_json=arguments.as_json)
    if new_label is not None:
        print_note(new_label)
    return 0


def _parse_change(arguments: PutArguments) -> PropertyChange:
    """Return the change of single properties; check that there is either a file or a change."""
    assignments = tuple(map(_parse_assignment, arguments.assignments, count(1)))
    if (arguments.file is None) == (not assignments and not arguments.remove):
        raise ArgumentError(
            "name either --file FILE (or --file - for standard input), or what to change: "
            "KEY=VALUE ..., --remove KEY"
        )
    return PropertyChange(
        key=arguments.key, assignments=assignments, removals=tuple(arguments.remove)
    )


def _read_file(name: str, form: str | None) -> dict[str, JsonValue]:
    """Return the bundle in a file or in standard input."""
    data = _read_bytes(name)
    suffix = _SUFFIXES[form] if form else Path(name).suffix.lower()
    if suffix == PROPERTIES_SUFFIX:
        raise ArgumentError(f"{name!r} is a .properties file; give the bundle as YAML or JSON")
    suffix = suffix if suffix == ".json" else ".yaml"
    try:
        properties = parse_mapping(data, suffix=suffix)
    except ConfigFormatError as error:
        raise error.at("standard input" if name == "-" else name) from error
    if has_comments(data, suffix=suffix):
        print_note("comments of the file are not stored")
    return properties


def _read_bytes(name: str) -> bytes:
    if name == "-" and sys.stdin is None:  # it was closed before the start
        raise ArgumentError("standard input is closed")
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ArgumentError(f"cannot read {name!r}: {error.strerror}") from error


def _parse_assignment(text: str, number: int) -> tuple[str, JsonValue]:
    key, equals, value = text.partition("=")
    if not equals or not key:  # the text is not shown, because it may be a secret
        raise ArgumentError(f"assignment {number} has no key or no '='; write KEY=VALUE")
    return key, parse_scalar(value)


COMMAND: Final = Command(
    "put",
    callback=callback_of(put_bundle, PutArguments),
    params=[
        *bundle_parameters(),
        click.Argument(["assignments"], nargs=-1, metavar="[KEY=VALUE]..."),
        click.Option(
            ["--file"],
            type=click.Path(),
            help="The whole bundle, as YAML or JSON; '-' is standard input.",
        ),
        click.Option(
            ["--format"],
            type=click.Choice([*_SUFFIXES]),
            help="The format of the file, if its name does not say it.",
        ),
        click.Option(["--remove"], metavar="KEY", multiple=True, help="A property to remove."),
        click.Option(["--yes"], is_flag=True, help="Do not ask before comments are lost."),
        expect_option("absent with --file, else the same properties as were read"),
        *commit_options(),
        json_option(),
    ],
    help=_HELP,
    examples=[
        "pyfly-config put ./config orders prod --file orders.yaml",
        "pyfly-config put ./config orders prod --file - --format json --expect any < orders.json",
        "pyfly-config put ./config orders prod server.port=9000 'hosts[0]=db1' --remove debug",
        "pyfly-config put sqlite:///config.db orders prod number=3 --message 'more of them'",
    ],
)
