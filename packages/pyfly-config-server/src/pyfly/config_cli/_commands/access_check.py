"""`access check`: is the file right, and what may a principal do?"""

from dataclasses import dataclass
from typing import Final

import click

from pyfly.config_cli._access.files import read_access
from pyfly.config_cli._access.moments import present
from pyfly.config_cli._access.options import AccessArguments, access_options
from pyfly.config_cli._cli.command import PROGRAM, Command, sync_callback_of
from pyfly.config_cli._commands.access_list import state_of
from pyfly.config_cli._console.output import print_json, print_result
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._exit_codes import EXIT_CONDITION
from pyfly.config_server.access import Right, Target, parse_target
from pyfly.config_server.access.access_file import AccessEntry, AccessTable

_HELP: Final = """\
Check the access file. With a PRINCIPAL, a RIGHT and a TARGET, say whether the principal has the
right, and which rule decides; the exit code is 3 if it has not.

A TARGET is application/profile/label; for the right files it is label/path; for encrypt, decrypt
and operate it is '*'.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckArguments(AccessArguments):
    """What to decide; `None` to check the file alone."""

    principal: str | None
    right: str | None
    target: str | None


def check_access(arguments: CheckArguments) -> int:
    """Check the file, or decide; return the exit code."""
    access = read_access(arguments.path)
    name, right, target = arguments.principal, arguments.right, arguments.target
    if name is None:
        return _report(access.table, as_json=arguments.as_json)
    if right is None or target is None:
        raise ArgumentError("name a principal, a right and a target, or none of them")
    entry, wanted = access.entry(name), Right(right)
    reason, allowed = _decide(entry, wanted, _parse_target(wanted, target))
    if arguments.as_json:
        print_json(
            {
                "principal": name,
                "right": right,
                "target": target,
                "allowed": allowed,
                "reason": reason,
            }
        )
    else:
        print_result(f"{'allowed' if allowed else 'denied'}: {reason}")
    return 0 if allowed else EXIT_CONDITION


def _report(table: AccessTable, *, as_json: bool) -> int:
    now, entries = present(), table.entries.values()
    tokens = [token for entry in entries for token in entry.tokens]
    expired = sum(one.expires is not None and one.expires <= now for one in tokens)
    counts = {"principals": len(entries), "tokens": len(tokens), "expired": expired}
    if as_json:
        print_json({**counts})
    else:
        print_result(
            f"the access file is right: {counts['principals']} principals, {counts['tokens']} "
            f"tokens, of which {expired} have expired"
        )
    return 0


def _decide(entry: AccessEntry, right: Right, target: Target) -> tuple[str, bool]:
    state = state_of(entry, present())
    if state != "active":
        return f"{entry.name} is {state} and cannot sign in", False
    decision = entry.principal.decide(right, target)
    if decision.rule is None:
        return str(decision), False
    number = next(n for n, rule in enumerate(entry.principal.rules) if rule is decision.rule)
    return f"{decision} (principals.{entry.name}.rules[{number}])", True


def _parse_target(right: Right, text: str) -> Target:
    try:
        return parse_target(right, text)
    except ValueError as error:
        raise ArgumentError(str(error)) from None


COMMAND: Final = Command(
    "check",
    callback=sync_callback_of(check_access, CheckArguments),
    params=[
        click.Argument(["principal"], required=False),
        click.Argument(
            ["right"],
            required=False,
            type=click.Choice([right.value for right in Right]),
            metavar="[RIGHT]",
        ),
        click.Argument(["target"], required=False),
        *access_options(),
    ],
    help=_HELP,
    examples=[
        f"{PROGRAM} access check --file access.toml",
        f"{PROGRAM} access check orders read orders/prod/main --file access.toml",
        f"{PROGRAM} access check orders files main/orders/nginx.conf --settings server.toml",
    ],
)
