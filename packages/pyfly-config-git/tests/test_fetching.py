"""Fetches: rewritten histories, lost branches, damage, kills, and an unfriendly repository."""

import asyncio
import logging
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from git_repositories import Repository, until_fetched
from pyfly.config_core import BackendStaleError, BackendUnavailableError, ConfigKey
from pyfly.config_git import GitConfigBackend
from pyfly.config_server.storage import ANY, ConfigSource, LabelChange

pytestmark = pytest.mark.anyio

Open = Callable[..., GitConfigBackend]
ORDERS = ConfigKey(application="orders", profile="prod")


async def port(store: GitConfigBackend, label: str = "main") -> object:
    found = await store.fetch("orders", "prod", label)
    return None if found is None else found.properties["port"]


async def until_stale(store: GitConfigBackend) -> BackendStaleError:
    """Return the error of a fetch that fails."""
    await store.refetch()
    while True:
        try:
            await store.changes_since(None)
        except BackendStaleError as error:
            return error
        await asyncio.sleep(0.01)


async def until_current(store: GitConfigBackend) -> None:
    """Return when a fetch has succeeded."""
    await store.refetch()
    while True:
        try:
            await store.changes_since(None)
        except BackendStaleError:
            await asyncio.sleep(0.01)
        else:
            return


async def test_the_clone_is_bare_and_private(
    repository: Repository, open_store: Open, tmp_path: Path
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    await open_store().check()
    (directory,) = (tmp_path / "state").iterdir()
    for path in (directory, directory / "clone-1"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    directory.chmod(0o755)
    with pytest.raises(BackendUnavailableError, match="other users may use it"):
        await open_store(refresh="3599").check()  # not the same store: it fetches


async def test_a_remote_that_is_away_leaves_the_last_state(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store()
    start = await store.changes_since(None)
    moved = repository.path.rename(repository.path.with_name("away.git"))
    error = await until_stale(store)
    assert error.age >= 0
    assert await port(store) == 1
    await store.check()
    other = open_store(refresh="3599")  # a new process, while the remote is away
    assert await port(other) == 1
    moved.rename(repository.path)
    await until_fetched(store, "main", repository.commit({"orders-prod.yml": "port: 2"}))
    await until_current(store)
    assert (await store.changes_since(start.cursor)).changes
    assert await port(store) == 2


async def test_a_remote_that_was_never_reached_is_an_error(
    repository: Repository, open_store: Open
) -> None:
    shutil.rmtree(repository.path)
    store = open_store()
    for call in (port(store), store.check(), store.labels(), store.changes_since(None)):
        with pytest.raises(BackendUnavailableError, match="cannot be fetched"):
            await call


async def test_a_rewritten_history_is_served_and_logged(
    repository: Repository, open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    old = repository.commit({"orders-prod.yml": "port: 1"})
    repository.commit({"orders-prod.yml": "port: 1"}, "gone")
    store = open_store()
    assert [await port(store, label) for label in ("main", old, "gone")] == [1, 1, 1]
    start = await store.changes_since(None)
    repository.git("update-ref", "-d", "refs/heads/gone")
    new = repository.commit({"orders-prod.yml": "port: 2"}, fresh=True)
    with caplog.at_level(logging.WARNING, "pyfly.config_git"):
        await until_fetched(store, "main", new)
    assert [await port(store, label) for label in ("main", old, "gone")] == [2, None, None]
    assert {LabelChange(label=old), LabelChange(label="gone")} <= set(
        (await store.changes_since(start.cursor)).changes
    )
    while "rewritten" not in caplog.text:
        await asyncio.sleep(0.01)
    assert "the branch 'gone' was removed" in caplog.text


async def test_a_branch_makes_room_for_one_below_it(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    repository.commit({"orders-prod.yml": "port: 2"}, "df")
    store = open_store()
    assert await port(store, "df") == 2
    repository.git("update-ref", "-d", "refs/heads/df")
    await until_fetched(store, "df/x", repository.commit({"orders-prod.yml": "port: 3"}, "df/x"))
    assert (await port(store, "df"), await port(store, "df/x")) == (None, 3)


@pytest.mark.slow
async def test_a_lost_default_branch_is_believed_when_it_is_seen_twice(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    repository.commit({"orders-prod.yml": "port: 2"}, "other")
    store = open_store(refresh="1")
    assert await port(store) == 1
    repository.git("update-ref", "-d", "refs/heads/main")
    error = await until_stale(store)
    assert "has lost its branch 'main'" in str(error)
    assert (await port(store), await port(store, "other")) == (1, 2)
    await until_current(store)  # at least half a second later
    assert await port(store) is None
    assert await store.has_label("main") is False


@pytest.mark.slow
async def test_the_loss_of_all_branches_is_never_believed(
    repository: Repository, open_store: Open, tmp_path: Path
) -> None:
    """A server that is in trouble looks like that; see `test_nginx.py`."""
    commit = repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store(refresh="1")
    assert await port(store) == 1
    repository.git("update-ref", "-d", "refs/heads/main")
    began = time.time()
    error = await until_stale(store)
    while time.time() - began < 2:
        error = await until_stale(store)
        await asyncio.sleep(0.1)
    (directory,) = (tmp_path / "state").iterdir()
    assert f"until it has a branch again, or {directory} is removed" in str(error)
    assert await port(store) == 1
    assert await port(open_store(refresh="1")) == 1  # as after a restart
    repository.git("update-ref", "refs/heads/other", commit)
    await until_current(store)
    assert (await port(store), await port(store, "other")) == (None, 1)


async def test_a_branch_that_comes_back_was_never_lost(
    repository: Repository, open_store: Open
) -> None:
    commit = repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store()
    start = await store.changes_since(None)
    repository.git("update-ref", "-d", "refs/heads/main")
    await until_stale(store)
    repository.git("update-ref", "refs/heads/main", commit)
    await until_current(store)
    assert await store.changes_since(start.cursor) == start


@pytest.mark.parametrize("damage", ["blob", "missing", "pack"])
async def test_a_damaged_clone_is_unreachable_until_it_is_replaced(
    repository: Repository, open_store: Open, tmp_path: Path, damage: str
) -> None:
    repository.commit({f"app{n}-prod.yml": f"port: {n}" for n in range(200)})  # enough for a pack
    repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store()
    assert await store.has_label("main")
    (clone,) = (tmp_path / "state").glob("*/clone-1")
    away = repository.path.rename(repository.path.with_name("away.git"))
    if damage == "pack":
        for pack in clone.glob("objects/pack/*.pack"):
            pack.chmod(0o600)
            pack.write_bytes(pack.read_bytes()[:100])
    else:
        _unpack(clone)
        blob = Repository.at(away).git("rev-parse", "main:orders-prod.yml")
        path = clone / "objects" / blob[:2] / blob[2:]
        path.chmod(0o600)
        path.unlink()
        if damage == "blob":
            other = Repository.at(away).git("rev-parse", "main:app2-prod.yml")
            shutil.copy(clone / "objects" / other[:2] / other[2:], path)
    with pytest.raises(BackendUnavailableError):
        await port(store)  # never None
    away.rename(repository.path)
    await store.refetch()
    while True:
        try:
            assert await port(store) == 1
        except BackendUnavailableError:
            await asyncio.sleep(0.02)
        else:
            break
    while [path.name for path in (tmp_path / "state").glob("*/clone-*")] != ["clone-2"]:
        await asyncio.sleep(0.02)


def _unpack(clone: Path) -> None:
    for pack in clone.glob("objects/pack/*.pack"):
        data = pack.read_bytes()
        for path in clone.glob(f"objects/pack/{pack.stem}.*"):
            path.unlink()
        Repository.at(clone).git("unpack-objects", "-q", data=data)


@pytest.mark.slow
async def test_a_killed_fetch_leaves_nothing_that_matters(
    repository: Repository, open_store: Open, tmp_path: Path, times: int
) -> None:
    repository.commit({"orders-prod.yml": "port: 0"})
    store = open_store()
    assert await port(store) == 0
    for number in range(1, 10 * times + 1):
        commit = repository.commit(
            {"orders-prod.yml": f"port: {number}", "big.bin": os.urandom(300_000)}
        )
        await store.refetch()
        await asyncio.sleep(0.004 * (number % 25))
        for process in [*store._mirror._running._processes]:
            if "fetch" in str(process.args):
                os.killpg(process.pid, signal.SIGKILL)
        await until_fetched(store, "main", commit)
        await until_current(store)
        assert await port(store) == number
    (clone,) = (tmp_path / "state").glob("*/clone-1")
    assert not [*clone.glob("objects/pack/tmp_*"), *clone.glob("**/*.lock")]


async def test_what_a_killed_fetch_leaves_is_removed(
    repository: Repository, open_store: Open, tmp_path: Path
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store()
    assert await port(store) == 1
    (clone,) = (tmp_path / "state").glob("*/clone-1")
    left = ("refs/heads/main.lock", "packed-refs.lock", "objects/pack/tmp_pack_1")
    for name in ("pyfly-fetching", *left):
        (clone / name).touch()
    await until_fetched(store, "main", repository.commit({"orders-prod.yml": "port: 2"}))
    await until_current(store)
    assert [name for name in left if (clone / name).exists()] == []


async def test_two_processes_share_a_clone(repository: Repository, open_store: Open) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    one, other = open_store(), open_store()
    assert (await port(one), await port(other)) == (1, 1)
    cursors = [(await store.changes_since(None)).cursor for store in (one, other)]
    assert cursors[0] == cursors[1]
    commit = repository.commit({"orders-prod.yml": "port: 2"})
    await until_fetched(one, "main", commit)
    assert await port(other) == 2  # without a fetch of its own
    assert (await other.changes_since(cursors[1])).changes


@pytest.mark.slow
async def test_fetches_and_saves_do_not_wait_for_tidying(
    repository: Repository,
    open_store: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what tidying writes at that moment is not taken for a leftover of a killed command."""
    repository.commit({"orders-prod.yml": "port: 1"})
    git, began = shutil.which("git"), tmp_path / "began"
    programs = tmp_path / "programs"
    programs.mkdir()
    script = f"""#!/bin/sh
case " $* " in *" gc --auto "*)
    touch "${{1#--git-dir=}}/objects/pack/tmp_pack_1" {began}
    exec sleep 600
esac
exec {git} "$@"
"""
    (programs / "git").write_text(script, encoding="utf-8")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    store = open_store(write="true")
    assert await port(store) == 1
    while not began.exists():
        await asyncio.sleep(0.01)
    await until_fetched(store, "main", repository.commit({"orders-prod.yml": "port: 2"}))
    await store.commit(
        ConfigSource(application="orders", profile="prod", properties={"port": 3}), expected=ANY
    )
    assert await port(open_store()) == 3  # as in another process
    (left,) = (tmp_path / "state").rglob("tmp_pack_1")
    began_closing = time.monotonic()
    await store.aclose()
    assert time.monotonic() - began_closing < 30
    monkeypatch.undo()
    again = open_store()
    await until_fetched(again, "main", repository.commit({"orders-prod.yml": "port: 4"}))
    assert not left.exists()


@pytest.mark.slow
async def test_many_fetches_leave_few_packs(
    repository: Repository, open_store: Open, times: int
) -> None:
    repository.commit({"orders-prod.yml": "port: 0"})
    store = open_store()
    assert await port(store) == 0
    mirror = store._mirror
    last = 4 + 10 * times
    for number in range(1, last + 1):
        files = {f"x{n}": f"{number} {n}" for n in range(120)}  # too many objects to unpack
        repository.commit({**files, "orders-prod.yml": f"port: {number}"})
        await asyncio.to_thread(mirror.fetch, since=time.time())
    assert await port(store) == last
    snapshot = mirror.snapshot()
    assert snapshot is not None
    clone = mirror.local(snapshot.state.clone)
    packs = [*clone.directory.glob("objects/pack/*.pack")]
    assert len(packs) < 50


@pytest.mark.parametrize("trap", ["uploadpack", "hook", "alias", "filter"])
async def test_a_local_repository_runs_nothing(
    repository: Repository, open_store: Open, tmp_path: Path, trap: str
) -> None:
    commit = repository.commit({"orders-prod.yml": "port: 1", ".gitattributes": "* filter=x"})
    marker = tmp_path / "marker"
    command = f"touch {marker}; false"
    settings = {
        "uploadpack": {
            "remote.origin.uploadpack": command,
            "remote.origin.promisor": "true",
            "extensions.partialClone": "origin",
            "uploadpack.packObjectsHook": command,
        },
        "hook": {"core.fsmonitor": command, "core.sshCommand": command, "core.pager": command},
        "alias": {"alias.upload-pack": f"!{command}", "core.alternateRefsCommand": command},
        "filter": {"filter.x.smudge": command, "filter.x.clean": command},
    }
    for name, value in settings[trap].items():
        repository.git("config", name, value)
    if trap == "hook":
        for name in ("reference-transaction", "post-checkout", "fsmonitor-watchman"):
            hook = repository.path / "hooks" / name
            hook.parent.mkdir(exist_ok=True)
            hook.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
            hook.chmod(0o755)
    if trap == "uploadpack":  # an object that only its remote would have
        blob = repository.git("rev-parse", f"{commit}:orders-prod.yml")
        (repository.path / "objects" / blob[:2] / blob[2:]).unlink(missing_ok=True)
    store = open_store()
    try:
        assert await port(store) == 1
    except BackendUnavailableError:
        assert trap == "uploadpack"
    assert not marker.exists()


async def test_settings_of_the_user_change_nothing(
    repository: Repository, open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    home = tmp_path / "user"
    home.mkdir()
    other = Repository(tmp_path / "other.git")
    other.commit({"orders-prod.yml": "port: 666"})
    (home / ".gitconfig").write_text(
        f'[url "file://{other.path}"]\n\tinsteadOf = file://{repository.path}\n', encoding="utf-8"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(other.path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{other.path}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"file://{repository.path}")
    assert await port(open_store()) == 1


async def test_closing_ends_all_processes(repository: Repository, open_store: Open) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    store = open_store()
    assert await port(store) == 1
    snapshot = store._mirror.snapshot()
    assert snapshot is not None
    pid = snapshot.objects.cat_file.pid
    assert pid is not None
    await store.aclose()
    listed = subprocess.run(["ps", "-o", "pid=", "-p", str(pid)], capture_output=True, check=False)
    assert listed.stdout == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a repository of another user")
async def test_a_repository_of_another_user_is_read_if_the_url_says_so(
    repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    for path in (repository.path, *repository.path.rglob("*")):
        os.chown(path, 65534, 65534)
    with pytest.raises(BackendUnavailableError, match="dubious ownership"):
        await port(open_store())
    store = open_store(trust_owner="true", refresh="3599")
    await until_current(store)
    assert await port(store) == 1
