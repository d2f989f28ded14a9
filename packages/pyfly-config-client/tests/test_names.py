"""Canonical names, and that every look-up agrees on them for keys of any form."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfly.config_client._mapping import ConfigMetadata
from pyfly.config_client._merging import list_of, lists_in, merge_sources
from pyfly.config_client._names import (
    below,
    canonical,
    elements,
    join,
    snake_variable,
    variable,
    without_prefix,
)
from pyfly.config_client._properties import read_properties
from pyfly.config_core import PropertySource

KEYS = st.text(alphabet="aAb.-_[]01é", max_size=12)
SOURCES = st.lists(st.dictionaries(KEYS, st.integers(0, 9), max_size=6), max_size=3)
QUICK = settings(max_examples=150, deadline=None)


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


@QUICK
@given(KEYS)
def test_names_are_stable(key: str) -> None:
    parts = elements(key)
    assert canonical(key).count(".") + 1 == len(parts)
    assert canonical(join(parts)) == canonical(key)
    for count in range(1, len(parts)):
        head, rest = join(parts[:count]), without_prefix(key, count)
        if head:  # an empty prefix is none
            assert canonical(below(head, rest)) == canonical(key)


@QUICK
@given(SOURCES)
def test_every_look_up_agrees(sources: list[dict[str, int]]) -> None:
    named = [PropertySource(name=f"s{n}", source=dict(one)) for n, one in enumerate(sources)]
    properties = read_properties(named, ConfigMetadata(), environ={})
    assert len(properties) == len({canonical(key) for key in properties})
    assert properties == dict(properties)
    assert isinstance(properties.tree(), dict)
    for key, value in properties.items():
        node = properties.root.find(canonical(key))
        assert node is not None
        assert (node.value, properties.get(key, int), value) == (value, value, value)
        if "[" not in key:
            assert properties[key.swapcase()] == value
        assert properties.explain(key).winner.source in {one.name for one in named}
        parts = elements(key)
        if len(parts) > 1 and parts[0][0]:
            rest = join(parts[1:])
            assert properties.section(join(parts[:1])).get(rest) == value


@QUICK
@given(SOURCES)
def test_the_highest_source_wins_and_lists_are_whole(sources: list[dict[str, int]]) -> None:
    merged = merge_sources(sources)
    lists = lists_in(sources)

    def group(key: str) -> str:
        outer = list_of(canonical(key), lists)
        return canonical(key) if outer is None else outer

    highest: dict[str, int] = {}
    for number, source in enumerate(sources):
        for key in source:
            highest.setdefault(group(key), number)
    for key, value in merged.values.items():
        assert sources[highest[group(key)]][key] == value
    assert {group(key) for key in merged.values} == highest.keys()
