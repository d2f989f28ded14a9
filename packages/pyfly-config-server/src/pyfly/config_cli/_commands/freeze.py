"""`freeze`: switches writing off, for a whole store, a label, or some bundles."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._access.moments import parse_moment, present, shown_moment
from pyfly.config_cli._cli.command import PROGRAM, Command, callback_of
from pyfly.config_cli._cli.parameters import (
    NameType,
    author_option,
    json_option,
    settings_option,
    store_argument,
)
from pyfly.config_cli._console.output import print_json, print_result
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._freezing.freeze_audit import events_of, recorded
from pyfly.config_cli._freezing.freeze_report import freeze_document
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_cli._stores.writing import describe_commit
from pyfly.config_core import ConfigFormatError
from pyfly.config_server.access import BundlePattern
from pyfly.config_server.freezes import Freeze, change_freezes

_LETTERS: Final = "23456789abcdefghjkmnpqrstuvwxyz"
"""Digits and letters that nobody takes for another."""
_ID_LENGTH: Final = 6

_HELP: Final = """\
Switch writing off: for the whole store, for a label, or for the bundles of a pattern.

While it is in force, every write that it covers is refused with the reason and the end: those of
servers, in all workers and replicas and for every principal, and those of the commands that write
into the store. Reads go on. It is kept in the store, so nobody has to be restarted. A write that
has begun before may still finish, within a second as a rule. It ends at --until, or with
'unfreeze'.

A pattern is application/profile/label, in which '*' stands for any text.

If the settings of the server name an audit log, this is recorded there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeArguments:
    """What to freeze, and why."""

    store: str
    on: str | None
    label: str | None
    reason: str
    until: str | None
    author: str | None
    settings: str | None
    as_json: bool


async def freeze(arguments: FreezeArguments) -> int:
    """Make a freeze; return the exit code."""
    new = _freeze_of(arguments)

    def change(before: Sequence[Freeze]) -> Sequence[Freeze]:
        return before if new in before else [*before, new]

    async with open_store(arguments.store) as bundles:

        async def store() -> None:
            message = f"Freeze {new.on}: {new.reason}"
            await change_freezes(bundles.backend, change, author=new.made_by, message=message)

        events = events_of("freeze", [new], author=new.made_by)
        await recorded(store, events, settings=arguments.settings)
    if arguments.as_json:
        print_json(freeze_document(new, new.made_at))
    else:
        until = "it is removed" if new.until is None else shown_moment(new.until)
        print_result(f"{new.id}: {new.on} is frozen until {until}")
    return 0


def _freeze_of(arguments: FreezeArguments) -> Freeze:
    now = present()
    until = arguments.until
    try:
        return Freeze(
            id="".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH)),
            on=_pattern_of(arguments),
            reason=arguments.reason,
            made_by=describe_commit(arguments.author, None).author,
            made_at=now,
            until=None if until is None else parse_moment(until, option="--until", now=now),
        )
    except ConfigFormatError as error:
        raise ArgumentError(str(error)) from None


def _pattern_of(arguments: FreezeArguments) -> BundlePattern:
    if arguments.on is not None and arguments.label is not None:
        raise ArgumentError("--on has a label, too; name either --on or --label")
    if arguments.on is None and arguments.label is None:
        return BundlePattern.everything()
    option = "--label" if arguments.on is None else "--on"
    try:
        return BundlePattern(arguments.on or f"*/*/{arguments.label}")
    except ValueError as error:
        raise ArgumentError(f"{option}: {error}") from None


COMMAND: Final = Command(
    "freeze",
    callback=callback_of(freeze, FreezeArguments),
    params=[
        store_argument(),
        click.Option(
            ["--reason"],
            required=True,
            metavar="TEXT",
            help="Why: shown to everybody whose write is refused.",
        ),
        click.Option(
            ["--label"],
            type=NameType("label"),
            metavar="PATTERN",
            help="Only the bundles under this label.",
        ),
        click.Option(
            ["--on"],
            metavar="PATTERN",
            help="Only these bundles: application/profile/label.",
        ),
        click.Option(
            ["--until"],
            metavar="WHEN",
            help="The end: 2h, 2027-01-31, 2027-01-31T12:00:00Z. (default: 'unfreeze' ends it)",
        ),
        author_option(),
        settings_option(),
        json_option(),
    ],
    help=_HELP,
    examples=[
        f"{PROGRAM} freeze ./config --reason 'release 1.4' --until 2h",
        f"{PROGRAM} freeze ./config --label main --reason 'the auditors are here'",
        f"{PROGRAM} freeze sqlite:///config.db --on 'orders/*/*' --reason 'incident 4711'",
    ],
)
