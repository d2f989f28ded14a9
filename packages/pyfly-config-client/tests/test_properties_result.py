"""What a program does with what it has fetched."""

import enum
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from made_properties import PROD, SHARED, made

from pyfly.config_client import DataSize, MissingPropertyError, PropertyTypeError, apply_to_environ
from pyfly.config_client._changes import compare
from pyfly.config_core import FlatValue

# --- get ------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["db.pool-size", "db.poolSize", "db.pool_size", "DB_POOLSIZE"])
def test_every_spelling_of_a_name_finds_the_property(spelling: str) -> None:
    assert made({"db.pool-size": 5}).get(spelling) == 5
    assert made({"db.poolSize": 5}).get(spelling, int) == 5


@pytest.mark.parametrize("spelling", ["db.pool-size", "db.poolSize", "db.pool_size", "DB_POOLSIZE"])
def test_a_mapping_takes_every_spelling_and_counts_names(spelling: str) -> None:
    properties = made({"db.poolSize": 5}, {"db.pool-size": 1, "db.pool_size": 2})
    assert properties == {"db.poolSize": 5} == dict(properties)
    assert (spelling in properties, properties[spelling], len(properties)) == (True, 5, 1)
    assert properties == {"db.POOL-SIZE": 5} != {"db.poolSize": 6}
    assert properties != {"db.poolSize": 5, "db.pool-size": 5}
    assert properties != {"db.pool": 5}
    assert properties != 5
    assert "db.pool" not in properties
    with pytest.raises(KeyError):
        properties["db.pool"]


def test_of_several_spellings_that_of_the_highest_source_wins() -> None:
    properties = made({"db.poolSize": 9}, {"db.pool-size": 5})
    assert properties.get("db.pool-size", int) == 9
    assert str(properties.explain("db.pool-size")) == (
        f"db.poolSize comes from {PROD}, line 3, column 7\n"
        f"  instead of 'db.pool-size' in {SHARED}, line 3, column 7"
    )


def test_get_without_a_type_is_that_of_every_mapping() -> None:
    properties = made({"a": 1})
    assert (properties.get("a"), properties.get("b"), properties.get("b", 7)) == (1, None, 7)
    assert properties.get("b", default="x") == "x"
    assert properties.get("b", None) is None


class Level(enum.Enum):
    LOW = "low"
    VERY_HIGH = 9


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("8080", int, 8080),
        (8080, str, "8080"),
        (8.0, int, 8),
        ("1.5", float, 1.5),
        (True, str, "true"),
        ("yes", bool, True),
        ("OFF", bool, False),
        (1, bool, True),
        ("30s", timedelta, timedelta(seconds=30)),
        ("250ms", timedelta, timedelta(milliseconds=250)),
        ("1.5h", timedelta, timedelta(minutes=90)),
        ("7d", timedelta, timedelta(days=7)),
        ("PT1M30S", timedelta, timedelta(seconds=90)),
        ("-PT0.5S", timedelta, timedelta(seconds=-0.5)),
        ("P2DT3H", timedelta, timedelta(days=2, hours=3)),
        ("10MB", DataSize, 10 * 1024 * 1024),
        ("4KiB", DataSize, 4096),
        (512, DataSize, 512),
        ("low", Level, Level.LOW),
        ("very-high", Level, Level.VERY_HIGH),
        (9, Level, Level.VERY_HIGH),
        ("/etc/x", Path, Path("/etc/x")),
        ("0.10", Decimal, Decimal("0.10")),
        ("a, b", list[str], ["a", "b"]),
        ("1,2", tuple[int, ...], (1, 2)),
        ("1,x", tuple[int, str], (1, "x")),
        ("", list[str], []),
        (5, list[int], [5]),
        ("a,a", frozenset[str], frozenset({"a"})),
    ],
)
def test_values_are_converted(value: Any, wanted: Any, expected: Any) -> None:
    result = made({"key": value}).get("key", wanted)
    assert result == expected
    assert type(result) is type(expected) or wanted is DataSize


@pytest.mark.parametrize(
    ("value", "wanted", "said"),
    [
        ("marker", int, "is not int"),
        (True, int, "is not int"),
        (1.5, int, "is not int"),
        ("marker", bool, "is not bool"),
        ("30", timedelta, "with a unit"),
        (31, timedelta, "with a unit"),
        ("marker", timedelta, "with a unit"),
        ("P", timedelta, "with a unit"),
        ("10 marker", DataSize, "not a size"),
        ("marker", Level, "not one of LOW, VERY_HIGH"),
        ("marker", Decimal, "is not Decimal"),
        ("1,marker", list[int], r"'key\[1\]' is not int"),
        ("marker", dict[str, int], "is not a section"),
        ("1", tuple[int, int], "has 1 elements, not 2"),
    ],
)
def test_what_does_not_fit_is_an_error_without_the_value(
    value: Any, wanted: Any, said: str
) -> None:
    with pytest.raises(PropertyTypeError, match=said) as caught:
        made({"key": value}).get("key", wanted)
    assert "'key" in str(caught.value)
    assert "marker" not in str(caught.value)


def test_a_missing_property_is_an_error_with_a_type_unless_there_is_a_default() -> None:
    properties = made({"db.url": "x"})
    with pytest.raises(MissingPropertyError) as caught:
        properties.get("db.urk", str)
    assert str(caught.value) == "there is no property 'db.urk'; did you mean 'db.url'?"
    assert properties.get("db.urk", str, default=None) is None
    assert properties.get("db.urk", int, default=3) == 3


def test_lists_and_trees_are_put_together_from_indexed_keys() -> None:
    properties = made({"hosts[0]": "a", "hosts[1]": "b", "db.pool.size": 5, "db.pool.wait": "1s"})
    assert properties.get("hosts", list[str]) == ["a", "b"]
    assert properties.get("hosts[1]") == "b"
    assert properties.get("db.pool", dict[str, str]) == {"size": "5", "wait": "1s"}
    with pytest.raises(PropertyTypeError, match="more than one value"):
        properties.get("hosts", str)


# --- sections -------------------------------------------------------------------------


def test_a_section_is_what_lies_below_a_name() -> None:
    properties = made({"db.url": "u", "db.pool.size": 5, "dbx": 1, "db": 0}, {"db.url": "hidden"})
    section = properties.section("db")
    assert section == {"url": "u", "pool.size": 5}
    assert section.section("pool") == {"size": 5}
    assert properties.section("nothing") == {}
    assert [str(one) for one in section.explain("url").losers] == [f"{SHARED}, line 3, column 7"]
    assert section.name == "orders"


# --- placeholders ---------------------------------------------------------------------


def test_placeholders_are_resolved_against_the_environment_and_the_bundle() -> None:
    properties = made(
        {"url": "http://${host}:${port:80}/${missing}", "host": "bundle", "own": "${DB_HOST}"},
        {"port": 8080, "literal": r"\${host}", "flag": "${on}", "on": True},
        environ={"DB_HOST": "outside"},
    )
    assert properties["url"] == "http://bundle:8080/${missing}"
    assert (properties["own"], properties["literal"], properties["flag"]) == (
        "outside",
        "${host}",
        "true",
    )
    assert made({"a": "${db.host}", "db.host": "x"}, environ={"DB_HOST": "y"})["a"] == "y"


def test_placeholders_find_every_spelling_of_a_name() -> None:
    properties = made(
        {"db.pool-size": 2, "a": "${db.poolSize}", "b": "${db.pool_size}", "c": "${POOL_MAX:1}"},
        {"db.poolSize": 1, "d": "${app.poolMax}", "e": "${app.pool-max}"},
        environ={"APP_POOL_MAX": "9"},
    )
    assert [properties[key] for key in "abcde"] == ["2", "2", "1", "9", "9"]


def test_a_placeholder_that_leads_back_to_itself_harms_only_its_own_key() -> None:
    properties = made({"username": "${username}", "a.b": "${a.c}", "a.c": "${a.b}", "x.y": 1})
    assert (properties["x.y"], len(properties), "username" in properties) == (1, 4, True)
    assert list(properties) == ["username", "a.b", "a.c", "x.y"]
    assert properties.section("x") == {"y": 1}
    assert properties.section("x").tree() == {"y": 1}
    assert properties.bind("x", dict[str, int]) == {"y": 1}
    assert properties.origin("username").line == 3
    reads: list[Callable[[], object]] = [
        lambda: properties["username"],
        lambda: properties.get("userName"),
        lambda: properties.get("username", str),
        lambda: properties.get("username", str | None),
        lambda: properties.get("username", Any),
        lambda: properties.section(""),
    ]
    for read in reads[:-1]:
        with pytest.raises(PropertyTypeError, match="'username' cannot be resolved: the placeh"):
            read()
    wholes: list[Callable[[], object]] = [
        properties.tree,
        lambda: dict(properties),
        lambda: list(properties.values()),
        lambda: properties.section("a").tree(),
        lambda: properties.bind("a", dict[str, str]),
        lambda: properties == dict.fromkeys(properties, 1),
    ]
    for read in wholes:
        with pytest.raises(PropertyTypeError, match="cannot be resolved: the placeholder"):
            read()


def test_what_cannot_be_resolved_is_compared_without_being_read() -> None:
    before = made({"username": "${username}", "password": "${nowhere}", "a": 1})
    same = made({"userName": "${username}", "password": "${nowhere}", "a": 1})
    after = made({"username": "me", "password": "${password}", "b": 1})
    assert compare(before, same).keys == frozenset()
    assert compare(before, after).changed == {"username", "password"}
    assert compare(after, before).changed == {"username", "password"}
    assert (compare(before, after).added, compare(before, after).removed) == ({"b"}, {"a"})


@pytest.mark.measured
def test_a_small_answer_cannot_keep_a_client_busy() -> None:
    source: dict[str, FlatValue] = {"x0": ""}
    source |= {f"x{n}": f"${{x{n - 1}}}${{x{n - 1}}}" for n in range(1, 17)}
    source |= {f"y{n}": "${x16}" for n in range(40)}
    source |= {"z0": "z", "last": "fine"}
    source |= {f"z{n}": f"${{z{n - 1}}}${{z{n - 1}}}" for n in range(1, 40)}
    began = time.process_time()
    properties = made(source)
    spent = time.process_time() - began
    assert (properties["y39"], properties["last"], properties["z3"]) == ("", "fine", "zzzzzzzz")
    with pytest.raises(PropertyTypeError, match="'z39' cannot be resolved"):
        properties["z39"]
    assert spent < 3  # seconds of this process


# --- origins --------------------------------------------------------------------------


def test_a_value_knows_its_source_and_line() -> None:
    origin = made({"a": 1}, {"a": 2}).origin("a")
    assert (origin.source, origin.key, origin.line, origin.column) == (PROD, "a", 3, 7)


def test_a_list_hides_the_lists_below() -> None:
    explanation = made({"hosts[0]": "x"}, {"hosts[0]": "a", "hosts[1]": "b"}).explain("hosts[0]")
    assert [loser.key for loser in explanation.losers] == ["hosts[0]", "hosts[1]"]
    with pytest.raises(MissingPropertyError):
        made({}).explain("hosts")


def test_nothing_shows_values() -> None:
    properties = made({"password": "marker-value"}, {"password": "marker-other"})
    shown = repr(properties) + repr(properties.explain("password")) + repr(properties.section("a"))
    shown += repr(properties.root)
    assert "marker" not in shown
    with pytest.raises(TypeError):
        properties["a"] = 1  # pyright: ignore[reportIndexIssue]


# --- environment variables ------------------------------------------------------------


@pytest.mark.parametrize(
    "odd", ["a..b", ".a", "a.", "", "[0]", "a[0]b", "x[", "y]", "price[4711001]", "n[3][9]"]
)
def test_one_odd_key_harms_nobody_else(odd: str) -> None:
    properties = made({odd: 1.5, "db.url": "u", "db.hosts[0]": "h"})
    assert properties.bind("db", dict[str, Any]) == {"url": "u", "hosts": ["h"]}
    assert properties.tree()["db"] == {"url": "u", "hosts": ["h"]}
    assert properties[odd] == properties.get(odd, float) == 1.5
    assert properties.bind("", dict[str, Any])["db"] == {"url": "u", "hosts": ["h"]}
    assert apply_to_environ(properties, {})["DB_URL"] == "u"


def test_indexes_make_a_list_only_where_they_can_be_one() -> None:
    tree = made({"ports[80]": "a", "ports[443]": "b", "l[1]": 2, "l[0]": 1, "g[0]": 1, "g[2]": 3})
    assert tree.tree() == {
        "ports": {"80": "a", "443": "b"},
        "l": [1, 2],
        "g": [1, None, 3],
    }
    assert made({"a[0]": 1, "a[9]": 2}).tree() == {"a": {"0": 1, "9": 2}}
    assert made({"a[0]": 1, "a.b": 2}).tree() == {"a": {"0": 1, "b": 2}}


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(
    "key",
    ["[0]" * 30_000, "a[1]" * 25_000, "a." * 50_000, "[" * 100_000, "[a" * 40_000 + "]"],
    ids=lambda key: key[:4],
)
def test_long_names_cost_time_that_is_proportional_to_their_length(key: str) -> None:
    began = time.process_time()
    properties = made({key: 1, "x": 2}, {key: 3})
    assert properties.get(key, int) == 1
    assert properties.get("x", int) == 2
    assert properties.tree()
    assert apply_to_environ(properties, {})["X"] == "2"
    assert len(properties.merge_into(environ={"X": "9"})) == len(properties)
    assert time.process_time() - began < 5  # seconds of this process; quadratic would be minutes


def test_deep_names_end_in_one_last_element() -> None:
    key = ".".join("k" * 100)
    properties = made({key: 1, "[0]" * 100: 2})
    assert properties.get(key, int) == 1
    assert properties.tree()


def test_a_value_and_deeper_keys_are_both_reachable() -> None:
    properties = made({"feature": "off"}, {"feature.enabled": True, "feature.limit": 3})
    assert properties.get("feature", bool) is False
    assert properties.bind("feature", dict[str, str]) == {"enabled": "true", "limit": "3"}
    assert properties.tree() == {"feature": {"enabled": True, "limit": 3}}
    assert properties.get("feature.limit", int) == 3


def test_an_index_without_brackets_is_an_element_of_the_list() -> None:
    properties = made({"hosts.0": "x"}, {"hosts[0]": "a", "hosts[1]": "b"})
    assert properties == {"hosts.0": "x"}
    assert properties.get("hosts", list[str]) == ["x"]
    properties = made({"hosts[0]": "x"}, {"Hosts.0": "a", "hosts.1": "b"})
    assert properties.get("hosts", list[str]) == ["x"]


def test_explanations_know_spellings_and_lists() -> None:
    properties = made(
        {"db.poolSize": 9, "hosts": "a,b", "m[k.1]": 1},
        {"db.pool-size": 5, "hosts[0]": "x", "hosts[1]": "y", "m[k.1]": 2},
    )
    assert [one.key for one in properties.explain("DB_POOL_SIZE").losers] == ["db.pool-size"]
    assert [one.key for one in properties.explain("hosts").losers] == ["hosts[0]", "hosts[1]"]
    assert [one.key for one in properties.section("m").explain("[k.1]").losers] == ["m[k.1]"]
    assert properties.section("db").explain("pool_size").key == "poolSize"
