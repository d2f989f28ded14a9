"""What the file system reports to waiting readers, and what happens when it reports nothing."""

import asyncio
import contextlib
import errno
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import watchfiles

from pyfly.config_core import BackendUnavailableError, ConfigKey, UnsupportedOperationError
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server.files.atomic import TEMPORARY_NAME
from pyfly.config_server.storage import BundleChange, SupportsChangeHints, ability
from pyfly.config_server.stores import hints as hints_module

pytestmark = pytest.mark.anyio

SECONDS = 30
"""After this time a hint counts as missing."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "root"
    write(found / "main" / "orders-prod.yaml", "a: 1\n")
    return found


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def swap(link: Path, target: str) -> None:
    """Let a link lead elsewhere, in one step."""
    new = link.with_name("..new")
    new.symlink_to(target)
    new.rename(link)


@contextlib.asynccontextmanager
async def watched(root: Path) -> AsyncGenerator[AsyncGenerator[None]]:
    """Open a store and return its hints, from the time on at which the root is watched."""
    async with FilesystemConfigBackend(root) as backend, contextlib.aclosing(backend.hints()) as it:
        await hint(it)
        yield it


async def hint(hints: AsyncIterator[None]) -> None:
    async with asyncio.timeout(SECONDS):
        await anext(hints)


def rename_over(root: Path) -> None:
    write(root / "main" / ".orders-prod.yaml.swp", "a: 2\n")
    (root / "main" / ".orders-prod.yaml.swp").rename(root / "main" / "orders-prod.yaml")


CHANGES: dict[str, Callable[[Path], object]] = {
    "written in place": lambda root: write(root / "main" / "orders-prod.yaml", "a: 2\n"),
    "renamed over": rename_over,
    "removed": lambda root: (root / "main" / "orders-prod.yaml").unlink(),
    "its time set back": lambda root: os.utime(root / "main" / "orders-prod.yaml", (1, 1)),
    "a new file": lambda root: write(root / "main" / "billing-prod.yaml", "a: 1\n"),
    "a new label": lambda root: (root / "release").mkdir(),
    "a label renamed": lambda root: (root / "main").rename(root / "release"),
    "a link": lambda root: (root / "latest").symlink_to("main"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_is_hinted(root: Path, change: Callable[[Path], object]) -> None:
    async with watched(root) as hints:
        change(root)
        await hint(hints)


async def test_reading_passes_and_temporary_files_are_no_changes(root: Path) -> None:
    async with watched(root) as hints, FilesystemConfigBackend(root) as backend:
        waiting = asyncio.ensure_future(hint(hints))
        assert await backend.fetch("orders", "prod") is not None
        await backend.changes_since(None)
        write(root / "main" / TEMPORARY_NAME, "a: 2\n")  # of a save that goes on
        await asyncio.wait({waiting}, timeout=3 * hints_module._ROOT_SECONDS)
        assert not waiting.done()
        write(root / "main" / "orders-prod.yaml", "a: 2\n")
        await waiting


@pytest.mark.parametrize("made", ["a new label", "a label renamed"])
async def test_files_in_a_new_directory_are_hinted(root: Path, made: str) -> None:
    async with watched(root) as hints:
        CHANGES[made](root)
        await hint(hints)
        await hint(hints)  # the new directory is watched from now on
        write(root / "release" / "orders-prod.yaml", "a: 2\n")
        await hint(hints)


async def test_the_swap_of_a_mounted_config_map_is_hinted(tmp_path: Path) -> None:
    root = tmp_path / "mount"
    write(root / "main" / "..2026_01_01" / "orders-prod.yaml", "a: 1\n")
    (root / "main" / "..data").symlink_to("..2026_01_01")
    (root / "main" / "orders-prod.yaml").symlink_to("..data/orders-prod.yaml")
    write(root / "main" / "..2026_02_02" / "orders-prod.yaml", "a: 2\n")
    async with watched(root) as hints:
        swap(root / "main" / "..data", "..2026_02_02")
        await hint(hints)


async def test_a_file_behind_a_link_is_hinted(tmp_path: Path) -> None:
    """The root is a link; the label is a link to a hidden directory."""
    target = tmp_path / "volume" / ".versions" / "1" / "orders-prod.yaml"
    write(target, "a: 1\n")
    (tmp_path / "volume" / "main").symlink_to(".versions/1")
    (tmp_path / "root").symlink_to("volume")
    async with watched(tmp_path / "root") as hints:
        write(target, "a: 2\n")
        await hint(hints)


async def test_a_root_that_leads_elsewhere_is_hinted_and_followed(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write(tmp_path / name / "main" / "orders-prod.yaml", f"a: {name}\n")
    (tmp_path / "root").symlink_to("1")
    async with watched(tmp_path / "root") as hints:
        swap(tmp_path / "root", "2")
        await hint(hints)
        await hint(hints)  # the new root is watched from now on
        write(tmp_path / "2" / "main" / "orders-prod.yaml", "a: 3\n")
        await hint(hints)


def own(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records of this project; watchfiles logs every change at the level INFO."""
    return [one for one in caplog.records if one.name.startswith("pyfly.")]


async def test_a_root_that_vanishes_is_awaited(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(root) as hints:
        away = root.rename(root.with_name("away"))
        await hint(hints)
        while not own(caplog):  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0.01)
        away.rename(root)
        await hint(hints)
        write(root / "main" / "orders-prod.yaml", "a: 2\n")
        await hint(hints)
    (record,) = own(caplog)
    assert "no hints of changes" in record.getMessage()
    assert "found by polling" in record.getMessage()


async def test_links_out_of_the_root_and_repositories_are_not_watched(root: Path) -> None:
    (root / "everything").symlink_to("/")
    (root / "loop").symlink_to(".")
    (root / ".git" / "objects").mkdir(parents=True)
    (root / os.fsdecode(b"\xff")).mkdir()
    found = {*hints_module._directories(str(root))}
    assert found == {str(root), str(root / "main")}


async def test_readers_in_several_event_loops_are_told(root: Path) -> None:
    async with FilesystemConfigBackend(root) as backend:
        began, told = threading.Event(), threading.Event()

        async def read() -> None:
            async with contextlib.aclosing(backend.hints()) as hints:
                await hint(hints)
                began.set()
                await hint(hints)
                told.set()

        other = threading.Thread(target=asyncio.run, args=(read(),))
        other.start()
        assert await asyncio.to_thread(began.wait, SECONDS)
        async with contextlib.aclosing(backend.hints()) as hints:
            waiting = asyncio.ensure_future(hint(hints))
            await asyncio.sleep(0)  # so that it begins to wait
            write(root / "main" / "orders-prod.yaml", "a: 2\n")
            await waiting
        assert await asyncio.to_thread(told.wait, SECONDS)
        await asyncio.to_thread(other.join)


# --- closing --------------------------------------------------------------------------


def watches() -> list[str]:
    """Return the threads and the handles of watches in this process."""
    found = [thread.name for thread in threading.enumerate() if "hints" in thread.name]
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(handle.readlink()))
    return [name for name in found if "hints" in name or "inotify" in name]


async def gone() -> None:
    """Wait until nothing is watched; the library closes its handle in a thread of its own."""
    async with asyncio.timeout(SECONDS):
        while watches():  # noqa: ASYNC110 - threads end
            await asyncio.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the handles of inotify")
async def test_a_closed_store_leaves_no_thread_and_no_handle(root: Path) -> None:
    async with watched(root) as hints:
        assert len(watches()) == 2
        backend = FilesystemConfigBackend(root)
        waiting = [asyncio.ensure_future(anext(backend.hints(), "ended")) for _ in range(3)]
        await asyncio.wait(waiting)
        assert len(watches()) == 4  # three readers share a watch
        await backend.aclose()
        with pytest.raises(BackendUnavailableError, match="closed"):
            await anext(backend.hints())
        assert hints
    assert not [thread for thread in threading.enumerate() if "hints" in thread.name]
    await gone()


@pytest.mark.skipif(sys.platform != "linux", reason="counts the handles of inotify")
async def test_nothing_is_watched_after_the_last_reader_left(root: Path) -> None:
    async with FilesystemConfigBackend(root) as backend:
        for _ in range(3):
            hints = backend.hints()
            await hint(hints)
            waiting = asyncio.ensure_future(anext(hints))
            await asyncio.sleep(0)  # so that it begins to wait
            waiting.cancel()
            await asyncio.wait({waiting})
            await gone()


async def test_an_iterator_whose_reader_is_busy_ends_after_closing(root: Path) -> None:
    async with watched(root) as hints:
        pass
    assert [one async for one in hints] == []


# --- without events -------------------------------------------------------------------


async def test_without_the_library_there_are_no_hints(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FilesystemConfigBackend(root)
    assert ability(backend, SupportsChangeHints) is backend
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert ability(backend, SupportsChangeHints) is None
    with pytest.raises(UnsupportedOperationError, match="watchfiles"):
        await anext(backend.hints())
    assert await changed(backend)


async def changed(backend: FilesystemConfigBackend) -> bool:
    """Save a bundle; return true if a pass finds it."""
    cursor = (await backend.changes_since(None)).cursor
    await backend.save(ConfigSource(application="orders", profile="prod", properties={"a": 2}))
    batch = await backend.changes_since(cursor)
    return BundleChange(key=ConfigKey(application="orders", profile="prod")) in batch.changes


async def test_where_events_never_come_passes_find_the_change(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: str, stop_event: threading.Event, **__: object) -> Iterator[set[object]]:
        while not stop_event.is_set():
            time.sleep(0.01)
        yield from ()

    monkeypatch.setattr(watchfiles, "watch", silent)
    async with watched(root) as hints, FilesystemConfigBackend(root) as backend:
        waiting = asyncio.ensure_future(anext(hints, None))
        assert await changed(backend)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_without_a_thread_passes_find_the_change(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with FilesystemConfigBackend(root) as backend:
        hints = backend.hints()
        with monkeypatch.context() as patch:
            patch.setattr(hints_module._Watch, "start", fail)
            waiting = asyncio.ensure_future(anext(hints, None))
            await asyncio.sleep(0)  # so that it begins to wait
        assert await changed(backend)
        assert not waiting.done()
    assert await waiting is None
    (record,) = own(caplog)
    assert "can't start new thread" in record.getMessage()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "OS file watch limit reached."),
        OSError(errno.EMFILE, "Too many open files"),
        RuntimeError("error in underlying watcher"),
        ImportError("no wheel for this machine"),
    ],
    ids=["watches", "handles", "library", "import"],
)
async def test_an_error_of_the_library_is_logged_once_and_tried_again(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    tries: list[float] = []

    def fail(*_: str, **__: object) -> Iterator[set[object]]:
        tries.append(time.monotonic())
        raise error

    monkeypatch.setattr(hints_module, "_RETRY_SECONDS", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(watchfiles, "watch", fail)
        async with FilesystemConfigBackend(root) as backend:
            hints = backend.hints()
            await hint(hints)  # changes may have been missed
            waiting = asyncio.ensure_future(hint(hints))
            assert await changed(backend)
            while len(tries) < 5:  # noqa: ASYNC110 - a thread tries
                await asyncio.sleep(0.01)
            assert not waiting.done()
            patch.undo()
            await waiting  # it is watched now
            write(root / "main" / "orders-prod.yaml", "a: 3\n")
            await hint(hints)
            await hints.aclose()
    (record,) = own(caplog)
    assert record.levelno == logging.WARNING
    assert str(error) in record.getMessage()
