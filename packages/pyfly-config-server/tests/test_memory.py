"""The memory of a process that serves."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import weakref
from collections.abc import AsyncGenerator, Generator

import pytest

from pyfly.config_cli._serving import memory

KEPT_OBJECTS = """
import gc, sys
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._serving import setup
if sys.argv[1] == "serving":
    setup.set_up_process(ServerSettings())
before = gc.get_stats()[2]["collections"]
kept = [[number] for number in range(400_000)]
print(gc.get_stats()[2]["collections"] - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("process", "searched"), [("serving", False), ("other", True)])
def test_as_many_objects_as_ten_thousand_watchers_have_are_not_all_searched(
    process: str, searched: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEPT_OBJECTS, process],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert (int(done.stdout) > 0) == searched


class Knot:
    """An object that only refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def unfrozen() -> Generator[None]:
    """Give the search back what a test has set aside."""
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


@contextlib.asynccontextmanager
async def setting_aside() -> AsyncGenerator[None]:
    task = asyncio.create_task(memory.set_objects_aside())
    await asyncio.sleep(0)
    yield
    task.cancel()


async def gone(found: "weakref.ref[Knot]") -> bool:
    """True if an object is freed within a hundred pauses."""
    for _ in range(100):
        await asyncio.sleep(0.001)
        if found() is None:
            return True
    return False


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.usefixtures("unfrozen")
@pytest.mark.parametrize(
    ("busy", "spare", "is_freed"),
    [(1e9, 10**9, True), (0.0, 10**9, False), (0.0, -(10**9), True)],
    ids=["quiet", "busy", "busy-with-many"],
)
async def test_what_only_refers_to_itself_is_freed_in_quiet_times_and_before_it_is_too_much(
    monkeypatch: pytest.MonkeyPatch, busy: float, spare: int, is_freed: bool
) -> None:
    monkeypatch.setattr(memory, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(memory, "_MANY_PAUSES", 3)
    monkeypatch.setattr(memory, "_BUSY_SHARE", busy)
    monkeypatch.setattr(memory, "_SPARE_OBJECTS", spare)
    async with setting_aside():
        knot = weakref.ref(Knot())
        assert await gone(knot) == is_freed


@pytest.mark.anyio
@pytest.mark.usefixtures("unfrozen")
async def test_what_was_set_aside_is_freed_when_nothing_refers_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(memory, "_BUSY_SHARE", 0.0)
    async with setting_aside():
        kept = type("Kept", (), {})()
        found, before = weakref.ref(kept), gc.get_freeze_count()
        await asyncio.sleep(0.02)
        assert gc.get_freeze_count() > before
        del kept
        assert found() is None
