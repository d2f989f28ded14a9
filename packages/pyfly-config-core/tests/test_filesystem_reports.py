"""Scans of what the file system has reported: the same result as complete scans, for less work."""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Collection
from pathlib import Path
from random import Random

import pytest

from pyfly.config_server import FilesystemConfigBackend
from pyfly.config_server.files import directory_scan
from pyfly.config_server.files.directory_scan import DirectoryScanner
from pyfly.config_server.storage import ResourceChange
from pyfly.config_server.stores import watch_period

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="reports are taken from inotify only"),
]

SECONDS = 30


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of which complete scans are expensive enough, and rare."""
    monkeypatch.setattr(directory_scan, "_CHEAP_SECONDS", 0.0)
    monkeypatch.setattr(directory_scan, "_SHARE", 10**7)
    monkeypatch.setattr(directory_scan, "YOUNG_NANOSECONDS", -(10**12))  # cursors have no age
    found = tmp_path / "root"
    for label in ("main", "release"):
        (found / label).mkdir(parents=True)
        for number in range(3):
            write(found / label / f"app{number}-prod.yaml", "a: 1\n")
    return found


@pytest.fixture
def complete_scans(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Gets one more item with each complete scan of a store."""
    found: list[None] = []
    original = DirectoryScanner._look_at_all

    def look(self: DirectoryScanner, reported: object) -> object:
        found.append(None)
        return original(self, reported)  # type: ignore[arg-type]

    monkeypatch.setattr(DirectoryScanner, "_look_at_all", look)
    return found


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def rename_over(path: Path) -> None:
    write(path.with_name(".new"), "a: 3\n")
    path.with_name(".new").rename(path)


@contextlib.asynccontextmanager
async def watched(root: Path) -> AsyncGenerator[FilesystemConfigBackend]:
    """Open a store whose root is watched, and was scanned since."""
    async with FilesystemConfigBackend(root) as backend, contextlib.aclosing(backend.hints()) as it:
        async with asyncio.timeout(SECONDS):
            await anext(it)
        await scan(backend)
        await scan(backend)  # the first one after the begin of the watch
        yield backend


async def scan(backend: FilesystemConfigBackend) -> str:
    return (await backend.changes_since(None)).cursor


CHANGES: dict[str, Callable[[Path], object]] = {
    "written in place": lambda root: write(root / "main" / "app0-prod.yaml", "a: 2\n"),
    "renamed over": lambda root: rename_over(root / "main" / "app0-prod.yaml"),
    "renamed": lambda root: (root / "main" / "app0-prod.yaml").rename(root / "main" / "b.yaml"),
    "moved to another label": lambda root: (root / "main" / "app0-prod.yaml").rename(
        root / "release" / "c.yaml"
    ),
    "moved out": lambda root: (root / "main" / "app0-prod.yaml").rename(root.parent / "c.yaml"),
    "removed": lambda root: (root / "main" / "app0-prod.yaml").unlink(),
    "its time set back": lambda root: os.utime(root / "main" / "app0-prod.yaml", (1, 1)),
    "its mode": lambda root: (root / "main" / "app0-prod.yaml").chmod(0o600),
    "a new file": lambda root: write(root / "main" / "new-prod.yaml", "a: 1\n"),
    "a file in the root": lambda root: write(root / "notes.txt", "a: 1\n"),
    "a hidden file": lambda root: write(root / "main" / ".hidden", "a: 1\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_reported_change_needs_no_complete_scan(
    root: Path, complete_scans: list[None], change: Callable[[Path], object]
) -> None:
    async with watched(root) as backend:
        complete_scans.clear()
        change(root)
        cursor = await scan(backend)
        assert not complete_scans
    assert cursor == DirectoryScanner(root).scan().cursor


async def test_a_young_file_is_read_in_every_scan(
    root: Path, complete_scans: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_scan, "YOUNG_NANOSECONDS", 10**15)
    async with watched(root) as backend:
        complete_scans.clear()
        before = await scan(backend)
        monkeypatch.setattr(directory_scan, "_digest", lambda _: "of another content")
        batch = await backend.changes_since(before)
        assert ResourceChange(label="main", path="app0-prod.yaml") in batch.changes
        assert not complete_scans


def link_inside(root: Path) -> None:
    (root / "main" / "link.yaml").symlink_to("app0-prod.yaml")
    write(root / "main" / "app0-prod.yaml", "a: 4\n")


def second_name(root: Path) -> None:
    (root.parent / "outside").hardlink_to(root / "main" / "app0-prod.yaml")
    (root / "main" / "app1-prod.yaml").unlink()
    (root / "main" / "app1-prod.yaml").hardlink_to(root.parent / "outside")
    write(root.parent / "outside", "a: 5\n")


def replace_root(root: Path) -> None:
    shutil.copytree(root, root.with_name("other"))
    root.rename(root.with_name("old"))
    root.with_name("other").rename(root)


def make_label(root: Path) -> None:
    (root / "next" / "deep").mkdir(parents=True)
    write(root / "next" / "deep" / "a.yaml", "a: 1\n")


OTHERS: dict[str, Callable[[Path], object]] = {
    "a link": link_inside,
    "a file with two names": second_name,
    "another root": replace_root,
    "a new label": make_label,
    "a label renamed": lambda root: (root / "main").rename(root / "other"),
    "a label removed": lambda root: shutil.rmtree(root / "main"),
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS.keys())
async def test_what_reports_do_not_describe_is_found_by_a_complete_scan(
    root: Path, change: Callable[[Path], object]
) -> None:
    async with watched(root) as backend:
        change(root)
        assert await scan(backend) == DirectoryScanner(root).scan().cursor
        write(root / "release" / "app0-prod.yaml", "a: 6\n")
        assert await scan(backend) == DirectoryScanner(root).scan().cursor


async def test_a_file_with_a_name_outside_of_the_root_is_looked_at_in_every_scan(
    root: Path,
) -> None:
    (root.parent / "outside").hardlink_to(root / "main" / "app0-prod.yaml")
    async with watched(root) as backend:
        for number in range(3):
            before = await scan(backend)
            write(root.parent / "outside", f"a: {number}\n")
            assert await scan(backend) != before


@pytest.mark.slow
async def test_random_changes_are_found_as_by_complete_scans(root: Path) -> None:
    random = Random(7)

    def step() -> None:
        names = [root / label / name for label in ("main", "release") for name in "abcd"]
        one, other = random.sample(names, 2)
        for path in (one, other):
            path.parent.mkdir(exist_ok=True)
        match random.randrange(8):
            case 0 | 1 | 2:
                write(one, str(random.random()))
            case 3 if one.exists():
                one.rename(other)
            case 4:
                one.unlink(missing_ok=True)
            case 5 if one.exists():
                one.chmod(random.choice([0o600, 0o640]))
            case 6 if random.random() < 0.3:
                shutil.rmtree(one.parent)
            case _:
                rename_over(one)

    async with watched(root) as backend:
        for _ in range(60):
            for _ in range(random.randrange(4)):
                step()
            assert await scan(backend) == DirectoryScanner(root).scan().cursor


# --- when reports cannot be used ------------------------------------------------------


@pytest.mark.parametrize("missing", ["marker", "file system", "mounted file", "watch"])
async def test_without_reports_every_scan_is_complete(
    root: Path, complete_scans: list[None], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    match missing:
        case "marker":
            monkeypatch.setattr(watch_period, "_MARKER_PARENTS", ("/nonexistent",))
        case "file system":
            monkeypatch.setattr(watch_period, "_REPORTING", frozenset())
        case "mounted file":
            point = root.resolve() / "main" / "app 0-prod.yaml"
            text = str(point).replace(" ", r"\040")
            mounts = f"{watch_period.read_mounts()}99 1 0:1 /x {text} rw - ext4 x rw\n"
            monkeypatch.setattr(watch_period, "read_mounts", lambda: mounts)
        case _:
            monkeypatch.setattr(watch_period, "_ARRIVAL_SECONDS", 0.0)
    async with watched(root) as backend:
        complete_scans.clear()
        write(root / "main" / "app0-prod.yaml", "a: 2\n")
        assert await scan(backend) == DirectoryScanner(root).scan().cursor
        assert len(complete_scans) == 1 + 1  # one is that of the comparison


async def test_a_mount_ends_the_watch(
    root: Path, complete_scans: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(root) as backend:
        complete_scans.clear()
        mounts = watch_period.read_mounts()
        monkeypatch.setattr(watch_period, "read_mounts", lambda: f"{mounts}\n")
        await scan(backend)
        assert complete_scans


async def test_reports_are_ignored_after_a_change_that_was_not_reported(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(directory_scan, "_SHARE", 0)  # every scan is complete
    monkeypatch.setattr(directory_scan, "_DOUBT_SECONDS", 0.0)
    secret = root / "main" / "app0-prod.yaml"
    add, take = watch_period.WatchPeriod.add, watch_period.WatchPeriod.take
    taken: list[None] = []

    def keep_secret(period: watch_period.WatchPeriod, paths: Collection[str]) -> None:
        add(period, {path for path in paths if path != str(secret)})

    def count(period: watch_period.WatchPeriod) -> frozenset[str] | None:
        taken.append(None)
        return take(period)

    monkeypatch.setattr(watch_period.WatchPeriod, "add", keep_secret)
    monkeypatch.setattr(watch_period.WatchPeriod, "take", count)
    async with watched(root) as backend:
        write(root / "main" / "app1-prod.yaml", "a: 2\n")
        before = await scan(backend)
        await scan(backend)
        assert not own(caplog)
        write(secret, "a: 2\n")
        batch = await backend.changes_since(before)
        assert ResourceChange(label="main", path="app0-prod.yaml") in batch.changes
        await scan(backend)
        taken.clear()
        await scan(backend)
        assert not taken
    (record,) = own(caplog)
    assert "does not report every change" in record.getMessage()


def own(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [one for one in caplog.records if one.name.startswith("pyfly.")]


async def test_a_marker_that_something_has_tidied_up_is_made_again(
    root: Path, tmp_path: Path, complete_scans: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "markers"
    parent.mkdir()
    monkeypatch.setattr(watch_period, "_MARKER_PARENTS", (str(parent),))
    monkeypatch.setattr(watch_period, "_ARRIVAL_SECONDS", SECONDS)
    async with watched(root) as backend:
        complete_scans.clear()
        for number in range(3):
            for marker in parent.glob("*/*"):
                marker.unlink()
            before = await scan(backend)
            write(root / "main" / "app0-prod.yaml", f"a: {number + 10}\n")
            batch = await backend.changes_since(before)
            assert ResourceChange(label="main", path="app0-prod.yaml") in batch.changes
        assert not complete_scans


async def test_markers_are_removed_with_the_watch(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "markers"
    parent.mkdir()
    monkeypatch.setattr(watch_period, "_MARKER_PARENTS", (str(parent),))
    async with watched(root):
        assert len([*parent.iterdir()]) == 1
    async with asyncio.timeout(SECONDS):
        while [*parent.iterdir()]:  # noqa: ASYNC110 - a thread removes it
            await asyncio.sleep(0.01)
