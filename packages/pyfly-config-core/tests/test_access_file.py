"""The access file: what it says, and what is wrong with it."""

import hashlib
import json
import re
import tomllib
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from pyfly.config_core import ConfigFormatError, ConfigKey
from pyfly.config_server.access import OpenedFile, Right
from pyfly.config_server.access.access_file import (
    MAX_ACCESS_FILE_BYTES,
    AccessTable,
    access_file_schema,
    parse_access_file,
)
from pyfly.config_server.access.tokens import digest_of, make_token

TOKEN = make_token()
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
OTHER = "0" * 64
ENTRY = f"[[principals.a.tokens]]\nid = 'x'\nsha256 = '{DIGEST}'\n"
NOW = datetime(2026, 11, 27, 19, tzinfo=UTC).timestamp()


def parse(text: str, **options: Any) -> AccessTable:
    return parse_access_file(text.encode(), where="access.toml", **options)


def test_a_file_gives_principals_their_rules_and_tokens() -> None:
    table = parse(
        f"""
        [principals.orders]
        rules = [
            {{ rights = ["read", "inspect"], on = "orders/*/*" }},
            {{ rights = ["files"], on = "*/*/main", files = "orders/**" }},
        ]
        [[principals.orders.tokens]]
        id = "first"
        sha256 = "{DIGEST.upper()}"
        created = 2026-01-01T00:00:00Z
        expires = 2027-01-01T00:00:00+01:00
        [[principals.orders.tokens]]
        id = "second"
        sha256 = "{OTHER}"

        [principals."team@example.org"]
        active = false
        """
    )
    assert [*table.entries] == ["orders", "team@example.org"]
    entry = table.entries["orders"]
    assert [token.id for token in entry.tokens] == ["first", "second"]
    assert entry.tokens[0].expires == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert not table.entries["team@example.org"].is_active
    found = table.find(digest_of(TOKEN.encode()), now=NOW)
    assert found is not None
    principal = found.principal
    assert (found.name, principal.name) == (b"orders", "orders")
    key = ConfigKey(application="orders", profile="prod", label="main")
    assert principal.may(Right.READ, key)
    assert not principal.may(Right.WRITE, key)
    assert principal.may(Right.FILES, OpenedFile(label="main", path="orders/a.conf"))
    assert table.find(bytes(32), now=NOW) is not None
    assert table.find(digest_of(b"other"), now=NOW) is None


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        ("", True),
        ("active = true", True),
        ("active = false", False),
        ("expires = 2026-11-27T19:00:01Z", True),
        ("expires = 2026-11-27T19:00:00Z", False),
        ("expires = 2026-11-27T20:00:00+01:00", False),
    ],
)
def test_an_inactive_or_expired_principal_has_no_tokens(text: str, is_known: bool) -> None:
    table = parse(f"[principals.a]\n{text}\n{ENTRY}")
    assert (table.find(bytes.fromhex(DIGEST), now=NOW) is not None) is is_known


def test_a_token_ends_at_its_expiry_although_its_principal_goes_on() -> None:
    table = parse(f"{ENTRY}expires = 2026-11-27T19:00:00Z")
    assert table.find(bytes.fromhex(DIGEST), now=NOW - 0.001) is not None
    assert table.find(bytes.fromhex(DIGEST), now=NOW) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no principal; add one with 'pyfly-config access add'"),
        ("[principals]", "there is no principal"),
        ("principals = 1", "principals: must be a table"),
        ("a = 1", "a: there is no such key; known are: principals"),
        ("[principals.a\n", "is not TOML: .*at line 1, column 14"),
        ("principals.a = 1", "principals.a: must be a table"),
        ("principals.a.rule = []", "principals.a.rule: there is no such key; known are: active"),
        ("principals.a.active = 1", "principals.a.active: must be true or false"),
        ("principals.a.expires = 2027-01-01", r"principals.a.expires: must be a time with an off"),
        ("principals.a.expires = '2027-01-01T00:00:00Z'", "must be a time .* without quotes"),
        ("principals.a.expires = 9999-12-31T23:00:00-02:00", r"a.expires: is out of range in UTC"),
        ("principals.a.expires = 2027-01-01T00:00:00", "must be a time with an offset"),
        ("principals.'a:b' = {}", 'principals."a:b": a principal\'s name has at most 128'),
        ('principals."\\u001b" = {}', r"principals.'\\x1b': a principal's name has"),
        ("principals.shared-token = {}", "principals.shared-token: the shared credential has"),
        ("principals.admin = {}", "principals.admin: the shared credential has this name"),
        ("principals.a.rules = {}", "principals.a.rules: must be a list"),
        ("principals.a.rules = ['read']", r"principals.a.rules\[0\]: must be a table"),
        ("principals.a.rules = [{on = 'a/b/c'}]", r"principals.a.rules\[0\].rights: is missing"),
        ("principals.a.rules = [{rights = ['read']}]", r"rules\[0\].on: is missing"),
        ("principals.a.rules = [{rights = ['red'], on = 'a/b/c'}]", r"rules\[0\]: unknown right"),
        ("principals.a.rules = [{rights = [1], on = 'a/b/c'}]", r"rights\[0\]: must be a text"),
        ("principals.a.rules = [{rights = ['read'], on = 'a'}]", r"rules\[0\]: the pattern 'a'"),
        ("principals.a.rules = [{rights = ['files'], on = 'a/b/c'}]", r"rules\[0\]: .*'files'"),
        ("principals.a.tokens = 1", "principals.a.tokens: must be a list"),
        ("principals.a.tokens = [1]", r"principals.a.tokens\[0\]: must be a table"),
        ("principals.a.tokens = [{}]", r"principals.a.tokens\[0\].id: must be 1 to 32"),
        ("principals.a.tokens = [{id='x', token='y'}]", r"tokens\[0\].token: there is no such"),
        ("principals.a.tokens = [{id='x', sha256='12'}]", r"tokens\[0\].sha256: must be the SHA"),
        pytest.param(
            f"principals.a.tokens = [{{id='x', sha256='{OTHER}'}}, {{id='x', sha256='{DIGEST}'}}]",
            r"principals.a.tokens\[1\].id: another token of the principal has this id",
            id="one-id-twice",
        ),
        pytest.param(
            f"principals.b.tokens = [{{id='y', sha256='{DIGEST}'}}]\n{ENTRY}",
            r"principals.a.tokens\[0\].sha256: is the token of principals.b.tokens\[0\]",
            id="one-token-twice",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigFormatError, match=f"access.toml: .*{message}"):
        parse(text, reserved=frozenset({"admin"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'CN=a'", r"a.identities: must be a list"),
        ("[1]", r"a.identities\[0\]: must be a text"),
        ("['CN=a', '']", r"a.identities\[1\]: must be printable ASCII"),
        ("[' CN=a']", "without blanks at its ends"),
        ("['CN=ä']", "must be printable ASCII"),
        ("['CN=a, O=b']", "has a comma with a blank"),
        (f"['{'a' * 1025}']", "is longer than 1,024 characters"),
        ("['CN=a', 'CN=a']", r"a.identities\[1\]: is the same as principals.a.identities\[0\]"),
        ("['CN=b']", r"a.identities\[0\]: is the same as principals.b.identities\[0\]"),
    ],
)
def test_an_identity_that_no_proxy_could_send_or_of_two_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigFormatError, match=message):
        parse(f"principals.b.identities = ['CN=b']\nprincipals.a.identities = {text}")


def test_no_error_shows_what_may_be_a_secret() -> None:
    for text in (
        f"[[principals.a.tokens]]\nid = 'x'\nsha256 = '{TOKEN}'",
        f"[[principals.a.tokens]]\nid = '{TOKEN} '\nsha256 = '{DIGEST}'",
        f"[[principals.a.tokens]]\nid = '{TOKEN}\n",
        f"principals.a.active = '{TOKEN}'",
        f"principals.a.expires = '{TOKEN}'",
    ):
        with pytest.raises(ConfigFormatError) as caught:
            parse(text)
        assert TOKEN not in str(caught.value)
    assert DIGEST not in repr(parse(ENTRY).entries)
    assert repr(bytes.fromhex(DIGEST)) not in repr(parse(ENTRY).entries)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "is not UTF-8"),
        (b"a = " + b"[" * 100_000, "is nested too deeply|is not TOML"),
        (b"#" * (MAX_ACCESS_FILE_BYTES + 1), "is larger than 8,388,608 bytes"),
    ],
)
def test_other_bytes_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ConfigFormatError, match=message):
        parse_access_file(data, where="access.toml")


ISSUER = "principals.a = {}\n[issuers.i]\nissuer = 'https://i'\naudiences = ['a']\n"


def subject(claims: str) -> str:
    return (
        "issuers.i = {issuer = 'https://i', audiences = ['a'], keys-file = 'k'}\n"
        f"principals.a.subjects = [{{issuer = 'i', claims = {{{claims}}}}}]"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{ISSUER}keys-url = 'http://i/keys'", "must begin with https://"),
        (f"{ISSUER}keys-url = 'file:///etc/passwd'", "is not a URL with a host"),
        (f"{ISSUER}keys-url = 'ftp://i/keys'", "must begin with https://"),
        (f"{ISSUER}keys-url = 'https://u:s3cr3t@i/keys'", "use token-file"),
        (f"{ISSUER}keys-url = 'https://i:x/keys'", "is not a URL with a host"),
        (f"{ISSUER}keys-url = 'https://i/keys a'", "is not a URL with a host"),
        (
            f"{ISSUER}keys-file = 'k'\n"
            "[issuers.j]\nissuer = 'https://i'\naudiences = ['b']\nkeys-file = 'l'",
            "another issuer has it",
        ),
        (subject("sub = 'x'").replace("'i', claims", "'j', claims"), "names no issuer"),
        (subject(""), "every token of the issuer would count"),
    ],
)
def test_what_is_wrong_about_issuers_is_named(text: str, reason: str) -> None:
    with pytest.raises(ConfigFormatError, match=re.escape(reason)) as caught:
        parse(text)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        pytest.param(ENTRY, True, id="a-token"),
        ("principals.a.rules = [{rights = ['read'], on = 'a/b/c'}]", True),
        ("principals.a.active = false", True),
        ("principals.'a:b' = {}", False),
        ("principals.a.rule = []", False),
        ("principals.a.rules = [{rights = ['red'], on = 'a/b/c'}]", False),
        ("principals.a.rules = [{rights = ['read']}]", False),
        ("principals.a.tokens = [{id = 'x', sha256 = '12'}]", False),
        ("a = 1", False),
        (f"{ISSUER}keys-url = 'https://i/keys'", True),
        (f"{ISSUER}keys-file = 'keys.json'\nalgorithms = ['ES512', 'EdDSA']", True),
        (f"{ISSUER}keys-file = 'keys.json'\nkeys-url = 'https://i/keys'", False),
        (ISSUER, False),
        (f"{ISSUER}keys-file = 'keys.json'\nca-file = 'ca.pem'", False),
        (f"{ISSUER}keys-file = 'keys.json'\nalgorithms = ['HS256']", False),
        (f"{ISSUER}keys-file = 'keys.json'\nalgorithms = ['none']", False),
        (f"{ISSUER}keys-file = ''", False),
        (f"{ISSUER}keys-file = 'keys.json'\nkeys = 1", False),
        ("principals.a = {}\nissuers.i = {audiences = ['a'], keys-file = 'k'}", False),
        ("principals.a = {}\nissuers.i = {issuer = 'i', keys-file = 'k'}", False),
        ("principals.a = {}\nissuers.i = {issuer='i', audiences=[], keys-file='k'}", False),
        ("principals.a.identities = ['CN=a,O=b', '/O=b/CN=a', 'O=Foo\\, Inc']", True),
        ("principals.a.identities = ['CN=a, O=b']", False),
        ("principals.a.identities = ['O=Foo\\\\, Inc']", False),
        ("principals.a.identities = ['']", False),
        ("principals.a.identities = ['CN=ä']", False),
        (f"principals.a.identities = ['{'a' * 1025}']", False),
        ("principals.a.identities = [1]", False),
        (subject("sub = 'x'"), True),
        (subject("realm = {roles = 'ops'}, verified = true"), True),
        (subject(""), False),
        (subject("realm = {}"), False),
        (subject("sub = 1"), False),
        (subject("sub = ['x']"), False),
    ],
)
def test_an_editor_marks_what_the_server_would_refuse(text: str, fits: bool) -> None:
    schema: Any = access_file_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(json.dumps(tomllib.loads(text), default=str))
    assert jsonschema.Draft202012Validator(schema).is_valid(document) is fits
    try:
        parse(text)
    except ConfigFormatError:
        assert not fits
    else:
        assert fits
