"""`access add`: a new principal with its rules and its first token."""

from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._access.edits import with_principal
from pyfly.config_cli._access.files import AccessText, change_access
from pyfly.config_cli._access.moments import parse_moment, present
from pyfly.config_cli._access.options import (
    AccessArguments,
    access_options,
    expires_option,
    principal_argument,
)
from pyfly.config_cli._access.tokens import new_token, print_token
from pyfly.config_cli._cli.command import PROGRAM, Command, sync_callback_of
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_core import ConfigFormatError
from pyfly.config_server.access import Principal, Rule
from pyfly.config_server.access.access_file import AccessEntry, check_principal_name

_HELP: Final = """\
Add a principal with its rules, and print its first token. The token is shown only once: the file
holds its SHA-256. Clients send it as bearer token, or as password with PRINCIPAL as user name.

A RULE is one argument: rights, separated by commas, and the pattern application/profile/label, in
which * stands for any text; for the right files also the pattern of paths.
"""
_RULE_PARTS: Final = range(2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddArguments(AccessArguments):
    """The new principal."""

    principal: str
    rules: tuple[str, ...]
    expires: str | None


def add_principal(arguments: AddArguments) -> int:
    """Add a principal and print its token; return the exit code."""
    name, now = arguments.principal, present()
    try:
        check_principal_name(name)
    except ConfigFormatError as error:
        raise ArgumentError(str(error)) from None
    rules = tuple(map(_parse_rule, arguments.rules))
    given = arguments.expires
    expires = None if given is None else parse_moment(given, option="--expires", now=now)
    token = new_token((), created=now, expires=expires)
    principal = Principal(name=name, rules=rules)
    entry = AccessEntry(name=name, principal=principal, tokens=(token.stored,))

    def change(access: AccessText) -> str:
        if name in access.table.entries:
            raise ArgumentError(
                f"there is a principal {name!r} already; '{PROGRAM} access rotate' makes a further "
                "token, its rules are changed in the file"
            )
        return with_principal(access.text, access.table.entries, entry)

    change_access(arguments.path, change, creates=True)
    notes = [] if rules else [f"{name} has no rules yet and may do nothing; add them to the file"]
    print_token(name, token, notes=notes, as_json=arguments.as_json)
    return 0


def _parse_rule(text: str) -> Rule:
    words = text.split()
    if len(words) not in _RULE_PARTS:
        raise ArgumentError(
            f"--rule: {text!r} is not RIGHTS PATTERN, such as 'read,inspect orders/*/*', or "
            "'files */*/main orders/**'; put it in quotes"
        )
    rights, pattern, files = (*words, None)[:3]
    try:
        return Rule.parse(rights=str(rights).split(","), on=str(pattern), files=files)
    except ValueError as error:
        raise ArgumentError(f"--rule: {error}") from None


COMMAND: Final = Command(
    "add",
    callback=sync_callback_of(add_principal, AddArguments),
    params=[
        principal_argument(),
        click.Option(
            ["--rule", "rules"],
            metavar="RULE",
            multiple=True,
            help="What the principal may do; may be repeated.",
        ),
        expires_option(),
        *access_options(),
    ],
    help=_HELP,
    examples=[
        f"{PROGRAM} access add billing --file access.toml --rule 'read billing/*/*'",
        f"{PROGRAM} access add ci --file access.toml --rule 'inspect,write */*/*' --expires 90d",
        f"{PROGRAM} access add web --rule 'files */*/main web/**' --settings server.toml",
    ],
)
