"""Dataclasses and pydantic models filled from properties."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from pyfly.config_client import DataSize, Properties, PropertyTypeError
from pyfly.config_client._properties import ConfigMetadata, read_properties
from pyfly.config_core import FlatValue, PropertySource


def made(source: dict[str, FlatValue]) -> Properties:
    return read_properties(
        [PropertySource(name="main/x", source=source)], ConfigMetadata(), environ={}
    )


@dataclass
class Pool:
    size: int
    wait: timedelta = timedelta(seconds=1)


@dataclass(frozen=True)
class Database:
    url: str
    pool_settings: Pool
    replicas: list[Pool] = field(default_factory=list[Pool])
    mode: Literal["rw", "ro"] = "rw"
    comment: str | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])


FLAT: dict[str, FlatValue] = {
    "db.url": "marker-value",
    "db.poolSettings.size": "5",
    "db.pool-settings.wait": "30s",
    "db.replicas[0].size": 1,
    "db.replicas[1].size": 2,
    "db.mode": "ro",
    "db.comment": "",
    "db.labels.team": "a",
    "db.unknown": 1,
}


def test_a_dataclass_is_filled() -> None:
    properties = made({key.replace("poolSettings", "pool-settings"): v for key, v in FLAT.items()})
    assert properties.bind("db", Database) == Database(
        url="marker-value",
        pool_settings=Pool(size=5, wait=timedelta(seconds=30)),
        replicas=[Pool(size=1), Pool(size=2)],
        mode="ro",
        comment=None,
        labels={"team": "a"},
    )
    assert made({"size": 3}).bind("", Pool) == Pool(size=3)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    properties = made({"db.pool-settings.size": "marker", "db.mode": "marker"})
    with pytest.raises(PropertyTypeError) as caught:
        properties.bind("db", Database)
    assert str(caught.value) == (
        "the property 'db.url' is missing; the property 'db.pool-settings.size' is not int; "
        "the property 'db.mode' is not one of 'rw', 'ro'"
    )


@dataclass
class Picky:
    size: int

    def __post_init__(self) -> None:
        raise ValueError(f"marker {self.size}")


def test_a_dataclass_that_refuses_shows_no_value() -> None:
    with pytest.raises(PropertyTypeError, match=r"rejected by Picky \(ValueError\)"):
        made({"a.size": 77}).bind("a", Picky)


class PoolModel(BaseModel):
    size: int = Field(ge=1)
    wait: timedelta = timedelta(seconds=1)
    buffer: DataSize = DataSize(0)


class DatabaseModel(BaseModel):
    url: str
    pool_settings: PoolModel
    hosts: list[str] = []
    replicas: list[PoolModel] = []
    user: str = Field(default="", alias="login-name")


def test_a_pydantic_model_is_filled() -> None:
    properties = made(
        {
            "db.url": "marker-value",
            "db.pool-settings.size": "5",
            "db.pool-settings.wait": "30s",
            "db.pool-settings.buffer": "4KB",
            "db.hosts": "a,b",
            "db.replicas[0].size": 2,
            "db.loginName": "me",
        }
    )
    bound = properties.bind("db", DatabaseModel)
    assert bound.pool_settings == PoolModel(
        size=5, wait=timedelta(seconds=30), buffer=DataSize(4096)
    )
    assert (bound.hosts, bound.replicas[0].size, bound.user) == (["a", "b"], 2, "me")


def test_a_pydantic_model_that_does_not_fit_shows_no_value() -> None:
    with pytest.raises(PropertyTypeError) as caught:
        made({"db.pool-settings.size": "marker"}).bind("db", DatabaseModel)
    text = str(caught.value)
    assert "'db.url' is missing" in text
    assert "'db.pool-settings.size' is not int" in text
    assert "marker" not in text + repr(caught.value.__cause__) + repr(caught.value.__context__)
