"""Classes of a program that refuse a value: an error that names the property and no value."""

from collections import Counter, UserString, defaultdict
from collections.abc import MutableSet
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
import pytest
from pydantic_core import PydanticCustomError

from pyfly.config_client import Properties, PropertyTypeError, UnsupportedTypeError

SECRET = "s3cr3t"
PROPERTIES = Properties.of(
    {"region": SECRET, "pools": [{"size": 1}], "names": [["a"], ["b"]], "counts": {"a": 1}}
)


class Listed:
    def __init__(self, text: str) -> None:
        raise KeyError(text)


class Asserted:
    def __init__(self, text: str) -> None:
        raise AssertionError(text)


class Opened:
    def __init__(self, text: str) -> None:
        raise FileNotFoundError(2, "No such file", text)


@dataclass
class Checked:
    region: str

    def __post_init__(self) -> None:
        raise KeyError(self.region)


class Modelled(pydantic.BaseModel):
    region: str

    @pydantic.field_validator("region")
    @classmethod
    def check(cls, value: str) -> str:
        raise KeyError(value)


class ListedError(LookupError):
    errors = ("not those of pydantic",)


class Errors(pydantic.BaseModel):
    region: str

    @pydantic.field_validator("region")
    @classmethod
    def check(cls, value: str) -> str:
        raise ListedError(value)


class CustomText(pydantic.BaseModel):
    region: str

    @pydantic.field_validator("region")
    @classmethod
    def check(cls, value: str) -> str:
        raise PydanticCustomError("unknown_region", "no region {region}", {"region": value})


class Imported(pydantic.BaseModel):
    region: pydantic.ImportString[Any]


class Red(pydantic.BaseModel):
    region: Literal["red"]


class Blue(pydantic.BaseModel):
    region: Literal["blue"]


def region_of(given: dict[str, Any]) -> str:
    return str(given["region"])


class Tagged(
    pydantic.RootModel[
        Annotated[
            Annotated[Red, pydantic.Tag("red")] | Annotated[Blue, pydantic.Tag("blue")],
            pydantic.Discriminator(region_of),
        ]
    ]
):
    pass


@dataclass
class OwnMethod:
    size: int

    @classmethod
    def model_validate(cls, size: int) -> "OwnMethod":
        return cls(size)


@dataclass
class Pool:
    size: int


@pytest.mark.parametrize("wanted", [Listed, Asserted, Opened])
def test_a_class_made_of_a_text_may_raise_what_it_wants(wanted: type) -> None:
    with pytest.raises(PropertyTypeError, match=f"'region' is not {wanted.__name__}") as caught:
        PROPERTIES.get("region", wanted)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("model", [Checked, Modelled, Errors])
def test_a_class_with_fields_may_raise_what_it_wants(model: type) -> None:
    with pytest.raises(PropertyTypeError, match=f"is rejected by {model.__name__}") as caught:
        PROPERTIES.bind("", model)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (CustomText, r"'region' is rejected by the model \(unknown_region\)"),
        (Imported, r"'region' is rejected by the model \(import_error\)"),
        (Tagged, r"configuration is not valid: region_of\(\) is not one of 'red', 'blue'"),
    ],
)
def test_no_error_of_a_model_shows_a_value(model: type, fault: str) -> None:
    with pytest.raises(PropertyTypeError, match=fault) as caught:
        PROPERTIES.bind("", model)
    assert SECRET not in str(caught.value)


def test_a_class_may_have_a_method_with_the_name_of_one_of_pydantic() -> None:
    assert Properties.of({"size": "3"}).bind("", OwnMethod) == OwnMethod(3)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [("pools", set[Pool]), ("names", frozenset[list[str]]), ("counts", dict[list[str], int])],
)
def test_what_cannot_be_hashed_is_no_element_of_a_set_and_no_key(key: str, wanted: Any) -> None:
    with pytest.raises(
        PropertyTypeError, match=rf"'{key}' cannot be an element of .* \(TypeError\)"
    ):
        PROPERTIES.get(key, wanted)


@pytest.mark.parametrize("wanted", [bytearray, range, defaultdict[str, int]])
def test_what_is_not_made_of_a_list_or_a_mapping_has_no_conversion(wanted: Any) -> None:
    with pytest.raises(UnsupportedTypeError):
        PROPERTIES.get("counts", wanted)


def test_other_containers() -> None:
    assert PROPERTIES.get("counts", Counter[str]) == Counter({"a": 1})
    assert PROPERTIES.get("region", MutableSet[str]) == {SECRET}
    assert PROPERTIES.get("region", UserString) == SECRET
