"""Changes of a text that people write: comments, order and spacing stay."""

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfly.config_cli._access.edits import (
    with_activity,
    with_principal,
    with_token,
    without_tokens,
)
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_server.access import Principal, Rule
from pyfly.config_server.access.access_file import AccessEntry, StoredToken, parse_access_file

TEXT = f"""\
# Everybody who may read.

[principals.orders] # the shop
rules = [
    # its own documents
    {{ rights = ["read"], on = "orders/*/*" }}, # all profiles
]
tokens = [
    {{ id = "a", sha256 = "{"0" * 64}" }}, # the old one
    {{ id = "b", sha256 = "{"1" * 64}", expires = 2027-01-01T00:00:00Z }},
]

# --- people

[principals."ann@example.org"]
active   = true
[[principals."ann@example.org".tokens]]
id = "c" # laptop
sha256 = "{"2" * 64}"

[[principals."ann@example.org".tokens]]
id = "d"
sha256 = "{"3" * 64}"

# billing comes last
[principals.billing]
"""
MOMENT = datetime(2028, 2, 29, 12, tzinfo=UTC)
TOKEN = StoredToken(id="new", digest=bytes(32 * [7]), created=MOMENT, expires=MOMENT)


def entries_of(text: str) -> Mapping[str, AccessEntry]:
    return parse_access_file(text.encode(), where="").entries


def comments(text: str) -> Counter[str]:
    return Counter(line.partition("#")[2] for line in text.splitlines() if "#" in line)


def new_entry(name: str = "new") -> AccessEntry:
    rules = (
        Rule.parse(rights=["read", "inspect"], on="new/*/*"),
        Rule.parse(rights=["files"], on="*/*/*", files="new/**"),
    )
    return AccessEntry(name=name, principal=Principal(name=name, rules=rules), tokens=(TOKEN,))


def test_a_new_principal_comes_last() -> None:
    text = with_principal(TEXT, entries_of(TEXT), new_entry())
    assert text == (
        TEXT
        + f"""
[principals.new]
rules = [
    {{ rights = ["read", "inspect"], on = "new/*/*" }},
    {{ rights = ["files"], on = "*/*/*", files = "new/**" }},
]
tokens = [
    {{ id = "new", sha256 = "{"07" * 32}", created = 2028-02-29T12:00:00Z, expires = 2028-02-29T12:00:00Z }},
]
"""  # noqa: E501 - as it is written
    )
    assert [*entries_of(text)] == ["orders", "ann@example.org", "billing", "new"]


def test_a_new_file_has_its_first_principal() -> None:
    text = with_principal("", {}, new_entry("a.b"))
    assert text.startswith('[principals."a.b"]\nrules = [\n')


def test_a_token_is_added_in_the_form_of_the_others() -> None:
    entries = entries_of(TEXT)
    line = f'    {{ id = "new", sha256 = "{"07" * 32}", created = 2028-02-29T12:00:00Z, '
    for name in ("orders", "ann@example.org", "billing"):
        entry = replace(entries[name], tokens=(*entries[name].tokens, TOKEN))
        text = with_token(TEXT, entry, entries)
        assert comments(text) == comments(TEXT)
        assert [token.id for token in entries_of(text)[name].tokens][-1] == "new"
        assert (line in text) is (name != "ann@example.org")
        if name == "ann@example.org":
            assert text.index('id = "new"') < text.index("# billing comes last")


def test_older_tokens_may_end_earlier() -> None:
    entries = entries_of(TEXT)
    older = [replace(token, expires=MOMENT) for token in entries["orders"].tokens]
    text = with_token(TEXT, replace(entries["orders"], tokens=(*older, TOKEN)), entries)
    assert comments(text) == comments(TEXT)
    assert {token.expires for token in entries_of(text)["orders"].tokens} == {MOMENT}


@pytest.mark.parametrize(
    ("name", "ids", "lost"),
    [
        ("orders", {"a"}, [" the old one"]),
        ("orders", {"b"}, []),
        ("orders", {"a", "b"}, [" the old one"]),
        ("ann@example.org", {"c"}, [" laptop"]),
        ("ann@example.org", {"d"}, []),
        ("ann@example.org", {"c", "d"}, [" laptop"]),
    ],
)
def test_a_token_is_removed_with_its_own_comment_only(
    name: str, ids: set[str], lost: list[str]
) -> None:
    entries = entries_of(TEXT)
    text = without_tokens(TEXT, entries[name], entries, ids)
    assert comments(TEXT) - comments(text) == Counter(lost)
    assert {token.id for token in entries_of(text)[name].tokens}.isdisjoint(ids)
    assert entries_of(text).keys() == entries.keys()


def test_activity_is_one_line() -> None:
    entries = entries_of(TEXT)
    for name, entry in entries.items():
        text = with_activity(TEXT, replace(entry, is_active=False), entries)
        assert comments(text) == comments(TEXT)
        changed = {*text.splitlines()} ^ {*TEXT.splitlines()}
        assert changed == (
            {"active   = false", "active   = true"} if "@" in name else {"active = false"}
        )


@pytest.mark.parametrize(
    "text",
    [
        "principals = { a = { active = true } }\n",
        "principals.a.active = true\n",
        "principals.a = { active = true }\n",
        "[principals]\na.active = true\n",
        "[principals]\na = {}\n[principals.b]\n",
        "[principals.a]\r\nactive = true\r\n",
    ],
)
def test_what_cannot_be_changed_is_refused_and_everything_else_is_right(text: str) -> None:
    """Whatever form a file has: the new text means the change and nothing else."""
    entries = entries_of(text)
    entry = entries["a"]
    changes = [
        lambda: (
            with_principal(text, entries, new_entry()),
            {**entries, "new": new_entry()},
        ),
        lambda: (
            with_token(text, replace(entry, tokens=(TOKEN,)), entries),
            {**entries, "a": replace(entry, tokens=(TOKEN,))},
        ),
        lambda: (
            with_activity(text, replace(entry, is_active=False), entries),
            {**entries, "a": replace(entry, is_active=False)},
        ),
    ]
    for change in changes:
        try:
            changed, expected = change()
        except ArgumentError as error:
            assert "nothing was written" in str(error)
            continue
        found = entries_of(changed)
        assert [one.tokens for one in found.values()] == [one.tokens for one in expected.values()]
        assert [one.is_active for one in found.values()] == [
            one.is_active for one in expected.values()
        ]


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,8}", fullmatch=True).filter(
    lambda name: name != "shared-token"
)


@given(st.lists(names, min_size=1, max_size=5, unique=True), st.data())
def test_any_principals_come_and_go(given_names: list[str], data: st.DataObject) -> None:
    text, numbers = "", itertools.count()
    for name in given_names:
        token = replace(TOKEN, digest=next(numbers).to_bytes(32, "big"))
        text = with_principal(
            text, entries_of(text) if text else {}, replace(new_entry(name), tokens=(token,))
        )
    for _ in range(4):
        entries = entries_of(text)
        entry = entries[data.draw(st.sampled_from(given_names))]
        match data.draw(st.sampled_from(["token", "revoke", "activity"])):
            case "token":
                number = next(numbers)
                token = replace(TOKEN, id=str(number), digest=number.to_bytes(32, "big"))
                text = with_token(text, replace(entry, tokens=(*entry.tokens, token)), entries)
            case "revoke":
                text = without_tokens(text, entry, entries, {one.id for one in entry.tokens[:1]})
            case _:
                text = with_activity(text, replace(entry, is_active=not entry.is_active), entries)
    assert [*entries_of(text)] == given_names
