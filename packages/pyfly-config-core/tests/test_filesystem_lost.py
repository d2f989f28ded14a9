"""A root whose files are all gone is unreachable, unless a store has removed them."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyfly.config_core import BackendUnavailableError, ConfigKey
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server.files import LabelsLayout, Layout, SpringLayout, emptied, loss
from pyfly.config_server.storage import ABSENT, ANY, BundleChange, EverythingChange

pytestmark = pytest.mark.anyio

ORDERS = ConfigKey(application="orders", profile="prod")
SOURCE = ConfigSource(application="orders", profile="prod", properties={"a": 1})
LAYOUTS: dict[str, Layout] = {"labels": LabelsLayout(), "spring": SpringLayout()}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


@pytest.fixture(autouse=True)
def _confirmed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other process removes a bundle meanwhile, for which a store would look again later."""
    monkeypatch.setattr(loss, "_CONFIRM_SECONDS", 0.001)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "root"
    found.mkdir()
    return found


@pytest.fixture
def backend(root: Path, layout: Layout) -> FilesystemConfigBackend:
    return FilesystemConfigBackend(root, layout=layout)


def removed(root: Path) -> None:
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def replaced(root: Path) -> None:
    root.rename(root.with_name("away"))
    root.mkdir()


def linked(root: Path) -> None:
    replaced(root)
    root.rmdir()
    root.with_name("empty").mkdir()
    root.symlink_to("empty")


LOSSES = [removed, replaced, linked]

READS: dict[str, Callable[[Any], Any]] = {
    "fetch": lambda b: b.fetch("orders", "prod"),
    "fetch another": lambda b: b.fetch("orders", "dev"),
    "fetch_many": lambda b: b.fetch_many([ORDERS]),
    "list": lambda b: b.list(),
    "labels": lambda b: b.labels(),
    "keys": lambda b: anext(b.keys(), None),
    "keys of a label": lambda b: anext(b.keys("main"), None),
    "open_resource": lambda b: b.open_resource("main", "a.txt"),
    "resources": lambda b: anext(b.resources("main"), None),
    "check": lambda b: b.check(),
    "changes_since": lambda b: b.changes_since(None),
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "save": lambda b: b.save(SOURCE),
    "commit": lambda b: b.commit(SOURCE, expected=ABSENT),
    "delete": lambda b: b.delete(ORDERS, expected=ANY),
}


@pytest.mark.parametrize("call", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
@pytest.mark.parametrize("lose", LOSSES)
async def test_a_root_that_lost_its_files_is_unreachable(
    root: Path,
    backend: FilesystemConfigBackend,
    lose: Callable[[Path], None],
    call: Callable[[Any], Any],
) -> None:
    await FilesystemConfigBackend(root, layout=LAYOUTS["labels"]).save(SOURCE)
    await FilesystemConfigBackend(root, layout=LAYOUTS["spring"]).save(SOURCE)
    assert await backend.fetch("orders", "prod") is not None
    lose(root)
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match=r"no (label|file) any more.*mounted"):
            await call(backend)
    assert [*root.iterdir()] == []


@pytest.mark.parametrize("call", READS.values(), ids=READS.keys())
async def test_every_look_that_finds_something_is_remembered(
    root: Path, backend: FilesystemConfigBackend, layout: Layout, call: Callable[[Any], Any]
) -> None:
    await FilesystemConfigBackend(root, layout=layout).save(SOURCE)
    await call(backend)
    removed(root)
    with pytest.raises(BackendUnavailableError, match="any more"):
        await backend.fetch("orders", "prod")


async def test_an_unknown_label_of_a_lost_root_is_not_said_to_be_missing(root: Path) -> None:
    backend = FilesystemConfigBackend(root)
    await backend.save(SOURCE)
    assert not await backend.has_label("release")
    assert await backend.has_label("main")
    removed(root)
    for label in ("main", "release"):
        with pytest.raises(BackendUnavailableError, match="no label any more"):
            await backend.has_label(label)


@pytest.mark.parametrize("lose", LOSSES)
async def test_a_root_that_has_files_again_is_read_and_its_changes_are_named(
    root: Path,
    backend: FilesystemConfigBackend,
    layout: Layout,
    lose: Callable[[Path], None],
) -> None:
    await backend.save(SOURCE)
    start = await backend.changes_since(None)
    lose(root)
    with pytest.raises(BackendUnavailableError):
        await backend.changes_since(start.cursor)
    other = ConfigSource(application="billing", profile="prod", properties={"a": 1})
    await FilesystemConfigBackend(root, layout=layout).save(other)
    await backend.check()
    batch = await backend.changes_since(start.cursor)
    for key in (ORDERS, other.key):
        assert BundleChange(key=key) in batch.changes
    assert await backend.fetch("orders", "prod") is None
    assert await backend.fetch("billing", "prod") is not None


async def test_a_volume_that_comes_back_as_it_was_is_no_change(
    root: Path, backend: FilesystemConfigBackend
) -> None:
    await backend.save(SOURCE)
    start = await backend.changes_since(None)
    replaced(root)
    with pytest.raises(BackendUnavailableError):
        await backend.changes_since(start.cursor)
    root.rmdir()
    root.with_name("away").rename(root)
    assert await backend.fetch("orders", "prod") is not None
    assert await backend.changes_since(start.cursor) == start


async def test_a_root_that_never_had_files_is_empty(
    root: Path, backend: FilesystemConfigBackend
) -> None:
    for _ in range(2):
        assert await backend.fetch("orders", "prod") is None
        assert await backend.list() == []
        await backend.check()
        await backend.changes_since(None)
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("main", encoding="utf-8")
    assert await backend.list() == []
    removed(root)
    assert await backend.list() == []


async def test_a_store_that_is_opened_anew_takes_the_root_as_it_is(
    root: Path, backend: FilesystemConfigBackend, layout: Layout
) -> None:
    await backend.save(SOURCE)
    removed(root)
    with pytest.raises(BackendUnavailableError):
        await backend.list()
    again = FilesystemConfigBackend(root, layout=layout)
    assert await again.list() == []
    await again.save(SOURCE)
    assert len(await backend.list()) == 1


async def test_removing_the_last_bundle_leaves_an_empty_store_in_every_process(
    root: Path, backend: FilesystemConfigBackend, layout: Layout
) -> None:
    other = FilesystemConfigBackend(root, layout=layout)
    for _ in range(2):
        await backend.save(SOURCE)
        start = await backend.changes_since(None)
        assert await other.fetch("orders", "prod") is not None
        await other.changes_since(None)
        await backend.delete(ORDERS, expected=ANY)
        for one in (backend, other):
            assert await one.fetch("orders", "prod") is None
            assert await one.list() == []
            await one.check()
            batch = await one.changes_since(start.cursor)
            assert {BundleChange(key=ORDERS), EverythingChange()}.intersection(batch.changes)
    await other.save(SOURCE)
    removed(root)
    for one in (backend, other):
        with pytest.raises(BackendUnavailableError):
            await one.list()


async def test_the_last_bundle_is_removed_although_nothing_can_be_left_in_the_root(
    root: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FilesystemConfigBackend(root, layout=layout)
    await backend.save(SOURCE)

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(emptied, "os", SimpleNamespace(**vars(os) | {"open": refuse}))
    await backend.delete(ORDERS, expected=ANY)
    assert await backend.list() == []
    assert await backend.fetch("orders", "prod") is None
    assert [*root.iterdir()] == []


async def test_a_label_that_is_removed_beside_another_one_is_gone(root: Path) -> None:
    backend = FilesystemConfigBackend(root)
    await backend.save(SOURCE)
    (root / "release").mkdir()
    shutil.rmtree(root / "main")
    assert not await backend.has_label("main")
    assert await backend.fetch("orders", "prod") is None
    assert await backend.list() == []
    await backend.changes_since(None)


async def test_an_only_label_is_not_lost_while_there_is_a_file_below_the_root(root: Path) -> None:
    backend = FilesystemConfigBackend(root, layout=SpringLayout())
    await backend.save(SOURCE)
    (root / "etc" / "nginx").mkdir(parents=True)
    (root / "orders-prod.yml").unlink()
    with pytest.raises(BackendUnavailableError, match="no file any more"):
        await backend.fetch("orders", "prod")
    (root / "etc" / "nginx" / "nginx.conf").write_text("", encoding="utf-8")
    assert await backend.fetch("orders", "prod") is None
