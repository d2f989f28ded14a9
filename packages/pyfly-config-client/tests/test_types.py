"""Which types can be asked for, how they are told from defaults, and what checkers know of them."""

import collections
import collections.abc
import ipaddress
import re
import sys
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union, assert_type

import pydantic
import pytest
from levels import Level
from typing_extensions import TypeAliasType

from pyfly.config_client import (
    MissingPropertyError,
    Properties,
    PropertyTypeError,
    UnsupportedTypeError,
)
from pyfly.config_core import FlatValue

T = TypeVar("T")

UserId = NewType("UserId", int)

Names = TypeAliasType("Names", "list[str]")

Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int")

Pair = TypeAliasType("Pair", tuple[T, T], type_params=(T,))


class Port(int):
    pass


@dataclass
class Pool:
    size: int
    wait: timedelta = timedelta(seconds=1)


@dataclass
class Box(Generic[T]):
    content: T
    more: list[T] = field(default_factory=list[T])


@dataclass
class Tree:
    name: str
    below: "list[Tree]" = field(default_factory=list["Tree"])
    other: "Optional[Tree]" = None  # noqa: UP045 - as people write it


# --- forms of types -------------------------------------------------------------------


FORMS: list[tuple[FlatValue, Any, Any]] = [
    ("5", int | None, 5),
    ("5", Optional[int], 5),  # noqa: UP045
    ("5", Union[int, None], 5),  # noqa: UP007
    ("", int | None, None),
    ("", str | None, None),
    ("5", UserId, 5),
    ("5", Annotated[int, "note"], 5),
    ("5", Annotated[int | None, "note"], 5),
    ("5", Optional[Annotated[UserId, 1]], 5),  # noqa: UP045
    ("a,b", Names, ["a", "b"]),
    ("a,b", Names | None, ["a", "b"]),
    ("1,2", Pair[int], (1, 2)),
    ("1,2", typing.List[int], [1, 2]),  # noqa: UP006
    ("1,2", Sequence[int], [1, 2]),
    ("1,2", collections.abc.Set[int], {1, 2}),
    ("1,2", collections.deque[int], collections.deque([1, 2])),
    ("1,2", list, ["1", "2"]),
    ("1,2", "tuple[int, ...]", (1, 2)),
    ("5", typing.ForwardRef("int"), 5),
    ("5", Optional["int"], 5),
    ("5", Port, Port(5)),
    ("5", Any, "5"),
    (5, object, 5),
    ("x", bytes, b"x"),
    ("::1", ipaddress.IPv6Address, ipaddress.IPv6Address("::1")),
    ("/a", PurePosixPath, PurePosixPath("/a")),
    ("low", Level | None, Level.LOW),
    ("9", Level, Level.VERY_HIGH),
    ("2026-01-31T10:00:00Z", datetime, datetime(2026, 1, 31, 10, tzinfo=timezone.utc)),  # noqa: UP017
    ("1,2026-01-31,x", tuple[int, date, str], (1, date(2026, 1, 31), "x")),
    ("b", Literal["a", "b"], "b"),
    ("2", Literal[1, 2], 2),
    ("true", Literal[True, "x"], True),
    ("low", Literal[Level.LOW], Level.LOW),
    ("", Literal["", "a"], ""),
    ("", Literal["a"] | None, None),
]


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    FORMS,
    ids=[f"{number} {wanted}" for number, (_, wanted, _) in enumerate(FORMS)],
)
def test_every_form_of_a_type_is_a_type(value: FlatValue, wanted: Any, expected: Any) -> None:
    if isinstance(wanted, str):
        wanted = eval(wanted)
    found = Properties.of({"x": value}).get("x", wanted)
    assert (found, type(found)) == (expected, type(expected))


def test_an_alias_may_contain_itself_and_a_class_too() -> None:
    properties = Properties.of({"j": {"a": {"b": 1}, "c": [{"d": "x"}]}, "j2": "text"})
    assert properties.get("j", Json) == {"a": {"b": 1}, "c": [{"d": "x"}]}
    assert properties.get("j2", Json) == "text"
    tree = Properties.of({"name": "a", "below": [{"name": "b", "other": {"name": "c"}}]})
    assert tree.bind("", Tree) == Tree("a", [Tree("b", other=Tree("c"))])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is new in Python 3.12")
def test_aliases_of_the_type_statement() -> None:
    made: dict[str, Any] = {}
    exec("type Ports = list[int] | None\ntype Two[T] = tuple[T, T]", made)
    properties = Properties.of({"x": "1,2", "y": ""})
    assert properties.get("x", made["Ports"]) == [1, 2]
    assert properties.get("y", made["Ports"]) is None
    assert properties.get("x", made["Two"][int]) == (1, 2)


def test_json_text_is_read_to_the_depth_of_every_tree() -> None:
    shallow, deep = "[" * 60 + "]" * 60, "[" * 70 + "]" * 70
    far = "[" * 100_000
    properties = Properties.of(
        {"s": shallow, "d": deep, "f": far, "m": '{"a": ' * 70 + "1" + "}" * 70}
    )
    assert properties.get("s", list[Any])[0] != ""
    assert properties.get("d", list[Any]) == [deep]
    assert properties.get("f", list[Any]) == [far]
    with pytest.raises(PropertyTypeError, match="'m' is not a section"):
        properties.get("m", dict[str, Any])


def test_texts_of_many_elements_are_bounded() -> None:
    many = Properties.of({"c": "," * 30_000, "j": "[" + "0," * 30_000 + "0]", "few": "," * 9})
    for key in ("c", "j"):
        with pytest.raises(PropertyTypeError, match=f"'{key}' has more than 20,000 elements"):
            many.get(key, list[str])
    assert many.get("few", list[str]) == [""] * 10


def test_names_of_any_depth_end_in_an_answer() -> None:
    key = ".".join(["below", "0"] * 31)
    properties = Properties.of({f"{key}.name": "x", f"{'a' + '[0]' * 60}": 1})
    with pytest.raises(PropertyTypeError, match="'name' is missing"):
        properties.bind("", Tree)
    assert properties.get("a", Json)


def test_classes_with_parameters() -> None:
    properties = Properties.of({"content": "5", "more": "6,7"})
    assert properties.bind("", Box[int]) == Box(5, [6, 7])
    assert properties.bind("", Box[str]) == Box("5", ["6", "7"])


class Opaque:
    def __init__(self, one: int, two: int) -> None:
        raise AssertionError("never made")


@dataclass
class Holder:
    fine: int
    opaque: Opaque


@dataclass
class Unresolved:
    pool: "Nowhere"  # noqa: F821 # pyright: ignore[reportUndefinedVariable]


UNSUPPORTED: list[Any] = [
    complex,
    Opaque,
    Opaque | None,
    list[Opaque],
    dict[str, Opaque],
    dict[Opaque, str],
    tuple[int, Opaque],
    Holder,
    Unresolved,
    re.Pattern,
    type,
    T,
    Optional["Nowhere"],  # noqa: F821 # pyright: ignore[reportUndefinedVariable]
    typing.Callable[[], int],
    typing.ClassVar[int],
]


@pytest.mark.parametrize("wanted", UNSUPPORTED, ids=repr)
def test_a_type_without_a_conversion_is_refused_before_anything_is_read(wanted: Any) -> None:
    properties = Properties.of({"x": "${x}", "y": "marker"})
    for key in ("x", "y", "missing"):
        with pytest.raises(UnsupportedTypeError) as caught:
            properties.get(key, wanted)
        assert "marker" not in str(caught.value)
        with pytest.raises(UnsupportedTypeError):
            properties.get(key, wanted, default=None)
        with pytest.raises(UnsupportedTypeError):
            properties.bind(key, wanted)


@pytest.mark.parametrize(
    "wanted",
    [int, int | None, Optional[int], UserId, Names, list[int], Literal[1], Any, Pool, Level],  # noqa: UP045
    ids=str,
)
def test_a_missing_key_never_returns_the_type(wanted: Any) -> None:
    properties = Properties.of({"y": 1})
    with pytest.raises(MissingPropertyError, match="there is no property 'x'"):
        properties.get("x", wanted)
    assert properties.get("x", wanted, default="z") == "z"
    assert properties.get("x", wanted, default=int) is int


@pytest.mark.parametrize(
    "default",
    ["int", "Optional[int]", 0, 1.5, True, None, [], {}, (), Decimal(1), Level.LOW],
    ids=repr,
)
def test_what_is_no_type_is_a_default(default: Any) -> None:
    properties = Properties.of({"y": 1})
    assert properties.get("x", default) is default
    assert properties.get("y", default) == 1


def test_an_empty_text_is_absent_where_no_text_is_wanted() -> None:
    properties = Properties.of({"port": "", "pool": {"size": "", "wait": ""}, "ports": ["1", ""]})
    assert properties.get("port", int, default=80) == 80
    assert properties.get("port", str) == ""
    with pytest.raises(MissingPropertyError, match="the property 'port' is empty"):
        properties.get("port", int)
    with pytest.raises(PropertyTypeError, match=r"^the property 'pool\.size' is empty$"):
        properties.bind("pool", Pool)
    with pytest.raises(PropertyTypeError, match=r"^the property 'port' is empty$"):
        Properties.of({"port": " "}).bind("port", int)
    with pytest.raises(PropertyTypeError, match=r"'ports\[1\]' is empty"):
        properties.get("ports", list[int])


def test_checkers_know_the_types() -> None:
    properties = Properties.of(
        {"x": 1, "l": "a", "m": {"k": 2}, "p": {"size": 3}, "d": "1s", "none": ""}
    )
    assert_type(properties.get("x"), FlatValue | None)
    assert_type(properties.get("x", int), int)
    assert_type(properties.get("x", int, default=None), int | None)
    assert_type(properties.get("x", int | None), Any)
    assert_type(properties.get("l", list[str]), list[str])
    assert_type(properties.get("l", list[str], default=[]), list[str])
    assert_type(properties.get("x", int, default=5), int)
    assert_type(properties.get("m", dict[str, int]), dict[str, int])
    assert_type(properties.get("d", timedelta), timedelta)
    assert_type(properties.get("p", Pool), Pool)
    assert_type(properties.get("none", Literal["a"] | None), Any)
    assert_type(properties.get("x", 5), FlatValue)
    assert_type(properties.get("x", None), FlatValue | None)
    assert_type(properties.bind("p", Pool), Pool)
    assert_type(properties.bind("p", Pool | None), Any)


# --- unions: what pydantic does -------------------------------------------------------


UNIONS: list[Any] = [
    int | str,
    str | int,
    int | float,
    bool | str,
    float | bool | str,
    Level | int,
    date | str,
]

MIXED: list[tuple[Any, FlatValue]] = [
    (wanted, value)
    for wanted in UNIONS
    for value in ("5", "true", "x", 5, 1.5, True, "low", "2026-01-31")
    if value is not True or bool in wanted.__args__  # else pydantic makes a number of it
]


@pytest.mark.parametrize(("wanted", "value"), MIXED, ids=[f"{w} {v!r}" for w, v in MIXED])
def test_unions_keep_what_has_one_of_the_types_as_pydantic_does(
    wanted: Any, value: FlatValue
) -> None:
    adapter: Any = pydantic.TypeAdapter(wanted)
    try:
        expected = adapter.validate_python(value)
    except pydantic.ValidationError:
        return
    found = Properties.of({"x": value}).get("x", wanted)
    assert (found, type(found)) == (expected, type(expected))


def test_unions_of_classes_take_the_first_that_fits() -> None:
    properties = Properties.of({"x": {"size": 1}, "y": {"content": "c"}, "z": {"size": "marker"}})
    assert properties.get("x", Box[str] | Pool) == Pool(1)
    assert properties.get("y", Pool | Box[str]) == Box("c")
    with pytest.raises(PropertyTypeError, match=r"^the property 'z' is not Pool, Box$"):
        properties.get("z", Pool | Box)
    with pytest.raises(PropertyTypeError, match=r"^the property 'z\.size' is not int$"):
        properties.get("z", Pool | None)
