"""Typed dictionaries, named tuples, and the classes of attrs, msgspec and pydantic."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from levels import Level

from pyfly.config_client import DataSize, Properties, PropertyTypeError, UnsupportedTypeError


class Limits(TypedDict):
    low: int
    high: NotRequired[int]


class Point(NamedTuple):
    x: int
    y: float = 0.5


@attrs.define
class Attrs:
    max_items: int
    tags: list[str] = attrs.field(converter=lambda given: sorted(str(given).split()))
    _private: str = "p"
    cached: int = attrs.field(init=False, default=0)


class Struct(msgspec.Struct, rename="camel", frozen=True):
    max_items: Annotated[int, msgspec.Meta(gt=0)]
    kind: Level = Level.LOW
    place: Path = Path()


def test_typed_dictionaries_and_named_tuples() -> None:
    properties = Properties.of({"a": {"LOW": "1"}, "p": "1,2", "q": {"x": 3}, "r": ["1", "2", "3"]})
    assert properties.bind("a", Limits) == {"low": 1}
    assert properties.get("p", Point) == Point(1, 2.0)
    assert properties.get("q", Point) == Point(3, 0.5)
    with pytest.raises(PropertyTypeError, match=r"'q\.low' is missing"):
        properties.bind("q", Limits)
    with pytest.raises(PropertyTypeError, match="has 3 elements, not 2"):
        properties.get("r", Point)


def test_classes_of_attrs() -> None:
    properties = Properties.of({"a": {"maxItems": "5", "tags": "b a", "private": "q"}, "b": {}})
    assert properties.bind("a", Attrs) == Attrs(5, "b a", "q")
    with pytest.raises(PropertyTypeError, match=r"'b\.max_items' is missing.*'b\.tags' is missing"):
        properties.bind("b", Attrs)


def test_structures_of_msgspec_and_their_limits() -> None:
    properties = Properties.of({"a": {"max-items": "5", "kind": "VERY_HIGH"}, "b": {"maxItems": 0}})
    assert properties.bind("a", Struct) == Struct(5, Level.VERY_HIGH)
    with pytest.raises(PropertyTypeError, match=r"^the property 'b' is rejected by Struct \(Va"):
        properties.bind("b", Struct)


class Sub(pydantic.BaseModel):
    size: int = 1
    wait: timedelta = timedelta(seconds=1)


class Model(pydantic.BaseModel):
    text: str = ""
    maybe: int | None = 7
    level: Level = Level.LOW
    user: str = pydantic.Field(
        default="", validation_alias=pydantic.AliasChoices("login", "user-name")
    )
    first: str = pydantic.Field(default="", validation_alias=pydantic.AliasPath("names", 0))
    hosts: list[str] = []
    MAX_ITEMS: int = 0
    secret: pydantic.SecretStr = pydantic.SecretStr("")
    site: pydantic.HttpUrl | None = None
    size: DataSize = DataSize(0)
    at: UUID | None = None
    subs: dict[str, Sub] = {}
    raw: Annotated[list[str], pydantic.BeforeValidator(lambda given: given.split("|"))] = []
    parsed: pydantic.Json[list[int]] = []
    checked: Annotated[timedelta, pydantic.AfterValidator(lambda given: given * 2)] = timedelta()
    nested: list[dict[str, int | Sub | None]] = []


VALUES: dict[str, object] = {
    "text": 12345,
    "maybe": "",
    "level": "very-high",
    "user-name": "me",
    "names": ["a", "b"],
    "hosts": '["x", "y"]',
    "max-items": "9",
    "secret": 12345,
    "site": "http://a.example/",
    "size": "4KB",
    "at": "2f1acc6c-7c5f-4f4e-9d5b-1f2f3a4b5c6d",
    "subs": {"one": {"wait": "5s"}},
    "raw": "a|b",
    "parsed": "[1, 2]",
    "checked": "30s",
    "nested": [{"a": "1", "b": {"size": "2"}, "c": ""}],
}


def test_models_of_pydantic_convert_as_dataclasses_do() -> None:
    found = Properties.of({"app": VALUES}).bind("app", Model)
    assert found == Model.model_construct(
        text="12345",
        maybe=None,
        level=Level.VERY_HIGH,
        user="me",
        first="a",
        hosts=["x", "y"],
        MAX_ITEMS=9,
        secret=pydantic.SecretStr("12345"),
        site=pydantic.HttpUrl("http://a.example/"),
        size=DataSize(4096),
        at=UUID("2f1acc6c-7c5f-4f4e-9d5b-1f2f3a4b5c6d"),
        subs={"one": Sub(wait=timedelta(seconds=5))},
        raw=["a", "b"],
        parsed=[1, 2],
        checked=timedelta(minutes=1),
        nested=[{"a": 1, "b": Sub(size=2), "c": None}],
    )


def test_types_of_pydantic_stand_in_every_class() -> None:
    @dataclass
    class Access:
        secret: pydantic.SecretStr
        site: pydantic.HttpUrl

    found = Properties.of({"secret": "marker", "site": "http://a/"}).bind("", Access)
    assert (found.secret.get_secret_value(), str(found.site)) == ("marker", "http://a/")
    with pytest.raises(PropertyTypeError) as caught:
        Properties.of({"secret": "s", "site": "marker"}).bind("", Access)
    assert str(caught.value) == "the property 'site' is not HttpUrl"


@pydantic.dataclasses.dataclass
class Checked:
    size: int = pydantic.Field(gt=0)
    user: str = pydantic.Field(default="", alias="login-name")


def test_dataclasses_of_pydantic() -> None:
    found = Properties.of({"size": "5", "loginName": "me"}).bind("", Checked)
    assert (found.size, found.user) == (5, "me")
    with pytest.raises(PropertyTypeError, match=r"^the configuration is rejected by Checked \(V"):
        Properties.of({"size": 0}).bind("", Checked)


class Strict(pydantic.BaseModel, extra="forbid", strict=True):
    port: int
    on: bool = False


class Root(pydantic.RootModel[dict[str, int]]):
    pass


def test_settings_of_models_hold() -> None:
    assert Properties.of({"port": "1", "on": "yes"}).bind("", Strict) == Strict(port=1, on=True)
    with pytest.raises(PropertyTypeError, match="'other' is not valid: Extra inputs"):
        Properties.of({"port": "1", "other": "marker"}).bind("", Strict)
    assert Properties.of({"m": {"a.b": "1"}}).bind("m", Root).root == {"a.b": 1}
    assert Properties.of({"m": {"x": {"y": "1"}}}).get("m", dict[str, Root]) == {
        "x": Root({"y": 1})
    }


class Filled(pydantic.BaseModel):
    size: int
    label: str

    @pydantic.model_validator(mode="before")
    @classmethod
    def fill(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"label": "filled", **given}


def test_a_validator_of_a_model_may_fill_what_is_missing() -> None:
    assert Properties.of({"size": "1"}).bind("", Filled) == Filled(size=1, label="filled")
    with pytest.raises(PropertyTypeError, match=r"^the property 'size' is missing$"):
        Properties.of({"label": "x"}).bind("", Filled)


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    age: int = pydantic.Field(default=1, gt=0)


class Zoo(pydantic.BaseModel):
    animals: list[Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]]
    best: Cat | Dog


def test_discriminated_unions() -> None:
    properties = Properties.of(
        {"animals": [{"kind": "dog"}, {"kind": "cat", "lives": "7"}], "best": {"kind": "dog"}}
    )
    assert properties.bind("", Zoo) == Zoo(
        animals=[Dog(kind="dog"), Cat(kind="cat", lives=7)], best=Dog(kind="dog")
    )


class House(pydantic.BaseModel):
    room: "Room"


class Room(pydantic.BaseModel):
    max_seats: int = 1
    tags: list[str] = []


class Street(pydantic.BaseModel):
    house: "Nowhere"  # type: ignore[name-defined] # noqa: F821


def test_the_first_use_of_a_model_resolves_its_forward_references() -> None:
    properties = Properties.of({"room": {"max-seats": "5", "tags": "a,b"}})
    assert properties.bind("", House) == House(room=Room(max_seats=5, tags=["a", "b"]))
    with pytest.raises(UnsupportedTypeError, match="the types of Street cannot be resolved"):
        properties.bind("", Street)
    with pytest.raises(UnsupportedTypeError, match="no conversion to BaseModel"):
        properties.bind("", pydantic.BaseModel)


class Length(pydantic.RootModel[Annotated[int, pydantic.BeforeValidator(len)]]):
    pass


def test_a_validator_of_a_root_model_reads_the_value_first() -> None:
    assert Properties.of({"text": "abc"}).get("text", Length) == Length.model_validate("abc")


def test_only_what_a_model_asks_for_is_read() -> None:
    properties = Properties.of({"port": 1, "broken": "${broken}", "price": {"4711001": 1.5}})

    class Narrow(pydantic.BaseModel):
        port: int

    assert properties.bind("", Narrow).port == 1
    with pytest.raises(PropertyTypeError, match="'broken' cannot be resolved"):
        properties.bind("", Mapping[str, Any])
