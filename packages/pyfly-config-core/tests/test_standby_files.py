"""The files of a standby: private, whole, by one writer at a time; whatever happens to them."""

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import stat
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from standby_stores import DEADLINE, Switch, records, written

from pyfly.config_core import BackendError, BackendUnavailableError, ConfigKey
from pyfly.config_server import ConfigSource, InMemoryConfigBackend
from pyfly.config_server.live.standby import StandbyBackend
from pyfly.config_server.live.standby_files import StandbyFiles
from pyfly.config_server.live.standby_records import RecordKey, decode_record, encode_record
from pyfly.config_server.storage import ANY

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_standby")]

NAMES = ("orders", "prod", "main")

ANOTHER_USER = 12_345

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "standby"


@pytest.fixture
async def store() -> Switch:
    store = Switch(InMemoryConfigBackend())
    await store.save(ConfigSource(application="orders", profile="prod", properties={"a": "v" * 99}))
    return store


@pytest.fixture
async def standby(store: Switch, directory: Path) -> AsyncIterator[StandbyBackend]:
    """Return a standby that keeps one bundle."""
    standby = StandbyBackend(store, directory)
    await standby.fetch(*NAMES)
    await written(standby)
    yield standby
    await standby.aclose()


async def read_again(standby: StandbyBackend) -> None:
    """Read the bundle from the store again, and wait until that is written."""
    standby._recorder._seen.clear()
    await standby.fetch(*NAMES)
    await written(standby)


async def is_kept(store: Switch, standby: StandbyBackend) -> bool:
    """True if the bundle is served without the store."""
    store.take_away()
    try:
        return await standby.fetch(*NAMES) is not None
    except BackendUnavailableError:
        return False
    finally:
        store.bring_back()


# --- permissions ----------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_directories_are_0700_and_files_0600(
    store: Switch, directory: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        standby = StandbyBackend(store, directory)
        await standby.fetch(*NAMES)
        await written(standby)
    finally:
        os.umask(before)
    await standby.aclose()
    paths = [directory.parent, directory, *directory.rglob("*")]
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in paths}
    assert {*modes.values()} == {"0o700", "0o600"}
    assert modes["standby"] == modes["deep"] == "0o700"
    assert {modes[path.name] for path in paths if path.is_file()} == {"0o600"}
    assert len(records(directory)) == 1


@pytest.mark.parametrize("below", [False, True], ids=["root", "store"])
async def test_a_directory_that_others_can_use_is_refused(
    store: Switch, standby: StandbyBackend, directory: Path, below: bool
) -> None:
    path = standby._files.path if below else directory
    path.chmod(0o750)
    with pytest.raises(BackendError, match=rf"standby {path}: .* other users; .*chmod 700"):
        StandbyBackend(store, directory)


async def test_a_file_that_others_can_read_is_refused(
    store: Switch, standby: StandbyBackend, directory: Path
) -> None:
    (path,) = records(directory)
    path.chmod(0o640)
    with pytest.raises(BackendError, match=rf"standby {path}: .* other users; .*chmod 600"):
        StandbyBackend(store, directory)
    assert not await is_kept(store, standby)


@as_root
@pytest.mark.parametrize("what", ["root", "store", "record", "lock"])
async def test_what_belongs_to_another_user_is_refused(
    store: Switch, standby: StandbyBackend, directory: Path, what: str
) -> None:
    below = standby._files.path
    path = {"root": directory, "store": below, "lock": below / "lock"}.get(
        what, records(directory)[0]
    )
    os.chown(path, ANOTHER_USER, ANOTHER_USER)
    with pytest.raises(BackendError, match=rf"standby {path}: belongs to another user; name a"):
        StandbyBackend(store, directory)
    if what == "record":
        assert not await is_kept(store, standby)


@pytest.mark.parametrize("what", ["root", "store", "record", "lock"])
async def test_symbolic_links_are_not_followed(
    store: Switch, standby: StandbyBackend, directory: Path, tmp_path: Path, what: str
) -> None:
    below = standby._files.path
    path = {"root": directory, "store": below, "lock": below / "lock"}.get(
        what, records(directory)[0]
    )
    moved = tmp_path / "moved"
    path.rename(moved)
    path.symlink_to(moved)
    with pytest.raises(BackendError, match=rf"standby {path}: is a symbolic link"):
        StandbyBackend(store, directory)
    if what == "record":
        content = moved.read_bytes()
        assert not await is_kept(store, standby)
        await read_again(standby)
        assert moved.read_bytes() == content
        assert await is_kept(store, standby)


@pytest.mark.parametrize("what", ["root", "store", "record", "lock"])
async def test_other_kinds_of_files_are_refused_without_waiting(
    store: Switch, standby: StandbyBackend, directory: Path, tmp_path: Path, what: str
) -> None:
    below = standby._files.path
    path = {"root": directory, "store": below, "lock": below / "lock"}.get(
        what, records(directory)[0]
    )
    path.rename(tmp_path / "moved")
    os.mkfifo(path, 0o600)
    with pytest.raises(BackendError, match=rf"standby {path}: is not a"):
        StandbyBackend(store, directory)
    if what == "record":
        assert not await is_kept(store, standby)


async def test_a_directory_that_is_opened_to_others_later_is_logged_once(
    store: Switch,
    standby: StandbyBackend,
    directory: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    standby._files.path.chmod(0o755)
    for _ in range(3):
        await read_again(standby)
    (line,) = [one.getMessage() for one in caplog.records]
    assert "serving goes on without it" in line
    assert "chmod 700" in line
    standby._files.path.chmod(0o700)
    await read_again(standby)
    assert len(caplog.records) == 1
    assert await is_kept(store, standby)


# --- damage ---------------------------------------------------------------------------


async def test_every_flipped_byte_and_every_cut_is_noticed(
    store: Switch, standby: StandbyBackend, directory: Path
) -> None:
    (path,) = records(directory)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert standby._shelf.load([key()], list) is None, place
        path.write_bytes(content[:place])
        assert standby._shelf.load([key()], list) is None, place
    path.write_bytes(content)
    assert await is_kept(store, standby)


def key() -> RecordKey:
    return RecordKey(kind="bundle", names=NAMES)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"", "its first line is not that of a record"),
        (lambda data: data[:-1], "does not match its checksum"),
        (lambda data: data.replace(b"standby 1", b"standby 2"), "a format that this version"),
    ],
)
async def test_a_record_that_cannot_be_used_is_ignored_and_logged_once(
    store: Switch,
    standby: StandbyBackend,
    directory: Path,
    caplog: pytest.LogCaptureFixture,
    change: Any,
    reason: str,
) -> None:
    (path,) = records(directory)
    path.write_bytes(change(path.read_bytes()))
    assert not await is_kept(store, standby)
    assert not await is_kept(store, standby)
    (line,) = [one.getMessage() for one in caplog.records]
    assert str(path) in line
    assert reason in line
    await read_again(standby)
    again = StandbyBackend(store, directory)
    assert await is_kept(store, again)
    await again.aclose()


@pytest.mark.parametrize("line", [b"{}", b"[1]", b'["s","bundle"]', b"x", b'["s"]', b"[" * 100_000])
async def test_a_record_of_an_unknown_form_is_ignored(
    store: Switch, standby: StandbyBackend, directory: Path, line: bytes
) -> None:
    (path,) = records(directory)
    content = line + b"\npresent\n{}"
    digest = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(b"pyfly-config-standby 1 sha256=" + digest + b"\n" + content)
    assert not await is_kept(store, standby)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"documents": 1}', b"\xff"])
async def test_a_payload_of_an_unknown_form_is_ignored(
    store: Switch, standby: StandbyBackend, directory: Path, payload: bytes
) -> None:
    (path,) = records(directory)
    identity = standby._shelf._store
    record = replace(decode_record(path.read_bytes(), identity), payload=payload)
    path.write_bytes(encode_record(identity, record))
    assert not await is_kept(store, standby)


async def test_leftovers_are_removed_at_the_start(
    store: Switch, standby: StandbyBackend, directory: Path
) -> None:
    leftover = standby._files.path / "new.tmp"
    leftover.write_bytes(b"half")
    again = StandbyBackend(store, directory)
    assert not leftover.exists()
    await again.aclose()


# --- disks that fail ------------------------------------------------------------------


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "utime"])
async def test_a_disk_that_fails_is_logged_once_and_serving_goes_on(
    store: Switch,
    standby: StandbyBackend,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: str,
    error: int,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        for number in range(3):
            await store.wrapped.save(
                ConfigSource(application="orders", profile="prod", properties={"n": number})
            )
            await read_again(standby)
    (line,) = [one.getMessage() for one in caplog.records]
    assert os.strerror(error) in line
    assert not (standby._files.path / "new.tmp").exists()
    if call != "fsync":  # of the directory, after the file was replaced
        assert await is_kept(store, standby)
    await read_again(standby)
    assert await is_kept(store, standby)


async def test_a_write_is_not_forgotten_while_the_disk_fails(
    store: Switch, standby: StandbyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what was kept before it nor a read that fails afterwards brings it back."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "read-only")

    with monkeypatch.context() as patch:
        for call in ("write", "unlink"):
            patch.setattr(os, call, fail)
        await standby.save(ConfigSource(application="orders", profile="prod", properties={"a": 2}))
        async with asyncio.timeout(DEADLINE):
            while not standby._recorder._is_failing:  # noqa: ASYNC110 - a thread fails
                await asyncio.sleep(0.001)
        assert await is_kept(store, standby)  # the disk holds what it cannot lose
    await written(standby)
    assert not await is_kept(store, standby)


async def test_an_absence_removes_what_was_kept_even_if_the_disk_is_full(
    store: Switch, standby: StandbyBackend, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    inner: Any = store.wrapped
    await inner.save(ConfigSource(application="billing", profile="prod", properties={}))
    await inner.delete(ConfigKey(application="orders", profile="prod"), expected=ANY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        await read_again(standby)
    assert records(directory) == []


async def test_a_directory_that_is_gone_keeps_nothing_and_stops_nothing(
    store: Switch, standby: StandbyBackend, directory: Path, tmp_path: Path
) -> None:
    standby._files.path.rename(tmp_path / "moved")
    await read_again(standby)
    assert await is_kept(store, standby)  # the open directory is still there


async def test_the_start_names_a_directory_that_cannot_be_made(
    store: Switch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BackendError, match=r"standby .*/file/standby: Not a directory"):
        StandbyBackend(store, tmp_path / "file" / "standby")


# --- several writers ------------------------------------------------------------------


async def test_while_another_process_writes_results_wait(
    store: Switch, directory: Path, standby: StandbyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operating system releases the lock when that process ends."""
    await store.wrapped.save(
        ConfigSource(application="orders", profile="prod", properties={"a": "new"})
    )
    holder = os.open(standby._files.path / "lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    write, answers = standby._shelf.write, list[object]()

    def counted(*arguments: Any, **named: Any) -> Any:
        answers.append(write(*arguments, **named))
        return answers[-1]

    monkeypatch.setattr(standby._shelf, "write", counted)
    standby._recorder._seen.clear()
    found = await standby.fetch(*NAMES)
    async with asyncio.timeout(DEADLINE):
        while len(answers) < 2:  # noqa: ASYNC110 - a thread appends
            await asyncio.sleep(0.001)
    assert answers[:2] == [None, None]
    # another one starts, although the lock is held
    second = StandbyBackend(InMemoryConfigBackend(), directory, store="Switch")
    await second.aclose()
    os.close(holder)
    await written(standby)
    store.take_away()
    assert await standby.fetch(*NAMES) == found


async def test_an_older_result_of_another_worker_does_not_replace_a_newer_one(
    store: Switch, directory: Path, standby: StandbyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = StandbyBackend(store, directory)
    with monkeypatch.context() as patch:
        patch.setattr("pyfly.config_server.live.standby_recorder.PAUSE_SECONDS", 600.0)
        await other.fetch(*NAMES)
    await store.wrapped.save(
        ConfigSource(application="orders", profile="prod", properties={"a": "new"})
    )
    await read_again(standby)
    await other.aclose()
    store.take_away()
    found = await standby.fetch(*NAMES)
    assert found is not None
    assert found.properties == {"a": "new"}


async def test_a_result_that_another_worker_has_replaced_is_written_again(
    store: Switch, directory: Path, standby: StandbyBackend
) -> None:
    first = await standby.fetch(*NAMES)
    other_store = Switch(InMemoryConfigBackend())
    other = StandbyBackend(other_store, directory, store="Switch")
    await other.fetch(*NAMES)  # an absence
    await written(other)
    await other.aclose()
    await read_again(standby)
    store.take_away()
    assert await standby.fetch(*NAMES) == first


async def test_a_file_that_grows_beyond_the_limit_is_not_read(
    store: Switch, standby: StandbyBackend, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyfly.config_server.live.standby_files.MAX_RECORD_BYTES", 10)
    assert not await is_kept(store, standby)


def test_a_closed_directory_is_closed_once(tmp_path: Path) -> None:
    files = StandbyFiles(tmp_path / "standby", "store")
    files.close()
    files.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        files.read("x")
    assert json.dumps(repr(files))


async def test_a_disk_that_does_not_answer_leaves_the_error_of_the_store(
    store: Switch, standby: StandbyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr("pyfly.config_server.live.standby.READ_SECONDS", 0.01)
    monkeypatch.setattr(standby._files, "read", lambda *_, **__: answers.wait(DEADLINE))
    assert not await is_kept(store, standby)
    answers.set()
