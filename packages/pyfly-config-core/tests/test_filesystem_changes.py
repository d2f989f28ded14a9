"""What a pass over a directory notices, and what it costs."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyfly.config_core import BackendUnavailableError, ConfigKey
from pyfly.config_server import FilesystemConfigBackend
from pyfly.config_server.files import SpringLayout, directory_scan
from pyfly.config_server.files.directory_scan import DirectoryScanner
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    EverythingChange,
    LabelChange,
    ResourceChange,
)

pytestmark = pytest.mark.anyio

Write = Callable[..., Path]


def bundles(label: str, *names: str) -> set[Change]:
    keys = [name.split("/") for name in names]
    return {
        BundleChange(key=ConfigKey(application="/".join(key[:-1]), profile=key[-1], label=label))
        for key in keys
    }


async def changed(backend: FilesystemConfigBackend, change: Callable[[], object]) -> set[Change]:
    cursor = (await backend.changes_since(None)).cursor
    change()
    batch = await backend.changes_since(cursor)
    assert batch.cursor != cursor
    return set(batch.changes)


async def test_a_file_counts_as_every_bundle_as_which_it_can_be_read(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    write("main/other.yaml", "a: 1\n")
    assert await changed(backend, lambda: write("main/a-b-c.yml", "a: 1\n")) == {
        *bundles("main", "a-b-c/-", "a-b/c", "a/b-c"),
        ResourceChange(label="main", path="a-b-c.yml"),
    }


async def test_a_file_counts_under_every_label_that_it_lies_below(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    write("main/other.yaml", "a: 1\n")
    assert await changed(backend, lambda: write("feature/x/orders-prod.json", "{}")) == {
        *bundles("feature/x", "orders/prod", "orders-prod/-"),
        *bundles("feature", "x/orders/prod", "x/orders-prod/-"),
        ResourceChange(label="feature/x", path="orders-prod.json"),
        ResourceChange(label="feature", path="x/orders-prod.json"),
        LabelChange(label="feature"),
        LabelChange(label="feature/x"),
    }


async def test_in_the_layout_of_spring_the_root_is_the_label(tmp_path: Path, write: Write) -> None:
    backend = FilesystemConfigBackend(tmp_path, layout=SpringLayout(), label="release")
    assert await changed(backend, lambda: write("orders.yml", "a: 1\n")) == {
        *bundles("release", "orders/-"),
        ResourceChange(label="release", path="orders.yml"),
    }
    assert await changed(backend, lambda: write("etc/app.json", "{}")) == {
        ResourceChange(label="release", path="etc/app.json")
    }


async def test_hidden_files_do_not_count_and_those_behind_links_do(
    backend: FilesystemConfigBackend, write: Write, tmp_path: Path
) -> None:
    write("main/..1/orders-prod.yaml", "a: 1\n")
    (tmp_path / "main" / "..data").symlink_to("..1")
    (tmp_path / "main" / "orders-prod.yaml").symlink_to("..data/orders-prod.yaml")
    (tmp_path / "main" / "loop").symlink_to("..")
    (tmp_path / "main" / "outside.yaml").symlink_to("/etc/passwd")
    start = await backend.changes_since(None)
    write("main/.hidden.yaml", "a: 1\n")
    write(".git/HEAD", "main")
    write("main/..2/orders-prod.yaml", "a: 2\n")
    assert await backend.changes_since(start.cursor) == start
    (tmp_path / "main" / "..new").symlink_to("..2")
    (tmp_path / "main" / "..new").rename(tmp_path / "main" / "..data")
    batch = await backend.changes_since(start.cursor)
    assert bundles("main", "orders/prod") <= set(batch.changes)


async def test_an_unknown_cursor_gives_everything_and_a_missing_root_is_told(
    backend: FilesystemConfigBackend, tmp_path: Path
) -> None:
    assert (await backend.changes_since("1" * 64)).changes == (EverythingChange(),)
    tmp_path.rmdir()
    with pytest.raises(BackendUnavailableError, match="root"):
        await backend.changes_since(None)
    tmp_path.mkdir()


def test_every_write_is_noticed_however_close_they_are_and_of_equal_length(tmp_path: Path) -> None:
    path = tmp_path / "orders-prod.yaml"
    path.write_text("a: 000\n", encoding="utf-8")
    scanner = DirectoryScanner(tmp_path)
    cursors = {scanner.scan().cursor}
    for value in range(1, 300):
        path.write_text(f"a: {value:03}\n", encoding="utf-8")
        found = scanner.scan()
        assert [*found.paths] == ["orders-prod.yaml"]
        cursors.add(found.cursor)
    assert len(cursors) == 300


def test_a_file_that_gets_old_changes_the_cursor_only_to_that_of_every_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orders.yaml").write_text("a: 1\n", encoding="utf-8")
    scanner = DirectoryScanner(tmp_path)
    young = scanner.scan().cursor
    assert scanner.scan().cursor == DirectoryScanner(tmp_path).scan().cursor == young
    monkeypatch.setattr(directory_scan, "YOUNG_NANOSECONDS", -(10**12))
    old = scanner.scan()
    assert old.cursor != young
    assert [*old.paths] == []
    assert scanner.scan().cursor == DirectoryScanner(tmp_path).scan().cursor == old.cursor


def test_a_young_file_is_looked_at_once_more_when_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write may leave the times of the one before, if it follows at once."""
    (tmp_path / "orders.yaml").write_text("a: 1\n", encoding="utf-8")
    scanner = DirectoryScanner(tmp_path)
    scanner.scan()
    monkeypatch.setattr(directory_scan, "YOUNG_NANOSECONDS", -(10**12))
    monkeypatch.setattr(directory_scan, "_digest", lambda _: "of another content")
    assert [*scanner.scan().paths] == ["orders.yaml"]
    assert [*scanner.scan().paths] == []


@pytest.mark.slow
@pytest.mark.measured
def test_a_pass_over_10_000_files_takes_little_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured: 26 ms of CPU time; 40 ms are promised."""
    monkeypatch.setattr(directory_scan, "YOUNG_NANOSECONDS", -(10**12))
    for number in range(10_000):
        path = tmp_path / f"label{number % 10}" / f"app{number}-prod.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("a: 1\n", encoding="utf-8")
    scanner = DirectoryScanner(tmp_path)
    scanner.scan()
    times: list[float] = []
    for _ in range(5):
        began = time.thread_time()
        assert [*scanner.scan().paths] == []
        times.append(time.thread_time() - began)
    assert min(times) < 3 * 0.040
