"""What differs between two commits, told without git, and without parsing what is the same."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_repositories import Repository, until_fetched
from pyfly.config_core import ConfigKey
from pyfly.config_git import GitConfigBackend
from pyfly.config_git._cat_file import DamagedCloneError
from pyfly.config_git._objects import Objects
from pyfly.config_git._process import Git
from pyfly.config_git._trees import (
    Directory,
    changed_names,
    next_directory,
    parse_directory,
)
from pyfly.config_server.storage import LabelChange, ResourceChange

Open = Callable[..., GitConfigBackend]
Rows = Mapping[str, tuple[bytes, bytes]]

MODES = [b"100644", b"100755", b"40000", b"040000", b"120000", b"160000"]
ROWS = st.dictionaries(
    st.text("abc.-", min_size=1, max_size=3),
    st.tuples(
        st.sampled_from(MODES), st.lists(st.sampled_from(b"\0 1a/"), min_size=20, max_size=20)
    ),
    max_size=12,
)


def tree(rows: Mapping[str, Any]) -> bytes:
    """Return the content of a tree object."""
    ordered = sorted(rows.items(), key=lambda row: row[0] + "/" * row[1][0].endswith(b"40000"))
    return b"".join(
        b"%s %s\0%s" % (mode, name.encode(), bytes(object_id))
        for name, (mode, object_id) in ordered
    )


def assert_same(before: bytes, after: bytes) -> None:
    known, whole = (parse_directory(one, id_bytes=20) for one in (before, after))
    found = next_directory(known, after, id_bytes=20)
    assert (found.entries, found.served, [*found.lengths]) == (
        whole.entries,
        whole.served,
        whole.lengths,
    )
    names = known.entries.keys() | whole.entries.keys()
    differing = {one for one in names if known.entries.get(one) != whole.entries.get(one)}
    assert set(changed_names(known, found, id_bytes=20)) == differing


@given(before=ROWS, changes=ROWS, removed=st.sets(st.text("abc.-", min_size=1, max_size=3)))
def test_a_tree_that_is_parsed_by_its_differences_is_the_same(
    before: Rows, changes: Rows, removed: set[str]
) -> None:
    after = {name: row for name, row in {**before, **changes}.items() if name not in removed}
    assert_same(tree(before), tree(after))


@given(one=ROWS, other=ROWS)
def test_a_name_that_is_there_twice_is_the_last_one(one: Rows, other: Rows) -> None:
    assert_same(tree(one) + tree(other), tree(one))
    assert_same(tree(one), tree(one) + tree(other))
    assert_same(tree(one) + tree(other), tree(other) + tree(one))


def test_many_differences_in_a_large_tree() -> None:
    rows = {f"app{n}.yml": (b"100644", n.to_bytes(20)) for n in range(1000)}
    for step in (7, 50, 900):
        other = {**rows, **{f"app{n}.yml": (b"100644", b"x" * 20) for n in range(0, 1000, step)}}
        assert_same(tree(rows), tree(other))


def test_what_is_no_tree_is_refused_after_a_tree_as_well() -> None:
    rows = tree({f"app{n}.yml": (b"100644", n.to_bytes(20)) for n in range(9)})
    known = parse_directory(rows, id_bytes=20)
    for damaged in (rows[:-1], rows[:40] + b"x" + rows[40:], rows + b"x", b"x" + rows):
        with pytest.raises(DamagedCloneError):
            next_directory(known, damaged, id_bytes=20)


@pytest.mark.anyio
async def test_the_changes_are_those_that_git_tells(
    repository: Repository, open_store: Open
) -> None:
    first = repository.commit(
        {
            "a.txt": "1",
            "b.txt": "1",
            "deep/down/c.txt": "1",
            "deep/same.txt": "1",
            "gone/d.txt": "1",
            "file": "1",
            "directory/e.txt": "1",
            ".hidden/f.txt": "1",
        }
    )
    second = repository.commit(
        {
            "a.txt": "2",
            "deep/down/c.txt": "2",
            "gone/d.txt": None,
            "file": None,
            "file/inside.txt": "1",
            "directory/e.txt": None,
            "directory": "now a file",
            ".hidden/f.txt": "2",
            "new/g/h.txt": "1",
        }
    )
    told = repository.git("diff-tree", "-r", "--no-renames", "--name-only", first, second)
    store = open_store()

    def changed(old: str, new: str, *, deadline: float) -> list[str]:
        with store._files.reading(deadline) as snapshot:
            return [*snapshot.objects.changed_paths(old, new, deadline=deadline)]

    for old, new in ((first, second), (second, first)):
        found = await store.run(
            lambda *, deadline, pair=(old, new): changed(*pair, deadline=deadline)
        )
        assert sorted(found) == sorted(told.split("\n"))
    with pytest.raises(Exception, match="in time"):
        changed(first, second, deadline=time.monotonic() - 1)


def test_directories_of_what_is_never_served_do_not_pile_up(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cached directory keeps its rows of links, too, and counts them."""
    monkeypatch.setattr("pyfly.config_git._objects._CACHED_ROWS", 100)
    blob = repository.git("hash-object", "-w", "--stdin", data=b"elsewhere")
    links = "".join(f"120000 blob {blob}\tlink{n}\n" for n in range(60))
    git = Git(directory=repository.path, environment={"PATH": os.environ["PATH"]})
    with contextlib.closing(Objects(git)) as objects:
        for name in ("a.txt", "b.txt", "c.txt"):
            rows = f"{links}100644 blob {blob}\t{name}\n"
            found = repository.git("mktree", data=rows.encode())
            assert [*objects.directory(found, deadline=time.monotonic() + 60)] == [name]
        assert [*objects._trees] == [found]


@pytest.mark.anyio
async def test_very_many_files_are_a_change_of_their_label(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"a.txt": "1"})
    store = open_store()
    start = await store.changes_since(None)
    many = repository.commit({f"many/{n}.txt": str(n) for n in range(1_001)})
    await until_fetched(store, "main", many)
    batch = await store.changes_since(start.cursor)
    assert set(batch.changes) == {LabelChange(label="main")}
    await until_fetched(store, "main", repository.commit({"a.txt": "2"}))
    again = await store.changes_since(batch.cursor)
    assert ResourceChange(label="main", path="a.txt") in again.changes
    assert LabelChange(label="main") not in again.changes


@pytest.mark.anyio
async def test_readers_find_a_new_commit_parsed(
    repository: Repository, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetch parses what differs; nothing is parsed for a branch that nobody reads."""
    repository.commit({f"app{n}.yml": "port: 1" for n in range(50)} | {"x/y.yml": "port: 1"})
    repository.commit({"orders.yml": "port: 1"}, "other")
    key = ConfigKey(application="app1", profile="prod")
    store = open_store()
    await store.fetch_snapshot([key])
    parsed: list[str] = []

    def parse_next(before: Directory, data: bytes, *, id_bytes: int) -> Directory:
        parsed.append("differences")
        return next_directory(before, data, id_bytes=id_bytes)

    def parse(data: bytes, *, id_bytes: int) -> Directory:
        parsed.append("all")
        return parse_directory(data, id_bytes=id_bytes)

    monkeypatch.setattr("pyfly.config_git._objects.next_directory", parse_next)
    monkeypatch.setattr("pyfly.config_git._objects.parse_directory", parse)
    repository.commit({"orders.yml": "port: 2"}, "other")
    commit = repository.commit({"app1.yml": "port: 2"})
    await until_fetched(store, "main", commit)
    assert parsed == ["differences"]
    assert (await store.fetch_snapshot([key])).version == commit
    assert parsed == ["differences"]


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_commit_that_takes_too_long_to_compare_is_served_soon(
    repository: Repository, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of forty directories names the next one twice, and the last one has a link only."""
    monkeypatch.setattr("pyfly.config_git._mirror._FOLLOW_SECONDS", 0.2)

    def commit(number: int) -> str:
        blob = repository.git("hash-object", "-w", "--stdin", data=str(number).encode())
        found = repository.git("mktree", data=f"120000 blob {blob}\tlink\n".encode())
        for _ in range(40):
            rows = f"040000 tree {found}\ta\n040000 tree {found}\tb\n"
            found = repository.git("mktree", data=rows.encode())
        made = repository.git("commit-tree", found, "-m", "change")
        repository.git("update-ref", "refs/heads/main", made)
        return made

    commit(1)
    store = open_store()
    await store.fetch_snapshot([ConfigKey(application="a", profile="prod")])
    async with asyncio.timeout(20):
        await until_fetched(store, "main", commit(2))


@pytest.mark.anyio
@pytest.mark.parametrize("commits", [3, 130])
async def test_new_commits_are_no_rewritten_history(
    repository: Repository, open_store: Open, caplog: pytest.LogCaptureFixture, commits: int
) -> None:
    repository.commit({"a.txt": "0"})
    store = open_store()
    await store.changes_since(None)
    new = _commits(repository, commits)
    with caplog.at_level(logging.WARNING, "pyfly.config_git"):
        await until_fetched(store, "main", new)
        old = repository.git("rev-parse", f"main~{commits}")
        repository.git("update-ref", "refs/heads/main", old)
        await until_fetched(store, "main", old)
        while "rewritten" not in caplog.text:
            await asyncio.sleep(0.01)
    assert caplog.text.count("rewritten") == 1


def _commits(repository: Repository, count: int) -> str:
    lines = [
        f"commit refs/heads/main\ncommitter a <a@b> {n} +0000\ndata 1\nx\n"
        + ("from refs/heads/main^0\n" if n == 0 else "")
        + f"M 100644 inline a.txt\ndata 3\n{n:03}\n"
        for n in range(count)
    ]
    repository.git("fast-import", "--quiet", data="".join(lines).encode())
    return repository.head()


@pytest.mark.anyio
async def test_a_fetch_starts_one_process(
    repository: Repository, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads wait while a process is started, so that a push costs readers one start."""
    repository.commit({"a.txt": "1"})
    store = open_store()
    start = await store.changes_since(None)
    await store.fetch_snapshot([ConfigKey(application="a", profile="prod")])
    tidying = store._mirror._tidying
    assert tidying is not None
    await asyncio.to_thread(tidying.join)
    started: list[Any] = []
    start_process = type(store._mirror.local("x")).start

    def note(git: Any, command: Any) -> Any:
        started.append(command)
        return start_process(git, command)

    monkeypatch.setattr("pyfly.config_git._process.Git.start", note)
    await until_fetched(store, "main", repository.commit({"a.txt": "2"}))
    assert (await store.changes_since(start.cursor)).changes
    tidying = store._mirror._tidying
    if tidying is not None:
        await asyncio.to_thread(tidying.join)
    assert len(started) == 1


@pytest.mark.slow
@pytest.mark.anyio
async def test_fetches_that_are_asked_for_again_and_again_are_few(
    repository: Repository, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit({"a.txt": "1"})
    store = open_store()
    await store.check()
    fetches = 0
    fetch = store._mirror.fetch

    def count(*, since: float) -> None:
        nonlocal fetches
        fetches += 1
        fetch(since=since)

    monkeypatch.setattr(store._mirror, "fetch", count)
    began = time.monotonic()
    for number in range(2, 32):
        commit = repository.commit({"a.txt": str(number)})
        await store.refetch()
    await until_fetched(store, "main", commit)
    assert fetches <= 2 + (time.monotonic() - began) / 0.2
