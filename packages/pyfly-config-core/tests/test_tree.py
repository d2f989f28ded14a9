"""Rebuilding trees from flat keys, and placeholders, beyond the cases of the contract."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyfly.config_core import (
    ConfigFormatError,
    Environment,
    PropertySource,
    flatten,
    merge,
    rebuild,
    resolve_placeholders,
)
from pyfly.config_server.composition.rendering import render

names = st.sampled_from(["a", "b", "c d", "x-y", "Ü", "[/p]", "p[q]"])
leaves = st.booleans() | st.integers() | st.text("ab$:'\n", min_size=1, max_size=4)
trees: Any = st.dictionaries(
    names.filter(lambda name: not name.startswith("[")),
    st.recursive(
        leaves,
        lambda below: (
            st.lists(below, min_size=1, max_size=3)
            | st.dictionaries(
                names.filter(lambda name: not name.startswith("[")), below, min_size=1, max_size=3
            )
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@given(trees)
def test_a_tree_survives_flattening(tree: Any) -> None:
    assert rebuild(flatten(tree)) == tree


@pytest.mark.parametrize(
    ("flat", "tree"),
    [
        ({"a.b.c": "y", "a.b": "x"}, {"a": {"b": "x"}}),
        ({"a[2]": "x"}, {"a": [None, None, "x"]}),
        ({"a[0][1]": "x"}, {"a": [[None, "x"]]}),
        ({"a": "x", "a.b.c": "y"}, {"a": "x", "a.b.c": "y"}),
        ({"m[a.b]": "x"}, {"m[a": {"b]": "x"}}),
        ({"a[0].b": 1, "a[0].c[1]": 2}, {"a": [{"b": 1, "c": [None, 2]}]}),
        ({"a[0]": 1, "a[0].b": 2}, {"a": [{"b": 2}]}),
        ({"": 1, "a.": 2, "b[0].": 3}, {"": 1, "a": {"": 2}, "b": [{"": 3}]}),
    ],
)
def test_keys_are_inserted_in_their_order(flat: Any, tree: Any) -> None:
    assert rebuild(flat) == tree


@pytest.mark.parametrize("key", ["a..b", ".a", "a..", "[0]", "a[0]b", "a[0][x]", "a.[0]", "."])
def test_a_malformed_key_is_named(key: str) -> None:
    with pytest.raises(ConfigFormatError, match="malformed"):
        rebuild({key: 1})


@given(st.lists(trees, min_size=1, max_size=3))
def test_the_flattened_json_is_the_fold_of_the_documents_sources(stored: Any) -> None:
    sources = [flatten(tree) for tree in stored]
    environment = Environment(
        name="a",
        profiles=("p",),
        property_sources=tuple(
            PropertySource(name=str(number), source=source) for number, source in enumerate(sources)
        ),
    )
    folded = merge(sources)
    assume(not any(key.startswith(f"{one}.") for one in folded for key in folded))
    try:
        from_json = flatten(json.loads(render(environment, "json", resolve=False)))
    except ConfigFormatError as error:
        assert "a mapping in one place" in str(error)
        return
    assert {key: value for key, value in from_json.items() if value != ""} == {
        key: value for key, value in folded.items() if value != ""
    }


@pytest.mark.parametrize(
    "flat", [{"a.b": 1, "a[0]": 2}, {"a[0]": 1, "a.b": 2}, {"a[0].b": 1, "a[0][0]": 2}]
)
def test_a_mapping_that_is_a_list_elsewhere_is_refused(flat: Any) -> None:
    with pytest.raises(ConfigFormatError, match="a mapping in one place and a list in another"):
        rebuild(flat)


texts = st.lists(st.sampled_from(["${", "}", "{", ":", "a", "b", "\\", " ", "$"]), max_size=20).map(
    "".join
)


@given(text=texts, a=texts, b=texts)
def test_resolving_ends_and_leaves_what_has_no_placeholder(text: str, a: str, b: str) -> None:
    try:
        resolved = resolve_placeholders(text, {"a": a, "b": b}.get)
    except ConfigFormatError as error:
        assert "leads back to itself" in str(error)
    else:
        assert "${" in text or resolved == text
