"""The setting `standby`: one subdirectory for each store, outside of what is served."""

import asyncio
from pathlib import Path

import pytest

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.setup import open_server
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._stores.location import identity_of
from pyfly.config_core import BackendError
from pyfly.config_server import StandbyBackend


def directories(standby: Path) -> set[str]:
    return {path.name for path in standby.iterdir()}


def open_stores(standby: Path, *stores: str) -> list[object]:
    server = open_server(ServerSettings(backend=stores, standby=str(standby)))
    asyncio.run(server.aclose())
    return [*server.backends]


def test_without_the_setting_there_is_no_standby(tmp_path: Path) -> None:
    server = open_server(ServerSettings(backend=(tmp_path.as_uri(),)))
    assert not any(isinstance(one, StandbyBackend) for one in server.backends)
    asyncio.run(server.aclose())


def test_each_store_has_a_subdirectory_of_its_own(tmp_path: Path) -> None:
    stores = [tmp_path / name for name in ("one", "two")]
    for store in stores:
        store.mkdir()
    standby = tmp_path / "standby"
    backends = open_stores(standby, *(store.as_uri() for store in stores))
    assert all(isinstance(one, StandbyBackend) for one in backends)
    both = directories(standby)
    assert len(both) == 2
    open_stores(standby, str(stores[1]))  # the same store, by its path
    assert directories(standby) == both
    open_stores(standby, f"{stores[1].as_uri()}?layout=spring")
    assert len(directories(standby)) == 3


@pytest.mark.parametrize("below", [".", "main", "main/standby"])
def test_a_standby_inside_of_what_is_served_is_refused(tmp_path: Path, below: str) -> None:
    with pytest.raises(SettingsError, match=r"inside of the store .* PYFLY_CONFIG_SERVER_STANDBY"):
        open_stores(tmp_path / below, tmp_path.as_uri())
    assert [*tmp_path.iterdir()] == []


def test_a_standby_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "standby").mkdir(mode=0o755)
    (tmp_path / "store").mkdir()
    with pytest.raises(BackendError, match=r"standby .*/standby: .*chmod 700"):
        open_stores(tmp_path / "standby", (tmp_path / "store").as_uri())


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        ("mysql://ada:x@db/config", "mysql://ada:y@db/config", True),
        ("mysql://ada@db/config?password=x&label=a", "mysql://ada@db/config?label=a", True),
        ("s3://bucket/a?region=eu&layout=spring", "s3://bucket/a?layout=spring&region=eu", True),
        ("mysql://ada:x@db/config", "mysql://eve:x@db/config", False),
        ("mysql://ada:x@db/config", "mysql://ada:x@db2/config", False),
        ("s3://bucket/a", "s3://bucket/b", False),
        ("file:///a?layout=spring", "file:///a", False),
    ],
)
def test_a_store_is_told_by_its_url_without_secrets(one: str, other: str, are_equal: bool) -> None:
    assert (identity_of(one) == identity_of(other)) is are_equal
