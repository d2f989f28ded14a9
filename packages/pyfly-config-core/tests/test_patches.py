"""Merge patches and JSON patches of trees, with the examples of their RFCs."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfly.config_core import ConfigFormatError, JsonValue, PatchConflictError, PatchTestError
from pyfly.config_server.formats.patches import apply_operations, merge_patch, parse_operations


def patched(tree: Any, *operations: Any) -> Any:
    before = copy.deepcopy((tree, operations))
    result = apply_operations(tree, parse_operations([*operations]))
    assert (tree, operations) == before
    return result


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path} | {key.removesuffix("_"): one for key, one in more.items()}


# --- merge patches ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
    ids=str,
)
def test_the_examples_of_rfc_7396(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == result
    assert (target, patch) == before


# --- JSON patches -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "operations", "result"),
    [
        ({"foo": "bar"}, [op("add", "/baz", value="qux")], {"baz": "qux", "foo": "bar"}),
        (
            {"foo": ["bar", "baz"]},
            [op("add", "/foo/1", value="qux")],
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": "qux", "foo": "bar"}, [op("remove", "/baz")], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [op("remove", "/foo/1")], {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, [op("replace", "/baz", value="boo")], {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [op("move", "/qux/thud", from_="/foo/waldo")],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            [op("move", "/foo/3", from_="/foo/1")],
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        (
            {"baz": "qux", "foo": ["a", 2, "c"]},
            [op("test", "/baz", value="qux"), op("test", "/foo/1", value=2)],
            {"baz": "qux", "foo": ["a", 2, "c"]},
        ),
        (
            {"foo": "bar"},
            [op("add", "/child", value={"grandchild": {}})],
            {"foo": "bar", "child": {"grandchild": {}}},
        ),
        ({"foo": "bar"}, [op("add", "/baz", value="qux", xyz=123)], {"foo": "bar", "baz": "qux"}),
        ({"/": 9, "~1": 10}, [op("test", "/~01", value=10)], {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, [op("add", "/foo/-", value=["a"])], {"foo": ["bar", ["a"]]}),
        ({"a": 1}, [], {"a": 1}),
        ({"a": 1}, [op("add", "/a", value=2)], {"a": 2}),
        ({"a": 1}, [op("add", "", value={"b": 1})], {"b": 1}),
        ({"a": 1}, [op("replace", "", value={"b": 1})], {"b": 1}),
        ({"a": 1}, [op("test", "", value={"a": 1})], {"a": 1}),
        ({"a": 1}, [op("move", "/a", from_="/a")], {"a": 1}),
        ({"a": [1, 2]}, [op("add", "/a/2", value=3)], {"a": [1, 2, 3]}),
        ({"a": [1]}, [op("add", "/a/0", value=0)], {"a": [0, 1]}),
        ({"": 1}, [op("replace", "/", value=2)], {"": 2}),
        ({"a": {"": 1}}, [op("remove", "/a/")], {"a": {}}),
        ({"a~b": 1, "c/d": 2}, [op("remove", "/a~0b"), op("remove", "/c~1d")], {}),
        ({"-": 1, "0": 2}, [op("remove", "/-"), op("remove", "/0")], {}),
        ({"a": None}, [op("test", "/a", value=None), op("remove", "/a")], {}),
        ({"a": 1}, [op("replace", "/a", value=None)], {"a": None}),
        ({"a": [1, [2]]}, [op("copy", "/b", from_="/a/1")], {"a": [1, [2]], "b": [2]}),
        ({"a": 1}, [op("copy", "/b", from_="")], {"a": 1, "b": {"a": 1}}),
        ({"db.url": "x"}, [op("replace", "/db.url", value="y")], {"db.url": "y"}),
        ({"a": {"b": 1}}, [op("move", "", from_="/a")], {"b": 1}),
    ],
    ids=str,
)
def test_operations_change_the_tree(tree: Any, operations: list[Any], result: Any) -> None:
    assert patched(tree, *operations) == result


@pytest.mark.parametrize(
    ("stored", "wanted", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        ("10", 10, False),
        (None, False, False),
        (None, None, True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": 1, "b": [None]}, {"b": [None], "a": 1.0}, True),
        ({"a": 1}, {}, False),
        ([], {}, False),
        ({}, None, False),
        (float("inf"), "Infinity", True),
        (float("nan"), "NaN", True),
    ],
)
def test_values_are_compared_as_json(stored: JsonValue, wanted: JsonValue, same: bool) -> None:
    operation = op("test", "/a", value=wanted)
    if same:
        assert patched({"a": stored, "b": 1}, operation)["b"] == 1
    else:
        with pytest.raises(PatchTestError, match=r"operation 1 \(test\): '/a'"):
            patched({"a": stored}, operation)


def test_what_is_not_touched_keeps_its_type() -> None:
    tree = {"i": float("inf"), "f": 1.0, "n": 1, "t": "1"}
    result = patched(tree, op("copy", "/j", from_="/i"), op("add", "/x", value=1))
    assert [type(one) for one in result.values()] == [float, float, int, str, float, int]


@pytest.mark.parametrize(
    ("tree", "operation"),
    [
        ({"a": 1}, op("remove", "/b")),
        ({"a": 1}, op("replace", "/b", value=1)),
        ({"a": 1}, op("test", "/b", value=1)),
        ({"a": 1}, op("test", "/b", value=None)),
        ({"a": 1}, op("move", "/c", from_="/b")),
        ({"a": 1}, op("copy", "/c", from_="/b")),
        ({"a": 1}, op("add", "/b/c", value=1)),
        ({"a": 1}, op("add", "/a/c", value=1)),
        ({"a": [1]}, op("add", "/a/2", value=1)),
        ({"a": [1]}, op("add", "/a/-1", value=1)),
        ({"a": [1]}, op("add", "/a/00", value=1)),
        ({"a": [1]}, op("add", "/a/1e0", value=1)),
        ({"a": [1]}, op("add", "/a/\u0661", value=1)),
        ({"a": [1]}, op("add", "/a/x", value=1)),
        ({"a": [1]}, op("remove", "/a/-")),
        ({"a": [1]}, op("remove", "/a/1")),
        ({"a": [1]}, op("replace", "/a/01", value=1)),
        ({"a": [1]}, op("replace", "/a/" + "9" * 5_000, value=1)),
        ({"a": "text"}, op("remove", "/a/0")),
    ],
    ids=str,
)
def test_what_does_not_fit_is_a_conflict(tree: Any, operation: dict[str, Any]) -> None:
    with pytest.raises(PatchConflictError) as failed:
        patched(tree, op("add", "/first", value="hunter2"), operation)
    assert isinstance(failed.value, PatchTestError) == (operation["op"] == "test")
    assert failed.value.operation == f"operation 2 ({operation['op']})"
    assert "hunter2" not in str(failed.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "array"),
        (None, "array"),
        ([1], "operation 1"),
        ([{"path": "/a"}], "'op'"),
        ([op("spam", "/a")], "'op'"),
        ([op("Add", "/a", value=1)], "'op'"),
        ([{"op": ["add"], "path": "/a", "value": 1}], "'op'"),
        ([{"op": "remove"}], "'path'"),
        ([op("add", "/a")], "'value'"),
        ([op("test", "/a")], "'value'"),
        ([op("replace", "/a")], "'value'"),
        ([op("move", "/a")], "'from'"),
        ([op("copy", "/a")], "'from'"),
        ([op("remove", "a")], "pointer"),
        ([op("remove", "/a~2")], "pointer"),
        ([op("remove", "/a~")], "pointer"),
        ([{"op": "remove", "path": 1}], "pointer"),
        ([op("copy", "/a", from_="b")], "pointer"),
        ([op("move", "/a/b", from_="/a")], "into itself"),
        ([op("move", "/a", from_="")], "into itself"),
        ([op("remove", "/a")] * 1_001, "1,001 operations"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_malformed_patch_is_refused_as_a_whole(value: Any, said: str) -> None:
    with pytest.raises(ConfigFormatError, match=said):
        parse_operations(value)


def test_a_move_to_a_longer_name_is_no_move_into_itself() -> None:
    assert patched({"a": 1}, op("move", "/ab", from_="/a")) == {"ab": 1}


def test_a_patch_may_not_remove_everything_but_may_put_it_back() -> None:
    with pytest.raises(ConfigFormatError, match="DELETE"):
        patched({"a": 1}, op("remove", ""))
    assert patched({"a": 1}, op("remove", ""), op("add", "", value={"b": 1})) == {"b": 1}


def test_copies_of_copies_do_not_grow_without_a_limit() -> None:
    doubling = [op("copy", f"/{number}", from_="") for number in range(1_000)]
    with pytest.raises(ConfigFormatError, match="50,000 values"):
        patched({"a": list(range(10))}, *doubling)
    deepening = [op("copy", "/0", from_="") for _ in range(1_000)]
    with pytest.raises(ConfigFormatError, match="deeper than 64"):
        patched({"0": 1}, *deepening)


def test_a_value_is_shared_by_nothing() -> None:
    tree = patched(
        {},
        op("add", "/a", value={"n": 1}),
        op("copy", "/b", from_="/a"),
        op("replace", "/b/n", value=2),
    )
    assert tree == {"a": {"n": 1}, "b": {"n": 2}}


_NAMES = st.sampled_from(["a", "b", "", "~", "/", "0", "-", "a.b"])
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["x", ""]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_NAMES, below, max_size=3),
    max_leaves=8,
)
_MAPPINGS = st.dictionaries(_NAMES, _TREES, max_size=3)


def _difference(path: str, before: Any, after: Any) -> list[Any]:
    """The operations from one tree to another: removals, additions, and replacements."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after else [op("replace", path, value=after)]
    found: list[Any] = []
    for key in [*before, *(key for key in after if key not in before)]:
        below = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in after:
            found.append(op("remove", below))
        elif key not in before:
            found.append(op("add", below, value=after[key]))
        else:
            found += _difference(below, before[key], after[key])
    return found


@given(before=_MAPPINGS, after=_MAPPINGS)
def test_a_difference_applied_is_the_other_tree(before: Any, after: Any) -> None:
    tested = op("test", "", value=before)
    assert patched(before, tested, *_difference("", before, after)) == after


@given(before=_MAPPINGS, patch=_MAPPINGS)
def test_a_merge_patch_applied_twice_is_applied_once(before: Any, patch: Any) -> None:
    once = merge_patch(before, patch)
    assert merge_patch(once, patch) == once
