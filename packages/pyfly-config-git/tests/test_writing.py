"""Saves: commits that are pushed, races, refusals, lost answers, and the history."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from git_repositories import Repository, until_fetched
from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigConflictError,
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
    UnsupportedOperationError,
)
from pyfly.config_git import GitConfigBackend
from pyfly.config_server import Bundles
from pyfly.config_server.storage import ABSENT, ANY, ConfigSource

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Open = Callable[..., GitConfigBackend]
ORDERS = ConfigKey(application="orders", profile="prod")


def orders(port: int, label: str = "main") -> ConfigSource:
    return ConfigSource(
        application="orders", profile="prod", label=label, properties={"port": port}
    )


@pytest.fixture
def store(repository: Repository, open_store: Open) -> GitConfigBackend:
    repository.commit({"orders-prod.yml": "port: 1\n", "other.txt": "other"})
    return open_store(write="true")


def hook(repository: Repository, name: str, script: str) -> None:
    path = repository.path / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


async def test_a_save_is_a_commit_on_the_branch(
    repository: Repository, store: GitConfigBackend
) -> None:
    before = repository.head()
    message = "Raise the port\n\nbecause"
    await store.commit(orders(2), expected=ANY, author="Ada <ada@b.org>", message=message)
    shown = repository.git("log", "-1", "--format=%P|%an|%ae|%cn|%B", "main")
    assert shown == f"{before}|Ada|ada@b.org|pyfly-config|{message}"
    assert repository.git("diff", "--name-only", before, "main") == "orders-prod.yml"
    assert repository.git("show", "main:other.txt") == "other"
    repository.git("fsck", "--strict")
    assert (await store.history(ORDERS, limit=1))[0].author == "Ada <ada@b.org>"


async def test_a_save_without_remarks_names_the_bundle(
    repository: Repository, store: GitConfigBackend
) -> None:
    await store.save(orders(2))
    await store.delete(ORDERS, expected=ANY)
    lines = repository.git("log", "-2", "--format=%an|%s", "main").splitlines()
    assert lines == ["pyfly-config|Remove orders-prod", "pyfly-config|Save orders-prod"]
    rows = await store.history(ORDERS, limit=2)
    assert [(row.author, row.message, row.deleted) for row in rows] == [
        (None, None, True),
        (None, None, False),
    ]


async def test_the_mode_of_a_file_stays(repository: Repository, store: GitConfigBackend) -> None:
    blob = repository.git("rev-parse", "main:orders-prod.yml")
    tree = repository.git("mktree", data=f"100755 blob {blob}\torders-prod.yml\n".encode())
    commit = repository.git("commit-tree", tree, "-p", "main", "-m", "x")
    repository.git("update-ref", "refs/heads/main", commit)
    await until_fetched(store, "main", commit)
    await store.save(orders(2))
    assert repository.git("ls-tree", "main").startswith("100755")


async def test_a_tag_and_a_commit_do_not_move(
    repository: Repository, store: GitConfigBackend
) -> None:
    head = repository.head()
    repository.git("tag", "v1")
    await store.refetch()
    while not await store.has_label("v1"):
        await asyncio.sleep(0.01)
    for label in ("v1", head, head[:7]):
        with pytest.raises(ConfigObstructedError, match="does not move"):
            await store.save(orders(2, label))
    assert repository.git("for-each-ref", "--format=%(refname)") == "refs/heads/main\nrefs/tags/v1"


@pytest.mark.parametrize("label", ["x.lock", "a/b.lock", "end.", "HEAD"])
async def test_a_name_that_git_refuses_is_no_new_branch(
    store: GitConfigBackend, label: str
) -> None:
    with pytest.raises(InvalidConfigKeyError, match="git refuses"):
        await store.save(orders(2, label))


async def test_a_save_goes_to_master_where_that_is_the_default(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"}, "master")
    await open_store(write="true").save(orders(2))
    assert repository.git("for-each-ref", "--format=%(refname)") == "refs/heads/master"
    assert repository.git("show", "master:orders-prod.yml") == "port: 2"


async def test_a_lost_race_is_repeated_unless_the_bundle_changed(
    repository: Repository, store: GitConfigBackend
) -> None:
    found = await store.fetch("orders", "prod")
    assert found is not None
    repository.commit({"other.txt": "theirs"})
    await store.commit(orders(2), expected=str(found.version))
    assert repository.git("show", "main:other.txt") == "theirs"
    assert repository.git("show", "main:orders-prod.yml") == "port: 2"
    found = await store.fetch("orders", "prod")
    assert found is not None
    theirs = repository.commit({"orders-prod.yml": "port: 9"})
    with pytest.raises(ConfigConflictError):
        await store.commit(orders(3), expected=str(found.version))
    with pytest.raises(ConfigConflictError):
        await store.commit(orders(3), expected=ABSENT)
    assert repository.head() == theirs


async def test_writers_in_several_stores_lose_nothing(
    repository: Repository, open_store: Open, tmp_path: Path, store: GitConfigBackend, times: int
) -> None:
    hook(repository, "pre-receive", "sleep 0.05")
    others = [open_store(write="true", state=str(tmp_path / f"state{n}")) for n in range(2)]

    async def write(writer: int, backend: GitConfigBackend) -> None:
        for number in range(3 * times):
            source = ConfigSource(
                application=f"app{writer}", profile="prod", properties={"n": number}
            )
            await backend.save(source)

    await asyncio.gather(*(write(n, one) for n, one in enumerate([store, *others])))
    names = repository.git("ls-tree", "--name-only", "main").split()
    assert names == [
        "app0-prod.yml",
        "app1-prod.yml",
        "app2-prod.yml",
        "orders-prod.yml",
        "other.txt",
    ]
    assert repository.git("rev-list", "--count", "main") == str(1 + 9 * times)


async def test_of_writers_with_one_version_exactly_one_wins(
    repository: Repository, open_store: Open, tmp_path: Path, store: GitConfigBackend
) -> None:
    found = await store.fetch("orders", "prod")
    assert found is not None
    stores = [store, open_store(write="true", state=str(tmp_path / "state2"))]
    saves = [
        one.commit(orders(n), expected=str(found.version)) for n, one in enumerate(stores, start=2)
    ]
    outcomes = await asyncio.gather(*saves, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["ConfigConflictError", "str"]
    assert repository.git("rev-list", "--count", "main") == "2"


async def test_a_refused_push_changes_nothing(
    repository: Repository, store: GitConfigBackend
) -> None:
    before = repository.head()
    hook(repository, "pre-receive", "exit 1")
    with pytest.raises(BackendAccessDeniedError, match="hook declined"):
        await store.save(orders(2))
    assert repository.head() == before
    found = await store.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"port": 1}
    (repository.path / "hooks/pre-receive").unlink()
    await store.save(orders(2))


async def test_a_push_whose_answer_is_lost_is_done(
    repository: Repository, store: GitConfigBackend
) -> None:
    await store.check()
    hook(repository, "post-receive", "kill -9 $PPID")
    version = await store.commit(orders(2), expected=ANY)
    found = await store.fetch("orders", "prod")
    assert found is not None
    assert (found.version, found.properties) == (version, {"port": 2})


async def test_a_remote_that_is_away_takes_no_save(
    repository: Repository, store: GitConfigBackend
) -> None:
    await store.check()
    repository.path.rename(repository.path.with_name("away.git"))
    with pytest.raises(BackendUnavailableError):
        await store.save(orders(2))
    found = await store.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"port": 1}


async def test_a_repository_with_a_working_tree_takes_no_save(
    repository: Repository, open_store: Open, tmp_path: Path
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    working = tmp_path / "working"
    working.mkdir()
    repository.path.rename(working / ".git")
    store = open_store(f"git+file://{working}", write="true")
    assert await store.fetch("orders", "prod") is not None
    with pytest.raises(UnsupportedOperationError, match="working tree"):
        await store.save(orders(2))


async def test_equal_content_in_a_history_has_versions_of_its_own(
    repository: Repository, store: GitConfigBackend
) -> None:
    for number in (2, 1, 2):
        repository.commit({"orders-prod.yml": f"port: {number}"}, message=f"set {number}")
    await until_fetched(store, "main", repository.head())
    rows = await store.history(ORDERS)
    assert [row.message for row in rows] == ["set 2", "set 1", "set 2", "change"]
    versions = [row.version for row in rows]
    assert len(set(versions)) == 4
    found = [await store.fetch_version(ORDERS, version) for version in versions]
    assert [one and one.properties["port"] for one in found] == [2, 1, 2, 1]
    assert [one and one.version for one in found] == versions
    pages = [row.version for row in await store.history(ORDERS, limit=1)]
    while page := await store.history(ORDERS, limit=1, before=pages[-1]):
        pages += [row.version for row in page]
    assert pages == versions


async def test_a_save_that_was_pushed_is_done_though_the_clone_cannot_note_it(
    repository: Repository, store: GitConfigBackend, tmp_path: Path
) -> None:
    await store.save(orders(2))
    (clone,) = (tmp_path / "state").glob("*/clone-1")
    (clone / "refs/heads/main.lock").touch()  # what a killed save leaves
    await store.save(orders(3))
    assert repository.git("show", "main:orders-prod.yml") == "port: 3"
    await store.save(orders(4))
    await until_fetched(store, "main", repository.head())
    assert (await store.fetch("orders", "prod")).properties["port"] == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("row", ["120000 blob {}", "160000 commit {}", "040000 tree {}"])
async def test_a_save_replaces_no_link_no_submodule_and_no_directory(
    repository: Repository, store: GitConfigBackend, row: str
) -> None:
    named = {"b": "main:other.txt", "c": "main", "t": "main^{tree}"}[row.split()[1][0]]
    line = row.format(repository.git("rev-parse", named))
    tree = repository.git("mktree", data=f"{line}\torders-prod.yml\n".encode())
    commit = repository.git("commit-tree", tree, "-p", "main", "-m", "x")
    repository.git("update-ref", "refs/heads/main", commit)
    await until_fetched(store, "main", commit)
    with pytest.raises(ConfigObstructedError, match=r"orders-prod\.yml is in the way"):
        await store.commit(orders(2), expected=ABSENT)
    assert repository.head() == commit


@pytest.mark.parametrize("row", ["120000 blob {}", "160000 commit {}", "040000 tree {}"])
async def test_freezes_that_are_no_file_stop_writes(
    repository: Repository, store: GitConfigBackend, row: str
) -> None:
    named = {"b": "main:other.txt", "c": "main", "t": "main^{tree}"}[row.split()[1][0]]
    line = row.format(repository.git("rev-parse", named))
    tree = repository.git("mktree", data=f"{line}\t.pyfly-config-freezes.json\n".encode())
    commit = repository.git("commit-tree", tree, "-p", "main", "-m", "x")
    repository.git("update-ref", "refs/heads/main", commit)
    with pytest.raises(BackendError, match="cannot be read, so nothing is written"):
        await Bundles(store).save(orders(2))
    assert repository.head() == commit


async def test_a_save_brings_back_nothing_that_others_took_away(
    repository: Repository, store: GitConfigBackend
) -> None:
    first = repository.head()
    repository.commit({"orders-prod.yml": "port: 2\n", "new.txt": "new"})
    gone = repository.commit({"orders-prod.yml": "port: 2\n", "new.txt": "new"}, "gone")
    await until_fetched(store, "gone", gone)
    found = await store.fetch("orders", "prod")
    assert found is not None
    assert found.version is not None
    repository.git("update-ref", "refs/heads/main", first)  # set back
    repository.git("update-ref", "-d", "refs/heads/gone")
    for label in ("main", "gone"):
        with pytest.raises(ConfigConflictError):
            await store.commit(orders(3, label), expected=found.version)
    assert repository.head() == first
    await store.commit(orders(3), expected=ANY)
    assert repository.git("rev-parse", "main^") == first
    assert repository.git("ls-tree", "--name-only", "main").split() == [
        "orders-prod.yml",
        "other.txt",
    ]
    assert repository.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
