"""Reads and writes that get stuck: they are told in time, and delay no others."""

import asyncio
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import BackendAccessDeniedError, BackendUnavailableError, ConfigKey
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server.files import StoreLimits
from pyfly.config_server.files.text_reader import TextReader
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

MANY = 40  # more than there are threads


def source(label: str, **key: str) -> ConfigSource:
    names: Any = {"application": "orders", "profile": "prod"} | key
    return ConfigSource(**names, label=label, properties={"a": 1})


@pytest.fixture
def held(write: Callable[..., Path], tmp_path: Path) -> Iterator[int]:
    """Hold the lock of the label `held`; return the descriptor that holds it."""
    write("held/orders-prod.yaml", "a: 0\n")
    descriptor = os.open(tmp_path / "held", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


async def test_writers_of_a_label_whose_lock_is_held_delay_no_others(
    backend: FilesystemConfigBackend, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend._threads, "limits", StoreLimits(wait=60.0))
    stuck = [
        asyncio.ensure_future(backend.save(source("held", application=f"app{number}")))
        for number in range(MANY)
    ]
    for label in ("main", "other/x"):
        await backend.save(source(label))
        await backend.delete(
            ConfigKey(application="orders", profile="prod", label=label), expected=ANY
        )
    assert not any(write.done() for write in stuck)
    fcntl.flock(held, fcntl.LOCK_UN)
    await asyncio.gather(*stuck)
    assert len(await backend.list()) == MANY + 1


async def test_a_lock_that_is_not_released_is_told_in_time_with_the_label(
    backend: FilesystemConfigBackend, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend._threads, "limits", StoreLimits(wait=0.3))
    saves = [backend.save(source("held")) for _ in range(MANY)]
    for outcome in await asyncio.gather(*saves, return_exceptions=True):
        assert isinstance(outcome, BackendUnavailableError)
        assert "'held'" in str(outcome)
        assert "nothing was written" in str(outcome)
    found = await backend.fetch("orders", "prod", "held")
    assert found is not None
    assert found.properties == {"a": 0}


async def test_a_cancelled_save_keeps_its_turn_until_it_is_done(
    backend: FilesystemConfigBackend, held: int
) -> None:
    saves = [
        asyncio.ensure_future(backend.save(source("held", application=f"app{number}")))
        for number in range(MANY)
    ]
    await asyncio.sleep(0.02)
    for save in saves:
        save.cancel()
    await backend.save(source("main"))
    fcntl.flock(held, fcntl.LOCK_UN)
    await backend.save(source("held"))
    assert await backend.fetch("orders", "prod", "held") is not None


async def test_a_label_that_becomes_a_link_out_of_the_root_while_a_save_waits_is_not_written(
    backend: FilesystemConfigBackend,
    held: int,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    saving = asyncio.ensure_future(backend.save(source("held")))
    await asyncio.sleep(0.1)
    outside = (tmp_path / "held").rename(tmp_path_factory.mktemp("outside") / "held")
    (tmp_path / "held").symlink_to(outside)
    fcntl.flock(held, fcntl.LOCK_UN)
    with pytest.raises(BackendAccessDeniedError, match="'held' is a link out of the root"):
        await saving
    assert (outside / "orders-prod.yaml").read_text(encoding="utf-8") == "a: 0\n"


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let every read of a bundle hang, as on a network file system that is gone."""
    go = threading.Event()
    fetch_many = TextReader.fetch_many

    def hang(reader: TextReader, keys: Any, *, deadline: float) -> Any:
        go.wait(60)
        return fetch_many(reader, keys, deadline=deadline)

    monkeypatch.setattr(TextReader, "fetch_many", hang)
    yield go
    go.set()


async def test_reads_that_hang_are_told_in_time_and_others_go_on(
    backend: FilesystemConfigBackend,
    write: Callable[..., Path],
    hanging: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("main/orders-prod.yaml", "a: 0\n")
    with monkeypatch.context() as patch:
        patch.setattr(backend._threads.batches, "_seconds", 0.3)
        reads = [backend.fetch("orders", "prod") for _ in range(MANY)]
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {BackendUnavailableError}
    assert await backend.has_label("main")
    assert await backend.labels() == ["main"]
    await backend.save(source("main"))
    hanging.set()
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"a": 1}


HANGS = """
import asyncio, os, sys, threading
from pyfly.config_server import FilesystemConfigBackend
from pyfly.config_server.files.text_reader import TextReader

TextReader.fetch_many = lambda *_, **__: threading.Event().wait()


async def main():
    backend = FilesystemConfigBackend(sys.argv[1])
    backend._threads.batches._seconds = 0.1
    try:
        await backend.fetch("orders", "prod")
    except Exception as error:
        print(type(error).__name__)
    await backend.aclose()


asyncio.run(main())
"""


def test_a_read_that_hangs_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", HANGS, str(tmp_path)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "BackendUnavailableError\n", "")


async def test_closing_does_not_wait_for_a_read_that_hangs(
    backend: FilesystemConfigBackend, hanging: threading.Event
) -> None:
    reading = asyncio.ensure_future(backend.fetch("orders", "prod"))
    await asyncio.sleep(0.05)
    await backend.aclose()
    assert not reading.done()
    hanging.set()
    assert await reading is None
