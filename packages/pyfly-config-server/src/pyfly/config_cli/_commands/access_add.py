"""`access add`: a new principal with its rules and its first token."""

from collections.abc import Iterable
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
from pyfly.config_cli._console.output import print_json, print_note, print_result
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_core import ConfigFormatError
from pyfly.config_server.access import Principal, Rule
from pyfly.config_server.access.access_file import AccessEntry, AccessTable, check_principal_name
from pyfly.config_server.access.identities import check_identity
from pyfly.config_server.access.issuers import Subject

_HELP: Final = """\
Add a principal with its rules, and print its first token. The token is shown only once: the file
holds its SHA-256. Clients send it as bearer token, or as password with PRINCIPAL as user name.

With --subject the principal gets no token: it signs in with JSON Web Tokens of an issuer that the
file names, as Kubernetes service accounts do. A SUBJECT is one argument, such as
'cluster sub=system:serviceaccount:shop:orders': the name of the issuer, and CLAIM=VALUE for each
claim that a token must have; true and false stand for themselves.

With --identity it gets none either: it signs in with a certificate at a trusted proxy, which names
it by an IDENTITY, such as 'CN=orders,O=shop'.

A RULE is one argument: rights, separated by commas, and the pattern application/profile/label, in
which * stands for any text; for the right files also the pattern of paths.
"""
_RULE_PARTS: Final = range(2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddArguments(AccessArguments):
    """The new principal."""

    principal: str
    rules: tuple[str, ...]
    subjects: tuple[str, ...]
    identities: tuple[str, ...]
    expires: str | None


def add_principal(arguments: AddArguments) -> int:
    """Add a principal and print its token, if it has one; return the exit code."""
    name, now = arguments.principal, present()
    try:
        check_principal_name(name)
    except ConfigFormatError as error:
        raise ArgumentError(str(error)) from None
    rules = tuple(map(_parse_rule, arguments.rules))
    subjects = tuple(map(_parse_subject, arguments.subjects))
    identities = tuple(map(_parse_identity, dict.fromkeys(arguments.identities)))
    has_token = not (subjects or identities)
    given = arguments.expires
    if given is not None and not has_token:
        option = "--subject" if subjects else "--identity"
        raise ArgumentError(f"--expires ends a token; with {option} the principal has none")
    expires = None if given is None else parse_moment(given, option="--expires", now=now)
    token = new_token((), created=now, expires=expires) if has_token else None
    entry = AccessEntry(
        name=name,
        principal=Principal(name=name, rules=rules),
        tokens=() if token is None else (token.stored,),
        subjects=subjects,
        identities=identities,
    )

    def change(access: AccessText) -> str:
        if name in access.table.entries:
            raise ArgumentError(
                f"there is a principal {name!r} already; '{PROGRAM} access rotate' makes a further "
                "token, its rules are changed in the file"
            )
        _check_issuers(subjects, access.table)
        _check_free(identities, access.table)
        return with_principal(access.text, access.table.entries, entry)

    change_access(arguments.path, change, creates=True)
    notes = [] if rules else [f"{name} has no rules yet and may do nothing; add them to the file"]
    if token is None:
        _print_ways(entry, notes, as_json=arguments.as_json)
    else:
        print_token(name, token, notes=notes, as_json=arguments.as_json)
    return 0


def _print_ways(entry: AccessEntry, notes: Iterable[str], *, as_json: bool) -> None:
    if as_json:
        subjects = [str(one) for one in entry.subjects]
        print_json(
            {
                "principal": entry.name,
                "subjects": [*subjects],
                "identities": [*entry.identities],
            }
        )
        return
    for subject in entry.subjects:
        print_result(f"{entry.name} signs in with tokens of {subject}")
    for identity in entry.identities:
        print_result(f"{entry.name} signs in at a trusted proxy as {identity}")
    for note in notes:
        print_note(note)


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


def _parse_subject(text: str) -> Subject:
    issuer, *words = text.split() or [""]
    pairs = [(claim, value) for claim, _, value in (word.partition("=") for word in words)]
    claims: dict[str, object] = {
        claim: {"true": True, "false": False}.get(value, value)
        for claim, value in pairs
        if claim and value
    }
    if not claims or len(claims) < len(words):
        raise ArgumentError(
            f"--subject: {text!r} is not ISSUER CLAIM=VALUE, such as "
            "'cluster sub=system:serviceaccount:shop:orders'; put it in quotes"
        )
    return Subject(issuer=issuer, claims=claims)


def _parse_identity(text: str) -> str:
    try:
        check_identity(text)
    except ValueError as error:
        raise ArgumentError(f"--identity: {text!r} {error}") from None
    return text


def _check_free(identities: Iterable[str], table: AccessTable) -> None:
    for entry in table.entries.values():
        for identity in identities:
            if identity in entry.identities:
                raise ArgumentError(f"--identity: {identity!r} belongs to {entry.name!r} already")


def _check_issuers(subjects: Iterable[Subject], table: AccessTable) -> None:
    for subject in subjects:
        if subject.issuer not in table.issuers:
            known = ", ".join(table.issuers) or "none"
            raise ArgumentError(
                f"--subject: the file has no issuer {subject.issuer!r}; it has: {known}. Write "
                f"[issuers.{subject.issuer}] into it first"
            )


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
        click.Option(
            ["--subject", "subjects"],
            metavar="SUBJECT",
            multiple=True,
            help="Whose JSON Web Tokens sign in as the principal; may be repeated.",
        ),
        click.Option(
            ["--identity", "identities"],
            metavar="IDENTITY",
            multiple=True,
            help="How a trusted proxy names the principal; may be repeated.",
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
