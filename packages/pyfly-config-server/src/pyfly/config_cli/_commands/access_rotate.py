"""`access rotate`: a further token of a principal, while the older ones go on for a while."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import click

from pyfly.config_cli._access.edits import with_token
from pyfly.config_cli._access.files import AccessText, change_access
from pyfly.config_cli._access.moments import (
    parse_duration,
    parse_moment,
    present,
    shown_moment,
)
from pyfly.config_cli._access.options import (
    AccessArguments,
    access_options,
    expires_option,
    principal_argument,
)
from pyfly.config_cli._access.tokens import new_token, print_token
from pyfly.config_cli._cli.command import PROGRAM, Command, sync_callback_of
from pyfly.config_server.access.access_file import StoredToken

_GRACE: Final = "7d"
_HELP: Final = f"""\
Make and print a further token of a principal. Its older tokens end after a while, {_GRACE} unless
--grace says otherwise, so that clients can be given the new one before. The token is shown only
once.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateArguments(AccessArguments):
    """Whose token to renew."""

    principal: str
    grace: str
    expires: str | None


def rotate_token(arguments: RotateArguments) -> int:
    """Add a token and print it; return the exit code."""
    name, now, given = arguments.principal, present(), arguments.expires
    last = now + parse_duration(arguments.grace, option="--grace")
    expires = None if given is None else parse_moment(given, option="--expires", now=now)
    token = new_token((), created=now, expires=expires)
    notes: list[str] = []

    def change(access: AccessText) -> str:
        nonlocal token
        entry = access.entry(name)
        token = new_token((one.id for one in entry.tokens), created=now, expires=expires)
        older = [_ending(one, last) for one in entry.tokens]
        ends = [f"token {one.id} ends at {shown_moment(one.expires)}" for one in older]
        notes.extend(ends)
        if not entry.is_active:
            notes.append(f"{name} is not active; '{PROGRAM} access activate' changes that")
        return with_token(
            access.text, replace(entry, tokens=(*older, token.stored)), access.table.entries
        )

    change_access(arguments.path, change)
    print_token(name, token, notes=notes, as_json=arguments.as_json)
    return 0


def _ending(token: StoredToken, last: datetime) -> StoredToken:
    """Return a token that ends at a time at the latest."""
    if token.expires is not None and token.expires <= last:
        return token
    return replace(token, expires=last)


COMMAND: Final = Command(
    "rotate",
    callback=sync_callback_of(rotate_token, RotateArguments),
    params=[
        principal_argument(),
        click.Option(
            ["--grace"],
            default=_GRACE,
            show_default=True,
            metavar="DURATION",
            help="How long the older tokens go on: 7d, 12h; 0s ends them at once.",
        ),
        expires_option(),
        *access_options(),
    ],
    help=_HELP,
    examples=[
        f"{PROGRAM} access rotate orders --file access.toml",
        f"{PROGRAM} access rotate orders --grace 1h --expires 90d --settings server.toml",
    ],
)
