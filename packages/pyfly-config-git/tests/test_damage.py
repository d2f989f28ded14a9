"""What is damaged, malformed or killed: never an absence, never another answer, and it heals."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from git_repositories import Repository, until_fetched
from pyfly.config_core import BackendStaleError, BackendUnavailableError, ConfigKey
from pyfly.config_git import GitConfigBackend

pytestmark = pytest.mark.anyio

Open = Callable[..., GitConfigBackend]
ORDERS = ConfigKey(application="orders", profile="prod")


async def port(store: GitConfigBackend, label: str = "main") -> object:
    found = await store.fetch("orders", "prod", label)
    return None if found is None else found.properties["port"]


async def until_stale(store: GitConfigBackend) -> None:
    """Return when a fetch has failed."""
    await store.refetch()
    while True:
        try:
            await store.changes_since(None)
        except BackendStaleError:
            return
        await asyncio.sleep(0.01)


def _empty_branch(clone: Path) -> None:
    (clone / "refs/heads/other").write_bytes(b"")  # what a loss of power leaves


def _empty_objects(clone: Path) -> None:
    for path in clone.glob("objects/??/*"):
        path.chmod(0o600)
        path.write_bytes(b"")


def _cut_pack(clone: Path) -> None:
    Repository.at(clone).git("repack", "-a", "-d", "-q")
    for path in clone.glob("objects/pack/*.pack"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize("damage", [_empty_branch, _empty_objects, _cut_pack])
async def test_damage_that_only_a_fetch_meets_is_healed(
    repository: Repository, open_store: Open, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    repository.commit({"orders-prod.yml": "port: 2"}, "other")
    store = open_store()
    assert (await port(store), await port(store, "other")) == (1, 2)
    (clone,) = (tmp_path / "state").glob("*/clone-1")
    damage(clone)
    commit = repository.commit({"orders-prod.yml": "port: 3"})
    await until_stale(store)
    assert (await port(store), await port(store, "other")) == (1, 2)
    await until_fetched(store, "main", commit)
    assert (await port(store), await port(store, "other")) == (3, 2)
    while [path.name for path in (tmp_path / "state").glob("*/clone-*")] != ["clone-2"]:
        await asyncio.sleep(0.01)


async def test_a_killed_change_of_packed_branches_stops_no_fetch(
    repository: Repository, open_store: Open, tmp_path: Path
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    repository.commit({"orders-prod.yml": "port: 2"}, "gone")
    store = open_store()
    assert await port(store, "gone") == 2
    (clone,) = (tmp_path / "state").glob("*/clone-1")
    Repository.at(clone).git("pack-refs", "--all")
    (clone / "packed-refs.new").touch()
    (clone / "objects/tmp_objdir-x").mkdir()
    repository.git("update-ref", "-d", "refs/heads/gone")
    await until_stale(store)
    assert await port(store, "gone") == 2  # a removal is believed after a whole fetch
    await until_fetched(store, "main", repository.commit({"orders-prod.yml": "port: 3"}))
    while await port(store, "gone") is not None:
        await asyncio.sleep(0.01)


async def test_a_killed_git_is_an_error_and_no_absence(
    repository: Repository, open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = repository.commit({"orders-prod.yml": "port: 1"})
    repository.commit({"orders-prod.yml": "port: 2"})
    program, flag = tmp_path / "bin" / "git", tmp_path / "flag"
    program.parent.mkdir()
    real = shutil.which("git")
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *rev-list*) test ! -e {flag} || kill -9 $$;; esac\n'
        f'exec {real} "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    store = open_store()
    assert await port(store) == 2
    flag.touch()
    for call in (store.has_label(first), port(store, first[:7]), store.history(ORDERS)):
        with pytest.raises(BackendUnavailableError):
            await call
    flag.unlink()
    assert (await store.has_label(first), await port(store, first[:7])) == (True, 1)
    assert len(await store.history(ORDERS)) == 2


async def test_what_old_programs_have_written_is_read(
    repository: Repository, open_store: Open, tmp_path: Path
) -> None:
    blob = bytes.fromhex(repository.git("hash-object", "-w", "--stdin", data=b"port: 1"))

    def stored(kind: str, data: bytes) -> str:
        return repository.git("hash-object", "-t", kind, "-w", "--literally", "--stdin", data=data)

    inner = stored("tree", b"100600 b.txt\0" + blob)
    rows = b"0100644 orders-prod.yml\0" + blob + b"040000 sub\0" + bytes.fromhex(inner)
    tree = stored("tree", rows)
    commit = stored("commit", f"tree {tree}\nauthor ada <ada@x\ncommitter ada\n\nold\n".encode())
    repository.git("update-ref", "refs/heads/main", commit)
    store = open_store()
    assert await port(store) == 1
    assert await store.open_resource("main", "sub/b.txt") is not None
    (row,) = await store.history(ORDERS)
    assert (row.author, row.message, row.saved_at.year) == ("ada <ada@x", "old", 1970)
    assert [path.name for path in (tmp_path / "state").glob("*/clone-*")] == ["clone-1"]
    assert await port(store) == 1  # the clone is not taken for a damaged one


@pytest.mark.parametrize("end", ["\u2028x", "\u2029x", "\u0085x"])
async def test_a_branch_that_looks_like_two_lines_is_no_other_branch(
    repository: Repository, open_store: Open, end: str
) -> None:
    commit = repository.commit({"orders-prod.yml": "port: 1"})
    other = repository.commit({"orders-prod.yml": "port: 666"}, "other")
    repository.git("update-ref", f"refs/heads/main{end}", other)
    repository.git("update-ref", f"refs/tags/v1{end}", other)
    store = open_store()
    assert await port(store) == 1
    assert await store.labels() == ["main", "other"]
    key = ConfigKey(application="orders", profile="prod")
    assert (await store.fetch_snapshot([key])).version == commit


@pytest.mark.slow
async def test_an_old_master_takes_the_place_of_main_at_the_second_look_only(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 666"}, "master")
    repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store(refresh="1")
    assert await port(store) == 1
    repository.git("update-ref", "-d", "refs/heads/main")
    await until_stale(store)
    assert await port(store) == 1
    while await port(store) != 666:
        await asyncio.sleep(0.05)
    assert await store.labels() == ["master"]
