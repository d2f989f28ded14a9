"""`access list`: principals, their tokens and their rules."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pyfly.config_cli._access.files import read_access
from pyfly.config_cli._access.moments import present, shown_moment
from pyfly.config_cli._access.options import AccessArguments, access_options
from pyfly.config_cli._cli.command import PROGRAM, Command, sync_callback_of
from pyfly.config_cli._console.output import print_json
from pyfly.config_cli._console.tables import print_table
from pyfly.config_core import JsonValue, copy_properties
from pyfly.config_server.access import Right
from pyfly.config_server.access.access_file import AccessEntry

_HEADINGS: Final = ("PRINCIPAL", "STATE", "TOKEN", "CREATED", "EXPIRES", "RULES")


def list_access(arguments: AccessArguments) -> int:
    """Print the principals; return the exit code."""
    entries, now = read_access(arguments.path).table.entries.values(), present()
    if arguments.as_json:
        print_json({"principals": [_document(entry, now) for entry in entries]})
    else:
        print_table(_HEADINGS, [row for entry in entries for row in _rows(entry, now)])
    return 0


def state_of(entry: AccessEntry, now: datetime) -> str:
    """Return whether a principal may sign in: `active`, `inactive` or `expired`."""
    if not entry.is_active:
        return "inactive"
    return "expired" if entry.expires is not None and entry.expires <= now else "active"


def _rows(entry: AccessEntry, now: datetime) -> Iterator[tuple[str, ...]]:
    """Yield a row for each token or rule, whichever are more."""
    state = state_of(entry, now)
    if state == "active" and entry.expires is not None:
        state = f"active until {shown_moment(entry.expires)}"
    tokens = [
        (token.id, shown_moment(token.created) or "", _end(token.expires, now))
        for token in entry.tokens
    ]
    tokens += [(str(subject), "", "") for subject in entry.subjects]
    tokens += [(identity, "", "") for identity in entry.identities]
    rules = [str(rule) for rule in entry.principal.rules]
    for number in range(max(len(tokens), len(rules), 1)):
        head = (entry.name, state) if number == 0 else ("", "")
        token = tokens[number] if number < len(tokens) else ("", "", "")
        yield (*head, *token, rules[number] if number < len(rules) else "")


def _end(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    return f"{shown_moment(moment)}{' (expired)' if moment <= now else ''}"


def _document(entry: AccessEntry, now: datetime) -> JsonValue:
    rules: list[JsonValue] = [
        {
            "rights": [right.value for right in Right if right in rule.rights],
            "on": str(rule.on),
            **({} if rule.files is None else {"files": str(rule.files)}),
        }
        for rule in entry.principal.rules
    ]
    tokens: list[JsonValue] = [
        {
            "id": token.id,
            "created": shown_moment(token.created),
            "expires": shown_moment(token.expires),
            "expired": token.expires is not None and token.expires <= now,
        }
        for token in entry.tokens
    ]
    return {
        "principal": entry.name,
        "state": state_of(entry, now),
        "expires": shown_moment(entry.expires),
        "rules": rules,
        "tokens": tokens,
        "subjects": [
            {"issuer": one.issuer, "claims": copy_properties(one.claims)} for one in entry.subjects
        ],
        "identities": [*entry.identities],
    }


COMMAND: Final = Command(
    "list",
    callback=sync_callback_of(list_access, AccessArguments),
    params=access_options(),
    help="Show the principals of the access file, with the ends of their tokens and their rules.",
    examples=[
        f"{PROGRAM} access list --file access.toml",
        f"{PROGRAM} access list --settings server.toml --json",
    ],
)
