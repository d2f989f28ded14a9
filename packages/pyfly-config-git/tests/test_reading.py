"""What is served of a repository, and what is not."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from git_repositories import Repository, until_fetched
from pyfly.config_core import ConfigFormatError, ConfigKey, InvalidConfigKeyError
from pyfly.config_git import GitConfigBackend
from pyfly.config_server import ConfigServer
from pyfly.config_server.storage import (
    BundleChange,
    LabelChange,
    ResourceChange,
    SupportsConditionalSave,
    SupportsDelete,
    ability,
)

pytestmark = pytest.mark.anyio

Open = Callable[..., GitConfigBackend]


async def port(store: GitConfigBackend, label: str = "main") -> object:
    """Return the value of a key that every test has, `None` without the bundle."""
    found = await store.fetch("orders", "prod", label)
    return None if found is None else found.properties["port"]


async def test_a_label_is_a_branch_before_a_tag_before_a_commit(
    repository: Repository, open_store: Open
) -> None:
    old = repository.commit({"orders-prod.yml": "port: 1"})
    repository.git("tag", "release", old)
    repository.git("tag", "-a", "-m", "note", "annotated", old)
    repository.git("tag", "-a", "-m", "note", "nested", "annotated")
    repository.commit({"orders-prod.yml": "port: 2"}, "release")
    repository.commit({"orders-prod.yml": "port: 3"}, "feature/x")
    repository.commit({"orders-prod.yml": "port: 4"}, old[:7])
    repository.commit({"orders-prod.yml": "port: 5"})
    store = open_store()
    labels = ["main", "release", "annotated", "nested", "feature/x", old[:7], old[:8], old]
    labels.append(old[:8].upper())
    assert [await port(store, label) for label in labels] == [5, 2, 1, 1, 3, 4, 1, 1, 1]
    key = ConfigKey(application="orders", profile="prod", label="annotated")
    assert (await store.fetch_snapshot([key])).version == old
    listed = ["annotated", "feature/x", old[:7], "main", "nested", "release"]
    assert await store.labels() == sorted(listed)


async def test_what_is_no_label_is_none(repository: Repository, open_store: Open) -> None:
    first = repository.commit({"orders-prod.yml": "port: 1"})
    second = repository.commit({"orders-prod.yml": "port: 2"}, "gone")
    repository.git("update-ref", "-d", "refs/heads/gone")
    store = open_store()
    tree = repository.git("rev-parse", f"{first}^{{tree}}")
    for label in ("HEAD", "FETCH_HEAD", "heads/main", "refs/heads/main", tree, second, "abcd", "x"):
        assert await store.has_label(label) is False, label
        assert await port(store, label) is None
    for label in ("main~1", "main^{tree}", ":/change", "main:orders-prod.yml", "main\nmain", "-x"):
        with pytest.raises(InvalidConfigKeyError):
            await store.has_label(label)


async def test_an_ambiguous_id_is_no_label(repository: Repository, open_store: Open) -> None:
    stream = b"".join(
        b"commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 1\nx\n"
        b"M 100644 inline orders-prod.yml\ndata 7\nport: 1\n\n" % number
        for number in range(1, 1500)
    )
    repository.git("fast-import", "--quiet", "--force", data=stream)
    commits = repository.git("rev-list", "main").split()
    prefixes = [commit[:4] for commit in commits]
    twice = next(one for one in prefixes if prefixes.count(one) > 1)
    store = open_store()
    assert await store.has_label(twice) is False
    whole = [commit for commit in commits if commit.startswith(twice)]
    assert [await store.has_label(commit) for commit in whole] == [True] * len(whole)


async def test_the_default_label_is_master_in_a_repository_without_main(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"}, "master")
    store = open_store()
    assert (await port(store), await port(store, "master")) == (1, 1)
    assert await store.labels() == ["master"]
    cursor = (await store.changes_since(None)).cursor
    await until_fetched(
        store, "master", repository.commit({"orders-prod.yml": "port: 2"}, "master")
    )
    changes = (await store.changes_since(cursor)).changes
    for label in ("main", "master"):
        key = ConfigKey(application="orders", profile="prod", label=label)
        assert BundleChange(key=key) in changes
    await until_fetched(store, "main", repository.commit({"orders-prod.yml": "port: 3"}))
    assert (await port(store), await port(store, "master")) == (3, 2)


async def test_links_submodules_and_hostile_names_are_no_files(
    repository: Repository, open_store: Open
) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", data=b"port: 1")
    commit = repository.commit({"orders-prod.yml": "port: 2", "a/b.txt": "b"})
    names = {b"..": b"100644", b".git": b"100644", b".GIT": b"100644", b"a\nb": b"100644"}
    names |= {b"\xff.yml": b"100644", b"c\\d": b"100644", b"link.yml": b"120000"}
    names |= {b"sub": b"160000", b"good.yml": b"100755"}
    rows = sorted(names.items())
    tree = b"".join(b"%s %s\0%s" % (m, n, bytes.fromhex(blob)) for n, m in rows)
    object_id = repository.git(
        "hash-object", "-t", "tree", "-w", "--literally", "--stdin", data=tree
    )
    hostile = repository.git("commit-tree", object_id, "-p", commit, "-m", "x")
    repository.git("update-ref", "refs/heads/hostile", hostile)
    store = open_store()
    await store.check()
    assert [one.key.stem async for one in store.keys("hostile")] == ["good"]
    assert [one.path async for one in store.resources("hostile")] == ["good.yml"]
    pid = store._mirror.snapshot().objects.cat_file.pid  # type: ignore[union-attr]
    for path in ("link.yml", "sub", "sub/x", "good.yml/x", "c"):
        assert await store.open_resource("hostile", path) is None
    for path in ("../x", "a\nb", ".git/config", ":/x", "HEAD^{/x}"):
        with pytest.raises(InvalidConfigKeyError):
            await store.open_resource("hostile", path)
    assert await store.open_resource("main", "a") is None
    assert await port(store) == 2
    assert store._mirror.snapshot().objects.cat_file.pid == pid  # type: ignore[union-attr]


async def test_a_file_that_is_too_large_is_refused_without_reading_it(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"big.bin": b"x" * 10_485_761, "orders-prod.yml": "port: 1"})
    store = open_store()
    with pytest.raises(ConfigFormatError, match="larger than"):
        await store.open_resource("main", "big.bin")
    assert await port(store) == 1


async def test_a_repository_with_sha256_is_read(tmp_path: Path, open_store: Open) -> None:
    repository = Repository(tmp_path / "new.git", object_format="sha256")
    commit = repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store(repository.url)
    assert len(commit) == 64
    assert [await port(store, label) for label in ("main", commit, commit[:10])] == [1, 1, 1]


@pytest.mark.slow
async def test_every_answer_comes_from_one_commit(
    repository: Repository, open_store: Open, times: int
) -> None:
    keys = [ConfigKey(application=name, profile="prod") for name in ("a", "b", "c")]
    commits: dict[str, int] = {}

    def publish(number: int) -> str:
        files = {f"{key.stem}.yml": f"n: {number}" for key in keys}
        commit = repository.commit(files)
        commits[commit] = number
        return commit

    publish(0)
    store = open_store()
    for number in range(1, 10 * times + 1):
        commit = publish(number)
        waiting = asyncio.ensure_future(until_fetched(store, "main", commit))
        while not waiting.done():
            found = await store.fetch_snapshot(keys)
            numbers = {str(one.properties["n"]) for one in found.sources if one is not None}
            assert numbers == {str(commits[str(found.version)])}
        await waiting


async def test_a_change_names_bundles_files_and_labels(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1", "a/b.txt": "b"})
    repository.commit({"orders-prod.yml": "port: 1"}, "old")
    store = open_store()
    start = await store.changes_since(None)
    repository.git("update-ref", "-d", "refs/heads/old")
    repository.git("tag", "new", "main")
    await until_fetched(
        store, "main", repository.commit({"a/b.txt": "c", "orders-prod.yml": "port: 2"})
    )
    batch = await store.changes_since(start.cursor)
    expected = {
        BundleChange(key=ConfigKey(application="orders", profile="prod")),
        ResourceChange(label="main", path="a/b.txt"),
        LabelChange(label="old"),
        LabelChange(label="new"),
    }
    assert expected <= set(batch.changes)
    assert (await store.changes_since(batch.cursor)).changes == ()


async def test_a_store_without_write_has_no_writes(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store()
    assert ability(store, SupportsConditionalSave) is None
    assert ability(store, SupportsDelete) is None


async def test_the_root_is_the_first_of_the_search_locations(
    repository: Repository, open_store: Open
) -> None:
    repository.commit(
        {
            "orders.yml": "a: 1",
            "config/orders.yml": "a: 2",
            "main/orders.yml": "a: 3",
            "teams/b/application.yml": "a: 4",
            "teams/a/orders-prod.yml": "a: 5",
            "teams/.x/orders.yml": "a: 6",
            "teams/a/nginx.conf": "teams",
        }
    )
    store = open_store(search="config,%7Blabel%7D,teams/*")
    document: Any = await ConfigServer(store).fetch("orders", "prod")
    assert [source["name"].removeprefix("main/") for source in document["propertySources"]] == [
        *("teams/a/orders-prod.yml", "teams/b/application.yml"),
        *("main/orders.yml", "config/orders.yml", "orders.yml"),
    ]
    assert document["version"] == repository.head()
    found = await ConfigServer(store).compose_resource("orders", "prod", None, "nginx.conf")
    assert found.resource is not None
    assert found.resource.path == "teams/a/nginx.conf"
    listed = {str(entry.key): entry.files async for entry in store.keys()}
    assert listed == {
        "application/-/main": ("teams/b/application.yml",),
        "orders/-/main": ("main/orders.yml", "config/orders.yml", "orders.yml"),
        "orders/prod/main": ("teams/a/orders-prod.yml",),
    }
    key = ConfigKey(application="orders", profile="prod")
    assert len(await store.history(key)) == 1
