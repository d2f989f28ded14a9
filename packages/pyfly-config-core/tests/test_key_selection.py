"""Which keys a selection has, and what is left of a document."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyfly.config_core import Environment, InvalidConfigKeyError, PropertySource
from pyfly.config_core.limits import MAX_SELECTED_KEY_LENGTH, MAX_SELECTED_KEYS
from pyfly.config_core.property_names import Element, elements, folded
from pyfly.config_server.composition import Extension, KeySelection, render, select_keys

NAMES = st.sampled_from(
    ["a", "A-", "a.b", "a.*", "*", "b_.a", "a[0]", "a[b.*]", "a.b.*", "b[A].*", "a[,]", "é.a.0"]
)
KEYS = st.text(alphabet="aAb.-_[]0*,éΣ", max_size=10)


def parsed(text: str) -> KeySelection:
    return KeySelection.parse(text)


@pytest.mark.parametrize(
    ("name", "selected", "others"),
    [
        (
            "db",
            ["db", "db.url", "db[0]", "db.hosts[1].name", "DB.url", "d-b.url", "d_b", "db[a.b]"],
            ["", "d", "dbs", "dbs.url", "x.db", "[db.x]", "db[", "b"],
        ),
        ("db.*", ["db.url", "DB[0]", "db.a.b"], ["db", "dbs", "x.db.y"]),
        ("*", ["a", "a.b", "[1]", "", "a..b", "m[a.b"], []),
        (
            "db.pool-size",
            ["db.pool-size", "db.poolSize", "DB.POOL_SIZE", "db.poolsize.max", "db[poolsize]"],
            ["db", "db.pool", "db.pool.size", "db.url", "db[pool-size]", "db[poolSize]"],
        ),
        ("hosts[1]", ["hosts[1]", "hosts.1", "hosts[1].name"], ["hosts", "hosts[10]", "hosts[0]"]),
        ("hosts[1].*", ["hosts[1].name", "hosts.1[0]"], ["hosts[1]", "hosts[2].name"]),
        ("m[a.b]", ["m[a.b]", "m[a.b].c", "M[a.b]"], ["m.a.b", "m[A.b]", "m[a]", "m[a.bc]"]),
        ("paths[/**]", ["paths[/**]", "paths./**"], ["paths", "paths[/a]"]),
        ("m[a,b],c", ["m[a,b]", "c.d"], ["m", "b]", "m[a"]),
        ("[1]", ["[1]", "1.a"], ["[10]", "a[1]"]),
        ("a,b.c.*", ["a.x", "b.c.d"], ["b", "b.c", "b.d"]),
        ("straße", ["STRAßE.x"], ["strasse"]),
        ("a.__", ["a.__", "a.__.x"], ["a", "a.-", "a.b"]),
    ],
)
def test_which_keys_a_name_selects(name: str, selected: list[str], others: list[str]) -> None:
    keys = parsed(name)
    assert {key: keys.selects(key) for key in selected} == dict.fromkeys(selected, True)
    assert {key: keys.selects(key) for key in others} == dict.fromkeys(others, False)
    everything = dict.fromkeys(others + selected, 1)
    assert keys.select(everything) == dict.fromkeys(selected, 1)


def form(element: Element) -> str:
    name, in_brackets = element
    return name if in_brackets else folded(name)


def selects(name: str, key: str) -> bool:
    """The model: compare the elements of both, one after the other."""
    is_inside = name == "*" or name.endswith(".*")
    wanted = [] if name == "*" else [form(one) for one in elements(name.removesuffix(".*"))]
    found = [form(one) for one in elements(key)]
    longer = len(found) > len(wanted) or not is_inside
    return longer and found[: len(wanted)] == wanted


@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(KEYS, max_size=12, unique=True))
@example(["a"], ["a[", "a[.b", "a[.b]", "a].b", "-.a"])
@example(["Σ"], ["aΣ.b", "Σ.b", "σ.b", "ς[0]"])
@settings(max_examples=4 * settings().max_examples)
def test_a_selection_agrees_with_a_comparison_by_elements(
    names: list[str], keys: list[str]
) -> None:
    expected = [key for key in keys if any(selects(name, key) for name in names)]
    chosen = parsed(",".join(names)).select({key: number for number, key in enumerate(keys)})
    assert [*chosen] == expected
    assert [key for key in keys if parsed(",".join(names)).selects(key)] == expected
    assert all(keys[number] == key for key, number in chosen.items())


def test_one_selection_has_one_value() -> None:
    one, other = parsed("db.pool-size,Feature.*,x"), parsed("x,x,feature.*,DB.poolSize")
    assert (one, hash(one)) == (other, hash(other))
    assert one != parsed("db.pool-size,feature,x")
    assert parsed("feature.*") != parsed("feature")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "empty element") for text in ("", ",", "a,", ",a", "a,,b")),
        *((text, "before or behind a dot") for text in (".", "a.", ".a", "a..b", ".*", "a[0]..b")),
        *((text, "no counterpart") for text in ("a[", "a]", "[", "a[b,c", "a[b.*", "a]b[")),
        *((text, "part of a key") for text in ("a*", "**", "*.a", "a.*.b", "a.*.*", "a,*b")),
        *((text, "blank") for text in (" ", "a, b", "a ,b", "\u00a0a")),
        *((text, "control character") for text in ("a\0b", "m[a\nb]", "a\x7f", "\ufffd")),
        ("a" * (MAX_SELECTED_KEY_LENGTH + 1), "more than 1,024 characters"),
        (",".join(["a"] * (MAX_SELECTED_KEYS + 1)), "65 names, more than 64"),
    ],
)
def test_what_names_no_key_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidConfigKeyError) as caught:
        parsed(text)
    assert reason in str(caught.value)
    assert caught.value.field == "keys"
    assert len(str(caught.value)) < 300


def test_the_limits_themselves_are_allowed() -> None:
    names = [f"{'a' * (MAX_SELECTED_KEY_LENGTH - 2)}{n}" for n in range(10, 10 + MAX_SELECTED_KEYS)]
    keys = parsed(",".join(names))
    assert len(keys.trees) == MAX_SELECTED_KEYS
    assert keys.selects(names[-1])


HIGH = PropertySource(
    name="high",
    source={"db.url": "jdbc:${db.host}", "other": "${circle}", "hosts[0]": "x"},
    origins={"db.url": "1:2", "other": "2:3"},
)
LOW = PropertySource(
    name="low",
    source={"db.host": "h", "circle": "${circle}", "hosts[0]": "y", "hosts[1]": "z"},
)
WHOLE = Environment(
    name="orders",
    profiles=("prod",),
    label="main",
    version="7c1f",
    property_sources=(HIGH, LOW),
)


def test_every_source_stays_with_the_selected_keys_and_their_origins() -> None:
    assert select_keys(WHOLE, parsed("db.url")) == replace(
        WHOLE,
        version=None,
        property_sources=(
            PropertySource(
                name="high", source={"db.url": "jdbc:${db.host}"}, origins={"db.url": "1:2"}
            ),
            PropertySource(name="low", source={}),
        ),
    )


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        ("json", b'{"db":{"url":"jdbc:h"}}'),
        ("yml", b"db:\n  url: jdbc:h\n"),
        ("properties", b"db.url: jdbc:h"),
    ],
)
def test_values_are_those_of_the_whole_document(extension: Extension, text: bytes) -> None:
    assert render(WHOLE, extension, keys=parsed("db.url")) == text
    without = render(WHOLE, extension, keys=parsed("db.url"), resolve=False)
    assert b"${db.host}" in without


def test_lists_are_coalesced_before_keys_are_selected() -> None:
    assert render(WHOLE, "properties", keys=parsed("hosts[1]")) == b""
    assert render(WHOLE, "json", keys=parsed("hosts")) == b'{"hosts":["x"]}'
