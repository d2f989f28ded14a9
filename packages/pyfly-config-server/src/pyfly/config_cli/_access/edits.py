"""Changes of the text of an access file, which keep comments and order. Pure.

A change is made twice, in the text and in the values that the text means. The text is parsed
again and compared, so that no form of TOML that a person has chosen is changed wrongly.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from pyfly.config_cli._errors import ArgumentError
from pyfly.config_core import ConfigFormatError
from pyfly.config_server.access import Right, Rule
from pyfly.config_server.access.access_file import AccessEntry, StoredToken, parse_access_file
from pyfly.config_server.access.issuers import Subject

_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_Entries = dict[str, AccessEntry]


def with_principal(text: str, entries: Mapping[str, AccessEntry], new: AccessEntry) -> str:
    """Return the text with a new principal at its end.

    Args:
        text: The text of the file; empty for a new file.
        entries: The principals that it means.
        new: The new principal.

    Raises:
        ArgumentError: The text has a form that the command cannot change.
    """
    key = new.name if _PLAIN.issuperset(new.name) else f'"{new.name}"'
    lines = [
        f"[principals.{key}]",
        *_array("rules", [_rule_text(rule) for rule in new.principal.rules]),
        *_array("tokens", [_token_text(token) for token in new.tokens]),
    ]
    if new.subjects:
        lines += _array("subjects", [_subject_text(subject) for subject in new.subjects])
    if new.identities:
        lines += _array("identities", [json.dumps(identity) for identity in new.identities])
    if new.expires is not None:
        lines.insert(1, f"expires = {_moment_text(new.expires)}")
    before = text.rstrip("\n")
    changed = "\n".join([*([before, ""] if before else []), *lines, ""])
    return _checked(changed, {**entries, new.name: new})


def with_token(text: str, entry: AccessEntry, entries: Mapping[str, AccessEntry]) -> str:
    """Return the text with a principal whose last token is new, and whose others may end earlier.

    Raises:
        ArgumentError: The text has a form that the command cannot change.
    """
    *older, new = entry.tokens
    ends = {token.id: token.expires for token in older}

    def change(table: Any) -> None:
        for old in table.get("tokens", []):
            moment = ends[old["id"]]
            if moment is not None and old.get("expires") != moment:
                old["expires"] = tomlkit.value(_moment_text(moment))
        _append_token(table, new)

    return _edited(text, entry, entries, change)


def without_tokens(
    text: str, entry: AccessEntry, entries: Mapping[str, AccessEntry], ids: Collection[str]
) -> str:
    """Return the text without some tokens of a principal.

    Raises:
        ArgumentError: The text has a form that the command cannot change.
    """
    left = tuple(token for token in entry.tokens if token.id not in ids)

    def change(table: Any) -> None:
        tokens = table["tokens"]
        for position in reversed(range(len(tokens))):
            if tokens[position]["id"] in ids:
                if isinstance(tokens, AoT):
                    before = tokens[position - 1] if position else None
                    _move_comments(tokens[position], before or table)
                del tokens[position]
        if isinstance(tokens, AoT) and not tokens:
            del table["tokens"]

    return _edited(text, replace(entry, tokens=left), entries, change)


def with_activity(text: str, entry: AccessEntry, entries: Mapping[str, AccessEntry]) -> str:
    """Return the text with a principal that is active or not.

    Raises:
        ArgumentError: The text has a form that the command cannot change.
    """

    def change(table: Any) -> None:
        table["active"] = entry.is_active

    return _edited(text, entry, entries, change)


def _edited(
    text: str,
    entry: AccessEntry,
    entries: Mapping[str, AccessEntry],
    change: Callable[[Any], None],
) -> str:
    """Return the text after a change of one principal that makes it mean `entry`."""
    try:
        document: Any = tomlkit.parse(text)
        change(document["principals"][entry.name])
        changed = tomlkit.dumps(document)
    except (TOMLKitError, KeyError, TypeError, ValueError):
        raise _unchangeable() from None
    return _checked(changed, {**entries, entry.name: entry})


def _checked(changed: str, expected: Mapping[str, AccessEntry]) -> str:
    try:
        found = parse_access_file(changed.encode(), where="").entries
    except ConfigFormatError:
        raise _unchangeable() from None
    if [*map(_meaning, found.values())] != [*map(_meaning, expected.values())]:
        raise _unchangeable()
    return changed


def _meaning(entry: AccessEntry) -> tuple[object, ...]:
    ways = entry.tokens, entry.subjects, entry.identities
    return entry.name, entry.principal.rules, entry.is_active, entry.expires, *ways


def _unchangeable() -> ArgumentError:
    return ArgumentError(
        "the access file has a form that the command cannot change; nothing was written. Write "
        "each principal as a table [principals.NAME] of its own, or make the change by hand"
    )


def _append_token(table: Any, token: StoredToken) -> None:
    new: Any = tomlkit.value(_token_text(token))
    if "tokens" not in table:
        table["tokens"] = tomlkit.array().multiline(multiline=True)
    tokens: Any = table["tokens"]
    if isinstance(table["tokens"], AoT):
        rows: Any = tomlkit.table()
        rows.update(new)
        _move_comments(tokens[-1], rows)
        new = rows
    tokens.append(new)


def _move_comments(source: Any, target: Any) -> None:
    """Move what stands behind the last key of a table: it belongs to what follows the table."""
    body = source.value.body
    count = 0
    while count < len(body) and body[-1 - count][0] is None:
        count += 1
    if count:
        moved = [item for _, item in body[-count:]]
        del body[-count:]
        for item in moved:
            target.add(item)


def _array(key: str, items: Sequence[str]) -> list[str]:
    if not items:
        return [f"{key} = []"]
    return [f"{key} = [", *(f"    {item}," for item in items), "]"]


def _rule_text(rule: Rule) -> str:
    rights = ", ".join(f'"{right.value}"' for right in Right if right in rule.rights)
    files = "" if rule.files is None else f', files = "{rule.files}"'
    return f'{{ rights = [{rights}], on = "{rule.on}"{files} }}'


def _token_text(token: StoredToken) -> str:
    moments = [
        f", {key} = {_moment_text(moment)}"
        for key, moment in (("created", token.created), ("expires", token.expires))
        if moment is not None
    ]
    return f'{{ id = "{token.id}", sha256 = "{token.digest.hex()}"{"".join(moments)} }}'


def _subject_text(subject: Subject) -> str:
    claims = ", ".join(
        f"{_toml(claim)} = {_toml(value)}" for claim, value in subject.claims.items()
    )
    return f'{{ issuer = "{subject.issuer}", claims = {{ {claims} }} }}'


def _toml(value: object) -> str:
    """Return a text, `true` or `false` in TOML, which has the escapes of JSON and one more."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")


def _moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
