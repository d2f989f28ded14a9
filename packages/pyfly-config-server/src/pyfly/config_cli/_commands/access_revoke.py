"""`access revoke`: the end of tokens."""

from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._access.edits import without_tokens
from pyfly.config_cli._access.files import AccessText, change_access
from pyfly.config_cli._access.options import AccessArguments, access_options, principal_argument
from pyfly.config_cli._cli.command import PROGRAM, Command, sync_callback_of
from pyfly.config_cli._console.output import print_json, print_result
from pyfly.config_cli._errors import ArgumentError

_HELP: Final = """\
Remove tokens of a principal, named by their ids, or all of them. Running servers refuse them within
a second. The principal and its rules stay.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeArguments(AccessArguments):
    """Which tokens to remove."""

    principal: str
    ids: tuple[str, ...]
    all: bool


def revoke_tokens(arguments: RevokeArguments) -> int:
    """Remove tokens; return the exit code."""
    if bool(arguments.ids) is arguments.all:
        raise ArgumentError("name the tokens to revoke by their ids, or add --all")
    removed: list[str] = []

    def change(access: AccessText) -> str:
        entry = access.entry(arguments.principal)
        known = [token.id for token in entry.tokens]
        for unknown in sorted({*arguments.ids} - {*known}):
            raise ArgumentError(
                f"{entry.name} has no token {unknown!r}; it has: {', '.join(known) or 'none'}"
            )
        removed.extend(one for one in known if arguments.all or one in arguments.ids)
        if not removed:
            return access.text
        return without_tokens(access.text, entry, access.table.entries, removed)

    change_access(arguments.path, change)
    if arguments.as_json:
        print_json({"principal": arguments.principal, "revoked": [*removed]})
    else:
        print_result(f"revoked of {arguments.principal}: {', '.join(removed) or 'nothing'}")
    return 0


COMMAND: Final = Command(
    "revoke",
    callback=sync_callback_of(revoke_tokens, RevokeArguments),
    params=[
        principal_argument(),
        click.Argument(["ids"], nargs=-1, metavar="[TOKEN-ID]..."),
        click.Option(["--all"], is_flag=True, help="Every token of the principal."),
        *access_options(),
    ],
    help=_HELP,
    examples=[
        f"{PROGRAM} access revoke orders k3vq7a --file access.toml",
        f"{PROGRAM} access revoke orders --all --settings server.toml",
    ],
)
