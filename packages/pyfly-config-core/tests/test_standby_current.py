"""Which kept results are current: by the looks at a store, and on the disk."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from standby_stores import Switch, quick, records, written

from pyfly.config_core import ConfigKey
from pyfly.config_server import ConfigSource, StandbyBackend
from pyfly.config_server.live import standby_recorder
from pyfly.config_server.live.standby_current import CurrentResults
from pyfly.config_server.live.standby_records import RecordKey
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    ChangeBatch,
    EverythingChange,
    LabelChange,
    ResourceChange,
)
from pyfly.config_server.testing._wrapped import CompleteBackend

pytestmark = pytest.mark.anyio

ORDERS = ConfigKey(application="orders", profile="prod")
BILLING = ConfigKey(application="billing", profile="prod", label="other")
BUNDLE, LABEL = RecordKey.of_bundle(ORDERS), RecordKey.of_label("main")
FILE = RecordKey.of_resource("main", "nginx.conf")
BOTH, ALONE = RecordKey.of_snapshot([BILLING, ORDERS]), RecordKey.of_snapshot([BILLING])
ALL = [BUNDLE, LABEL, FILE, BOTH, ALONE]


def batch(cursor: str, *changes: Change) -> ChangeBatch:
    return ChangeBatch(cursor=cursor, changes=changes)


def filled() -> CurrentResults:
    current = CurrentResults()
    current.look(None, batch("1"), began_at=100.0, ended=1.0)
    for key in ALL:
        current.read(key, began=2.0)
        current.written(key)
    return current


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (BundleChange(key=ORDERS), [FILE, ALONE]),
        (BundleChange(key=BILLING), [BUNDLE, LABEL, FILE]),
        (
            BundleChange(key=ConfigKey(application="orders", profile="dev")),
            [BUNDLE, FILE, BOTH, ALONE],
        ),
        (ResourceChange(label="main", path="nginx.conf"), [BUNDLE, LABEL, BOTH, ALONE]),
        (LabelChange(label="main"), [ALONE]),
        (LabelChange(label="other"), [BUNDLE, LABEL, FILE]),
        (EverythingChange(), []),
    ],
)
def test_a_change_ends_what_it_names(change: Change, left: list[RecordKey]) -> None:
    current = filled()
    current.look("1", batch("2", change), began_at=200.0, ended=3.0)
    assert (current.keys(), current.looked_at) == (left, 200.0)


@pytest.mark.parametrize("cursor", [None, "0"])
def test_a_look_of_somebody_else_is_ignored(cursor: str | None) -> None:
    current = filled()
    current.look(cursor, batch("7", EverythingChange()), began_at=200.0, ended=4.0)
    assert (current.keys(), current.looked_at) == (ALL, 100.0)


def test_when_no_look_continues_the_last_one_the_next_starts_anew() -> None:
    current = filled()
    current.look("1", batch("2"), began_at=150.0, ended=50.0)
    current.look("6", batch("7"), began_at=200.0, ended=100.0)
    assert current.keys() == ALL
    current.look("7", batch("8"), began_at=300.0, ended=111.0)
    assert current.keys() == []
    for began in (110.9, 111.1):
        current.read(BUNDLE, began=began)
        current.written(BUNDLE)
        assert current.keys() == ([BUNDLE] if began > 111 else [])


def test_only_what_was_read_after_the_first_look_and_written_is_current() -> None:
    current = CurrentResults()
    current.read(BUNDLE, began=0.5)
    current.look(None, batch("1"), began_at=100.0, ended=1.0)
    current.read(LABEL, began=0.9)
    current.read(FILE, began=1.5)
    for key in (BUNDLE, LABEL, FILE):
        current.written(key)
    assert current.keys() == [FILE]
    current.read(FILE, began=1.6)
    assert current.keys() == []
    current.written(FILE)
    current.discard(FILE)
    assert current.keys() == []


def test_the_number_of_results_is_limited() -> None:
    current = filled()
    for number in range(20_000):
        current.read(RecordKey.of_label(f"label{number}"), began=2.0)
    assert current.keys() == []
    assert len(current._keys) == 10_000


class Served:
    """A standby whose store is looked at as the live layer does it."""

    def __init__(self, directory: Path) -> None:
        self.inner = CompleteBackend()
        self.store = Switch(self.inner)
        self.standby = StandbyBackend(self.store, directory)
        self.cursor: str | None = None

    async def look(self) -> None:
        self.cursor = (await self.standby.changes_since(self.cursor)).cursor

    async def confirm(self) -> None:
        """Look when it is time to note what is current."""
        self.standby._recorder._next_confirmation = 0.0
        await self.look()
        await written(self.standby)
        assert self.standby._recorder._next_confirmation > 0.0 or not self.is_current()

    def is_current(self) -> bool:
        return bool(self.standby._recorder._current.keys())

    async def save(self, number: int) -> None:
        source = ConfigSource(application="orders", profile="prod", properties={"n": number})
        await self.inner.save(source)


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    quick(monkeypatch)
    monkeypatch.setattr(standby_recorder, "LOOK_SECONDS", 600.0)
    served = Served(tmp_path / "standby")
    await served.save(1)
    await served.look()
    await served.standby.fetch("orders", "prod")
    await served.look()
    await written(served.standby)
    (path,) = records(tmp_path / "standby")
    os.utime(path, (1000, 1000))
    yield served
    await served.standby.aclose()


async def test_what_is_current_is_confirmed_without_reading_it(
    served: Served, tmp_path: Path
) -> None:
    (path,) = records(tmp_path / "standby")
    await served.confirm()
    assert path.stat().st_mtime > 10**9
    served.store.take_away()
    await served.standby.fetch("orders", "prod")
    assert served.standby.stale_since is not None
    assert served.standby.stale_since.timestamp() >= path.stat().st_mtime - 1e-3
    assert served.store.calls.count("fetch") == 2


async def test_what_has_changed_is_not_confirmed(served: Served, tmp_path: Path) -> None:
    (path,) = records(tmp_path / "standby")
    await served.save(2)
    await served.confirm()
    assert not served.is_current()
    assert path.stat().st_mtime == 1000


async def test_what_another_process_has_replaced_is_not_confirmed(
    served: Served, tmp_path: Path
) -> None:
    (path,) = records(tmp_path / "standby")
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, (1000, 1000))
    other.replace(path)
    await served.confirm()
    assert path.stat().st_mtime == 1000
