import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfly.config_cli._stores.property_edits import with_property, without_property
from pyfly.config_core import ConfigFormatError, flatten

TREE: dict[str, Any] = {
    "db": {"url": "a", "pool.size": 5, "replicas": [{"host": "x"}, {"host": "y"}]},
    "db.timeout": 30,
    "hosts": ["a", "b"],
    "grid": [[1, 2], [3]],
    "empty": {},
    "none": None,
}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("db.url", {"db": TREE["db"] | {"url": 1}}),
        ("db.pool.size", {"db": TREE["db"] | {"pool.size": 1}}),
        ("db.pool.max", {"db": TREE["db"] | {"pool.max": 1}}),
        ("db.timeout", {"db.timeout": 1}),
        ("db.replicas[1].host", {"db": TREE["db"] | {"replicas": [{"host": "x"}, {"host": 1}]}}),
        ("db.replicas[1].port", None),
        ("db.replicas[2].host", None),
        ("db.replicas[2].hosts[0]", None),
        ("hosts[0]", {"hosts": [1, "b"]}),
        ("hosts[2]", {"hosts": ["a", "b", 1]}),
        ("grid[1][0]", {"grid": [[1, 2], [1]]}),
        ("grid[1][1]", {"grid": [[1, 2], [3, 1]]}),
        ("new", {"new": 1}),
        ("new.deep", {"new.deep": 1}),
        ("list[0]", {"list": [1]}),
        ("db.list[0]", {"db": TREE["db"] | {"list": [1]}}),
        ("empty", {"empty": 1}),
        ("empty.key", {"empty": {"key": 1}}),
        ("none", {"none": 1}),
    ],
)
def test_the_key_has_the_value_and_no_other_key_changes(key: str, expected: Any) -> None:
    before = copy.deepcopy(TREE)
    after = with_property(TREE, key, 1)
    assert before == TREE
    if expected is not None:
        assert after == TREE | expected
    assert flatten(after) == flatten(TREE) | {key: 1}


def test_a_new_element_of_a_list_is_made_as_a_new_mapping_is() -> None:
    assert with_property({"a": [{}]}, "a[1].b[0]", 1) == {"a": [{}, {"b": [1]}]}


def test_a_key_with_a_dot_at_its_end_is_another_key() -> None:
    assert with_property({"a": {"": 1}, "b": 2}, "a.", 3) == {"a": {"": 3}, "b": 2}
    assert with_property({"b.": 1, "b": 2}, "b.", 3) == {"b.": 3, "b": 2}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("db", "not a single value"),
        ("hosts", "not a single value"),
        ("db.url.path", "below a single value"),
        ("db.url[0]", "below a single value"),
        ("hosts[3]", r"next element of this list is \[2\]"),
        ("hosts[x]", r"next element of this list is \[2\]"),
        ("hosts[01]", r"next element of this list is \[2\]"),
        ("new[1]", "no such list"),
        ("new[0].name", "no such list"),
        ("db.url.", "below a single value"),
        ("hosts[0].", "below a single value"),
        ("hosts[0]b", r"next element of this list is \[2\]"),
        ("db.replicas[2].hosts[1]", "no such list"),
    ],
)
def test_what_would_lose_something_or_leave_a_gap_is_refused(key: str, said: str) -> None:
    with pytest.raises(ConfigFormatError, match=said):
        with_property(TREE, key, 1)


def test_the_place_that_gives_the_key_is_changed_where_several_could() -> None:
    tree: Any = {"a": {"b": {"c": 1}}, "a.b": {"d": 2}}
    assert with_property(tree, "a.b.c", 9) == {"a": {"b": {"c": 9}}, "a.b": {"d": 2}}
    assert with_property(tree, "a.b.d", 9) == {"a": {"b": {"c": 1}}, "a.b": {"d": 9}}
    tree = {"a": {"b": 0}, "a.b": [1]}
    assert with_property(tree, "a.b", 9) == {"a": {"b": 9}, "a.b": [1]}
    assert with_property(tree, "a.b[0]", 9) == {"a": {"b": 0}, "a.b": [9]}
    assert without_property(tree, "a.b") == {"a": {}}


@pytest.mark.parametrize(
    ("key", "gone"),
    [
        ("db.url", ["db.url"]),
        ("hosts[0]", ["hosts[1]"]),  # what follows moves up
        ("hosts", ["hosts[0]", "hosts[1]"]),
        ("db.replicas[0].host", ["db.replicas[0].host"]),
        ("db.timeout", ["db.timeout"]),
        ("none", ["none"]),
    ],
)
def test_a_key_is_removed_with_everything_below_it(key: str, gone: list[str]) -> None:
    assert flatten(TREE).keys() - flatten(without_property(TREE, key)).keys() == set(gone)


@pytest.mark.parametrize(
    "key",
    [
        "x",
        "db.x",
        "db.",
        "hosts[2]",
        "hosts[a]",
        "hosts[0]b",
        "hosts[0].",
        "db.url.x",
        "grid[0][5]",
        "",
    ],
)
def test_a_key_that_is_not_there_cannot_be_without_property(key: str) -> None:
    with pytest.raises(ConfigFormatError, match="there is no key"):
        without_property(TREE, key)


trees = st.dictionaries(
    st.sampled_from(["a", "b", "a.b", "c"]),
    st.recursive(
        st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "b", "b.c"]), inner, max_size=3)
        ),
        max_leaves=8,
    ),
)


@given(tree=trees, data=st.data())
def test_every_key_of_a_tree_can_be_changed(tree: Any, data: Any) -> None:
    flat = {key: value for key, value in flatten(tree).items() if value != ""}
    if not flat:
        return
    key = data.draw(st.sampled_from(sorted(flat)))
    changed = flatten(with_property(tree, key, "new"))
    assert changed.keys() == flatten(tree).keys()
    assert "new" in changed.values()
