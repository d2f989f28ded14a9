"""Canonical names of properties, and the names of their environment variables."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyfly.config_core.property_names import (
    below,
    canonical,
    elements,
    folded,
    join,
    quoted,
    snake_variable,
    variable,
    without_prefix,
)

KEYS = st.text(alphabet="aAb.-_[]01é", max_size=12)


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("", [("", False)]),
        ("a.b", [("a", False), ("b", False)]),
        ("a..b", [("a", False), ("", False), ("b", False)]),
        ("a.", [("a", False), ("", False)]),
        ("a[0]", [("a", False), ("0", True)]),
        ("[0].a", [("0", True), ("a", False)]),
        ("a[0][x.y]", [("a", False), ("0", True), ("x.y", True)]),
        ("a[0].", [("a", False), ("0", True), ("", False)]),
        ("a[b[c]d].e", [("a", False), ("b[c]d", True), ("e", False)]),
        ("a[]", [("a", False), ("", True)]),
        ("a[0]b", [("a", False), ("0", True), ("b", False)]),
        ("a[", [("a[", False)]),
        ("a].b", [("a]", False), ("b", False)]),
        ("[.a", [("[", False), ("a", False)]),
    ],
)
def test_a_key_is_split_at_dots_and_brackets(key: str, parts: list[tuple[str, bool]]) -> None:
    assert elements(key) == parts
    assert canonical(join(parts)) == canonical(key)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("db.pool-size", "DB.poolSize", True),
        ("db.pool_size", "db.pool--size", True),
        ("hosts[0]", "hosts.0", True),
        ("m[a]", "m.a", True),
        ("m[A]", "m.a", False),
        ("m[a-b]", "m.ab", False),
        ("m[a.b]", "m.a.b", False),
        ("db.pool.size", "db.poolsize", False),
        ("a./b", "a.b", False),
        ("a.-", "a._", False),
        ("straße", "STRASSE", False),
        ("ΑΣ.b[0]", "ας.b.0", True),
        ("ΑΣ.b", "ας.b", True),
    ],
)
def test_which_keys_are_one(one: str, other: str, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same


@pytest.mark.parametrize(
    ("key", "spring", "snake"),
    [
        ("db.url", "DB_URL", "DB_URL"),
        ("db.pool-size", "DB_POOLSIZE", "DB_POOL_SIZE"),
        ("db.poolSize", "DB_POOLSIZE", "DB_POOL_SIZE"),
        ("db.pool_size", "DB_POOL_SIZE", "DB_POOL_SIZE"),
        ("app.httpURLPath", "APP_HTTPURLPATH", "APP_HTTP_URL_PATH"),
        ("app.http2Port", "APP_HTTP2PORT", "APP_HTTP2_PORT"),
        ("hosts[0]", "HOSTS_0", "HOSTS_0"),
        ("dbs[0].poolSize", "DBS_0_POOLSIZE", "DBS_0_POOL_SIZE"),
        ("m[app.io/my-name]", "M_APP_IO_MYNAME", "M_APP_IO_MY_NAME"),
    ],
)
def test_names_of_variables(key: str, spring: str, snake: str) -> None:
    assert (variable(key), snake_variable(key)) == (spring, snake)


@settings(max_examples=3 * settings().max_examples)
@given(KEYS)
@example("a[0].-[1]")
@example("-[0]")
@example("a[0]b")
@example("ΑΣ.b")
def test_the_canonical_name_is_made_of_the_elements(key: str) -> None:
    forms = (quoted(name) if in_brackets else folded(name) for name, in_brackets in elements(key))
    assert canonical(key) == ".".join(forms)


@settings(max_examples=3 * settings().max_examples // 2)
@given(KEYS)
def test_names_are_stable(key: str) -> None:
    parts = elements(key)
    assert canonical(key).count(".") + 1 == len(parts)
    assert canonical(join(parts)) == canonical(key)
    for count in range(1, len(parts)):
        head, rest = join(parts[:count]), without_prefix(key, count)
        if head:  # an empty prefix is none
            assert canonical(below(head, rest)) == canonical(key)
