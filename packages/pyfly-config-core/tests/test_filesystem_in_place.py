"""Files that somebody writes in place, which empties them first and fills them in pieces."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import BASE_PROFILE, BackendUnavailableError
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server.files import settling
from pyfly.config_server.storage import ConfigResource

pytestmark = pytest.mark.anyio

WHOLE = "".join(f"key{number}: value\n" for number in range(100))
Read = Callable[[FilesystemConfigBackend], Coroutine[Any, Any, Any]]


async def fetched(backend: FilesystemConfigBackend) -> Any:
    found = await backend.fetch("orders", "prod")
    return found and len(found.properties)


async def base_fetched(backend: FilesystemConfigBackend) -> Any:
    found = await backend.fetch("orders-prod", BASE_PROFILE, "main")
    return found and len(found.properties)


async def opened(backend: FilesystemConfigBackend) -> Any:
    found: ConfigResource | None = await backend.open_resource("main", "orders-prod.yaml")
    return found and found.content.count(b"\n")


async def listed(backend: FilesystemConfigBackend) -> Any:
    return next(len(source.properties) for source in await backend.list())


READS = {"fetch": fetched, "base": base_fetched, "resource": opened, "list": listed}
each_read = pytest.mark.parametrize("read", READS.values(), ids=READS.keys())


@pytest.fixture
def path(write: Callable[..., Path]) -> Path:
    return write("main/orders-prod.yaml", WHOLE)


@contextlib.contextmanager
def copying(path: Path, *, copy: str = "cp", pause: str) -> Generator[None]:
    """Copy an old file over the file again and again, from another process."""
    other, stop = path.parents[1] / "other", path.parents[1] / "stop"
    other.write_text(WHOLE, encoding="utf-8")
    os.utime(other, (1e9, 1e9))
    command = f"while [ ! -e {stop} ]; do {copy} {other} {path}; {pause}; done"
    with subprocess.Popen(["sh", "-c", command]):
        try:
            yield
        finally:
            stop.touch()


@pytest.mark.slow
@pytest.mark.parametrize("read", [fetched, base_fetched, opened])
@pytest.mark.parametrize("pause", ["sleep 0.3", ":"])
async def test_a_file_that_is_copied_over_in_a_loop_is_never_read_empty_or_cut(
    backend: FilesystemConfigBackend, path: Path, read: Read, pause: str
) -> None:
    answers: list[object] = []
    with copying(path, pause=pause):
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline or (pause != ":" and len(answers) < 10):
            reads = [read(backend) for _ in range(4)]
            answers += await asyncio.gather(*reads, return_exceptions=True)
            await asyncio.sleep(0.02)
    unavailable = [answer for answer in answers if isinstance(answer, BackendUnavailableError)]
    assert all("'main/orders-prod.yaml' keeps changing" in str(error) for error in unavailable)
    assert {answer for answer in answers if answer not in unavailable} <= {100}
    assert pause == ":" or 100 in answers
    assert await read(backend) == 100


@pytest.mark.slow
@pytest.mark.parametrize("read", [fetched, base_fetched, opened])
async def test_a_file_that_is_copied_over_with_its_times_is_never_read_empty_or_cut(
    backend: FilesystemConfigBackend, path: Path, read: Read
) -> None:
    assert await answers_during_copies(backend, path, read) == {100}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only a pause waits")
async def test_a_read_waits_for_a_truncation_however_long_that_takes(
    backend: FilesystemConfigBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_FREEING_SECONDS", 0)
    monkeypatch.setattr(settling, "_FREED_SECONDS", 0)
    assert await answers_during_copies(backend, path, opened) == {100}


async def answers_during_copies(
    backend: FilesystemConfigBackend, path: Path, read: Read
) -> set[object]:
    """Read while a file is copied over with its times; return the different answers.

    Its times are old when a copy is done, and while the next one begins to empty it.
    """
    answers: list[object] = []
    with copying(path, copy="cp -p", pause="sleep 0.01"):
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline or len(answers) < 50:
            reads = [read(backend) for _ in range(4)]
            answers += await asyncio.gather(*reads, return_exceptions=True)
    return {answer for answer in answers if not isinstance(answer, BackendUnavailableError)}


@each_read
async def test_an_emptied_file_is_read_when_it_is_filled(
    backend: FilesystemConfigBackend, path: Path, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    monkeypatch.setattr(settling, "EMPTY_NANOSECONDS", 60 * 10**9)
    monkeypatch.setattr(settling, "SETTLED_SECONDS", 60)
    assert await read(backend) == 100
    with path.open("w", encoding="utf-8") as file:
        reading = asyncio.create_task(read(backend))
        await asyncio.sleep(0.1)
        assert not reading.done()
        file.write(WHOLE)
    assert await reading == 100


@pytest.mark.slow
@each_read
async def test_a_file_that_is_written_in_pieces_is_read_when_it_is_complete(
    backend: FilesystemConfigBackend, path: Path, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    monkeypatch.setattr(settling, "SETTLING_NANOSECONDS", 10**9)
    monkeypatch.setattr(settling, "SETTLED_SECONDS", 60)
    assert await read(backend) == 100
    with path.open("w", encoding="utf-8") as file:
        file.write(WHOLE[:500])
        file.flush()
        reading = asyncio.create_task(read(backend))
        await asyncio.sleep(0.1)
        assert not reading.done()
        file.write(WHOLE[500:])
    assert await reading == 100


@pytest.mark.slow
async def test_a_file_that_stays_empty_is_an_empty_bundle(
    backend: FilesystemConfigBackend, path: Path
) -> None:
    path.write_text("", encoding="utf-8")
    began = time.monotonic()
    assert await fetched(backend) == 0
    assert time.monotonic() - began > 0.5
    assert await fetched(backend) == 0


async def test_a_file_that_keeps_changing_is_unavailable_and_listed_with_that_error(
    backend: FilesystemConfigBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLED_SECONDS", 0.1)
    monkeypatch.setattr(settling, "SETTLING_NANOSECONDS", 60 * 10**9)
    path.write_text(WHOLE, encoding="utf-8")
    with pytest.raises(BackendUnavailableError, match=r"'main/orders-prod\.yaml' keeps changing"):
        await backend.fetch("orders", "prod")
    (entry,) = [entry async for entry in backend.keys()]
    assert "keeps changing" in str(entry.error)
    assert await backend.list() == []


@pytest.mark.slow
async def test_a_file_that_settled_while_the_machine_was_busy_is_read_and_listed(
    backend: FilesystemConfigBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep, pause = asyncio.sleep, time.sleep
    # The time that a read may take is over after its first attempt, which came too early.
    monkeypatch.setattr(settling, "SETTLED_SECONDS", 0.04)
    monkeypatch.setattr(asyncio, "sleep", lambda _: sleep(0.5))
    monkeypatch.setattr(time, "sleep", lambda _: pause(0.5))
    path.write_text(WHOLE, encoding="utf-8")
    assert await fetched(backend) == 100
    path.write_text(WHOLE, encoding="utf-8")
    (source,) = await backend.list()
    assert len(source.properties) == 100


async def test_a_save_and_a_renamed_file_are_read_at_once_by_every_process(
    backend: FilesystemConfigBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLED_SECONDS", 0)  # a read that would wait fails
    for number in range(3):
        source = ConfigSource(application="orders", profile="prod", properties={"n": number})
        await backend.save(source)
        for reader in (backend, FilesystemConfigBackend(tmp_path)):
            found = await reader.fetch("orders", "prod")
            assert found is not None
            assert found.properties == {"n": number}
    written = tmp_path / "written"
    written.write_text("n: 7\n", encoding="utf-8")
    await asyncio.sleep(0.2)
    written.rename(tmp_path / "main" / "orders-prod.yaml")
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"n": 7}


async def test_a_time_in_the_future_does_not_keep_a_file_from_being_read(
    backend: FilesystemConfigBackend, path: Path
) -> None:
    os.utime(path, (4e9, 4e9))
    assert await fetched(backend) == 100


async def test_a_file_system_that_returns_less_than_is_asked_for_is_read_to_the_end(
    backend: FilesystemConfigBackend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(path, (1e9, 1e9))
    whole = os.pread

    def piece(descriptor: int, size: int, offset: int) -> bytes:
        return whole(descriptor, min(size, 7), offset)

    monkeypatch.setattr(os, "pread", piece)
    assert await fetched(backend) == 100
