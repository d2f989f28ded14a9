from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfly.config_core import (
    ConfigFormatError,
    check_collisions,
    copy_properties,
    drop_retired,
    flatten,
    merge,
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
trees: Any = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("tree", "flat"),
    [
        ({"a": {"b": 1}}, {"a.b": 1}),
        ({"a": [1, [2, 3], {"k": 4}]}, {"a[0]": 1, "a[1][0]": 2, "a[1][1]": 3, "a[2].k": 4}),
        ({"paths": {"[/p/**]": "w", "/q": "x"}}, {"paths[/p/**]": "w", "paths./q": "x"}),
        ({"[true]": "z"}, {"[true]": "z"}),
        ({"a": None, "b": [], "c": {}}, {"a": "", "b": ""}),
        ({"a": [{}, 1]}, {"a[1]": 1}),
        ({"a": [[]]}, {"a[0]": ""}),
        ({"a.b": 1, "a": {"b": 2}}, {"a.b": 2}),
        (
            {"f": 1.0, "i": float("inf"), "m": -float("inf")},
            {"f": 1.0, "i": "Infinity", "m": "-Infinity"},
        ),
        ({"n": float("nan")}, {"n": "NaN"}),
        ({"": 1, "x": {"": 2}}, {"": 1, "x.": 2}),
    ],
)
def test_flattening(tree: Any, flat: Any) -> None:
    assert flatten(tree) == flat
    assert [type(value) for value in flatten(tree).values()] == [type(v) for v in flat.values()]


def test_flattening_keeps_document_order() -> None:
    assert list(flatten({"b": 1, "a": {"z": 1, "c": 2}, "0": 1})) == ["b", "a.z", "a.c", "0"]


def test_a_tree_deeper_than_64_levels_is_refused() -> None:
    assert flatten(nested(64))
    for check in (flatten, check_collisions, copy_properties):
        with pytest.raises(ConfigFormatError, match="64"):
            check(nested(65))


def test_more_than_20_000_properties_are_refused() -> None:
    assert len(flatten({str(i): i for i in range(20_000)})) == 20_000
    with pytest.raises(ConfigFormatError, match="20,000"):
        flatten({str(i): i for i in range(20_001)})


def test_a_self_containing_tree_is_refused() -> None:
    tree: dict[str, Any] = {}
    tree["a"] = tree
    with pytest.raises(ConfigFormatError, match="64"):
        copy_properties(tree)


@pytest.mark.parametrize(
    "tree", [{"a.b": 1, "a": {"b": 2}}, {"a": [1], "a[0]": 2}, {"m": {"[1]": 1}, "m[1]": 2}]
)
def test_colliding_keys_are_named(tree: Any) -> None:
    with pytest.raises(ConfigFormatError, match=r"'(a\.b|a\[0\]|m\[1\])' is given twice"):
        check_collisions(tree)


def test_different_keys_do_not_collide() -> None:
    check_collisions({"a": 1, "a.b": 2, "c": {"d": 1}, "c.e": 2})


@given(st.dictionaries(st.text(), trees, max_size=4))
def test_a_copy_is_equal_and_shares_nothing(tree: Any) -> None:
    copy: Any = copy_properties(tree)
    assert copy == tree

    def containers(node: Any) -> set[int]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = {id(node)} if isinstance(node, dict | list) else set[int]()
        return own.union(*(containers(child) for child in inner))

    assert not containers(copy) & containers(tree)


@pytest.mark.parametrize("value", [b"x", {1}, object(), 1j])
def test_values_that_json_does_not_have_are_refused_by_key(value: Any) -> None:
    with pytest.raises(ConfigFormatError, match=r"'a\.b\[0\]' holds a"):
        copy_properties({"a": {"b": [value]}})


@pytest.mark.parametrize("tree", [{1: "a"}, {"a": {None: 1}}, {"a": [{b"k": 1}]}])
def test_keys_that_are_no_strings_are_refused(tree: Any) -> None:
    with pytest.raises(ConfigFormatError, match="not a string"):
        copy_properties(tree)


@pytest.mark.parametrize("tree", [{"a": "\ud800"}, {"\udfff": 1}])
def test_texts_that_are_no_unicode_are_refused(tree: Any) -> None:
    with pytest.raises(ConfigFormatError, match="Unicode"):
        copy_properties(tree)


@pytest.mark.parametrize(
    ("sources", "merged"),
    [
        ([], {}),
        ([{"a": 2}, {"a": 1, "b": 1}], {"a": 2, "b": 1}),
        ([{"l[0]": 9}, {"l[0]": 1, "l[1]": 2}], {"l[0]": 9}),
        ([{"l[0].a": 9}, {"l[0].a": 1, "l[0].b": 2, "l[1].a": 3}], {"l[0].a": 9}),
        ([{"l": ""}, {"l[0]": 1}], {"l": ""}),
        ([{"l[0]": 1}, {"l": ""}], {"l[0]": 1}),
        ([{"a": 3}, {"a[0]": 2}, {"a": 1}], {"a": 3}),
        ([{"p[/x]": 1}, {"p[/y]": 2}], {"p[/x]": 1}),
        (
            [{"spring.profiles": "x", "spring.profiles.active": "y"}],
            {"spring.profiles.active": "y"},
        ),
    ],
)
def test_merging(sources: Any, merged: Any) -> None:
    assert merge(sources) == merged


@pytest.mark.case(64)
def test_a_list_is_replaced_whole() -> None:
    assert merge([{"a[0]": 9}, {"a[0]": 1, "a[1]": 2, "a[2]": 3}]) == {"a[0]": 9}


def test_merged_keys_stand_where_they_first_appeared_and_lists_last() -> None:
    base: Any = flatten(
        {"b": 1, "a": "c", "list": ["x", "y"], "server": {"port": 8080}, "flag": True}
    )
    profile: Any = flatten({"a": "over", "list": ["z"], "c": "deep"})
    assert list(merge([profile, base])) == ["b", "a", "server.port", "flag", "c", "list[0]"]


@given(st.dictionaries(st.text(alphabet="abc.[0]", min_size=1), st.integers(), max_size=6))
def test_merging_one_source_keeps_its_values(source: dict[str, int]) -> None:
    merged = merge([source])
    assert merged.items() <= source.items()
    stems = {key.partition("[")[0] for key in source if "[" in key}
    assert {k for k in source if "[" not in k and k not in stems} <= merged.keys()


def test_only_the_retired_key_is_dropped() -> None:
    flat: Any = {"spring.profiles": 1, "spring.profiles[0]": 1, "spring.profiles.active": 1}
    assert drop_retired(flat) == ["spring.profiles", "spring.profiles[0]"]
    assert flat == {"spring.profiles.active": 1}
