"""What lies on the disk: whole and proven, or not used."""

import base64
import contextlib
import hashlib
import json
import math
import os
import random
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import SnapshotError, SyncConfigClient
from pyfly.config_client._disk import (
    Snapshot,
    SnapshotStore,
    decode_snapshot,
    default_directory,
    encode_snapshot,
    write_file,
)
from pyfly.config_client._encryption import SnapshotCipher
from pyfly.config_client._requests import Identity

IDENTITY = Identity(
    servers=("http://config/config",), application="orders", profiles="prod", labels=(None,)
)
OLD = Snapshot(body=b'{"old": "marker-value"}', url="http://config/old", saved_at=1.0)
NEW = Snapshot(
    body=b'{"new": "marker-value"}', url="http://config/new", saved_at=2.0, label="main", etag='"1"'
)
KEY = base64.b64encode(bytes(range(32))).decode()

MakeStore = Callable[..., SnapshotStore]


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    def make(**how: Any) -> SnapshotStore:
        given: Any = {
            "identity": IDENTITY,
            "directory": str(tmp_path / "snapshots"),
            "baseline": None,
            "cipher": None,
        }
        return SnapshotStore(**given | how)

    return make


@pytest.fixture(params=["plain", "encrypted"])
def store(request: pytest.FixtureRequest, make_store: MakeStore) -> SnapshotStore:
    """A store that holds two generations."""
    made = make_store(cipher=SnapshotCipher(KEY) if request.param == "encrypted" else None)
    made.write(OLD)
    made.write(NEW)
    return made


def bodies(store: SnapshotStore) -> list[bytes]:
    return [snapshot.body for snapshot in store.read()[0]]


def test_what_was_written_is_read_back(store: SnapshotStore) -> None:
    newest, previous = store.read()[0]
    assert (newest.body, newest.url, newest.label, newest.etag) == (
        NEW.body,
        NEW.url,
        NEW.label,
        NEW.etag,
    )
    assert (previous.body, previous.saved_at, previous.origin) == (OLD.body, 1.0, "snapshot")


def test_only_the_owner_can_read_it(store: SnapshotStore) -> None:
    directory = store.path().parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_the_same_content_again_keeps_the_generation_before(store: SnapshotStore) -> None:
    store.write(Snapshot(body=NEW.body, url=NEW.url, saved_at=9.0, label="main", etag='"1"'))
    assert bodies(store) == [NEW.body, OLD.body]
    assert store.read()[0][0].saved_at == 9.0


def test_a_snapshot_of_another_process_does_not_replace_what_was_fetched(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slower process may write an older response just before this one reads its own back."""
    store = make_store()

    def write_both(path: Path, data: bytes) -> None:
        write_file(path, data)
        write_file(path, encode_snapshot(OLD, IDENTITY, None))

    monkeypatch.setattr("pyfly.config_client._disk.write_file", write_both)
    assert store.write(NEW).body == NEW.body
    assert bodies(store) == [OLD.body], "that process is sure that this is its newest one"


@pytest.mark.slow
def test_every_flipped_byte_is_detected_and_the_previous_generation_used(
    store: SnapshotStore,
) -> None:
    data = store.path().read_bytes()
    chance = random.Random(7)
    for _ in range(5000):
        position, flip = chance.randrange(len(data)), chance.randrange(1, 256)
        damaged = bytearray(data)
        damaged[position] ^= flip
        store.path().write_bytes(damaged)
        found, faults = store.read()
        assert ([one.body for one in found], len(faults)) == ([OLD.body], 1), (position, flip)


@pytest.mark.slow
def test_every_truncation_is_detected_and_the_previous_generation_used(
    store: SnapshotStore,
) -> None:
    data = store.path().read_bytes()
    for length in range(len(data)):
        store.path().write_bytes(data[:length])
        assert bodies(store) == [OLD.body], length
    store.path().write_bytes(data + b"\n")
    assert bodies(store) == [OLD.body]


def test_a_damaged_generation_does_not_push_out_a_good_one(store: SnapshotStore) -> None:
    store.path().write_bytes(b"damaged")
    store.write(NEW)
    assert bodies(store) == [NEW.body, OLD.body]


@pytest.mark.parametrize(
    "other",
    [
        {"application": "billing"},
        {"profiles": "dev"},
        {"labels": ("release",)},
        {"servers": ("http://staging/config",)},
    ],
)
def test_a_snapshot_of_another_identity_is_refused(other: dict[str, Any]) -> None:
    given: Any = {"servers": IDENTITY.servers, "application": "orders", "profiles": "prod"}
    data = encode_snapshot(NEW, IDENTITY, None)
    given |= {"labels": (None,)}
    foreign = Identity(**given | other)
    with pytest.raises(SnapshotError, match="another application, profile, label or server"):
        decode_snapshot(data, foreign, None)


def test_identities_have_files_of_their_own(make_store: MakeStore) -> None:
    one = Identity(servers=("a",), application="a-b", profiles="c", labels=(None,))
    other = Identity(servers=("a",), application="a", profiles="b-c", labels=(None,))
    assert make_store(identity=one).path() != make_store(identity=other).path()


def test_an_encrypted_snapshot_shows_nothing_and_needs_its_key(make_store: MakeStore) -> None:
    store = make_store(cipher=SnapshotCipher(KEY))
    store.write(NEW)
    assert b"marker" not in store.path().read_bytes()
    other = SnapshotCipher(base64.b64encode(bytes(32)).decode())
    for cipher, said in ((other, "cannot be decrypted"), (None, "snapshot_key is not given")):
        found, (fault,) = make_store(cipher=cipher).read()
        assert (found, said in fault) == ((), True)
    with pytest.raises(SnapshotError, match="is not encrypted"):
        decode_snapshot(encode_snapshot(NEW, IDENTITY, None), IDENTITY, SnapshotCipher(KEY))


@pytest.mark.parametrize("key", ["short", "", "!" * 44, base64.b64encode(bytes(31)).decode()])
def test_another_key_than_32_bytes_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="openssl rand -base64 32") as caught:
        SnapshotCipher(key)
    assert key not in str(caught.value) or not key


def test_a_format_of_the_future_is_refused() -> None:
    data = encode_snapshot(NEW, IDENTITY, None).replace(b"snapshot 1 ", b"snapshot 2 ", 1)
    with pytest.raises(SnapshotError, match="format that this version cannot read"):
        decode_snapshot(data, IDENTITY, None)


@pytest.mark.parametrize(
    "change",
    [
        {"saved_at": "now"},
        {"saved_at": math.nan},
        {"saved_at": 1e300},
        {"saved_at": -1e18},
        {"url": None},
        {"etag": 5},
        {"label": []},
        {"identity": "orders"},
        {"encrypted": "no"},
        None,
    ],
)
def test_a_second_line_of_another_form_is_no_reason_not_to_start(
    make_store: MakeStore, change: dict[str, Any] | None
) -> None:
    store = make_store()
    _, line, body = encode_snapshot(NEW, IDENTITY, None).split(b"\n", 2)
    changed = [] if change is None else json.loads(line) | change
    content = json.dumps(changed).encode() + b"\n" + body
    digest = hashlib.sha256(content).hexdigest()
    store.write(OLD)
    store.path().write_bytes(f"pyfly-config-snapshot 1 sha256={digest}\n".encode() + content)
    found, faults = store.read()
    assert found == ()
    assert "is damaged" in faults[0]
    store.write(NEW)
    assert bodies(store) == [NEW.body]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="only POSIX has these permissions")
def test_a_directory_or_a_file_that_others_can_write_is_refused(
    make_store: MakeStore, tmp_path: Path
) -> None:
    store = make_store()
    store.write(NEW)
    store.path().chmod(0o666)
    assert store.read()[0] == ()
    store.path().parent.chmod(0o777)
    with pytest.raises(SnapshotError, match="can be written by other users; set snapshot_dir to"):
        store.write(NEW)


def put_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):
        made.bind(path.name)  # the whole path may be longer than addresses can be


def put_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(encode_snapshot(OLD, IDENTITY, None))
    target.chmod(0o600)
    path.symlink_to(target)


def put_file_of_another_user(path: Path) -> None:
    path.write_bytes(encode_snapshot(OLD, IDENTITY, None))
    path.chmod(0o600)
    os.chown(path, 12345, -1)


OBSTACLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (put_fifo, "is not a regular file"),
    "a socket": (put_socket, "cannot be read"),
    "a directory": (Path.mkdir, "is not a regular file"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "is a symbolic link"),
    "a link to a snapshot": (put_link, "is a symbolic link"),
    "a file of another user": (put_file_of_another_user, "belongs to another user"),
}


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="only POSIX has these kinds of files")
@pytest.mark.parametrize("kind", OBSTACLES)
def test_what_is_no_file_of_this_user_is_refused_at_once_and_replaced(
    make_store: MakeStore, kind: str
) -> None:
    put, reason = OBSTACLES[kind]
    if kind == "a file of another user" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    store = make_store()
    store.write(NEW)
    for path in (store.path(), store.path().with_suffix(".previous")):
        path.unlink(missing_ok=True)
        put(path)
    found, faults = store.read()
    assert (found, [reason in fault for fault in faults]) == ((), [True, True])
    if kind == "a directory":
        with pytest.raises(SnapshotError, match="cannot be written: Is a directory"):
            store.write(NEW)
        return
    assert store.write(NEW).body == NEW.body
    assert bodies(store) == [NEW.body]


def test_a_baseline_may_be_a_link_but_nothing_that_waits(
    make_store: MakeStore, tmp_path: Path
) -> None:
    (tmp_path / "baseline.json").write_bytes(b"{}")
    (tmp_path / "link").symlink_to(tmp_path / "baseline.json")
    assert bodies(make_store(directory="off", baseline=tmp_path / "link")) == [b"{}"]
    put_fifo(tmp_path / "fifo")
    found, (fault,) = make_store(directory="off", baseline=tmp_path / "fifo").read()
    assert (found, "is not a regular file" in fault) == ((), True)


KILLED = """
import os, sys
from pyfly.config_client import SyncConfigClient
os.replace = lambda *_: os._exit(9)
SyncConfigClient(
    server_url=sys.argv[1], application="orders", profile="prod", snapshot_dir=sys.argv[2]
).fetch()
"""


@pytest.mark.parametrize("how", ["read", "write"])
def test_what_a_killed_process_was_writing_is_removed(
    server_url: str, make_store: MakeStore, how: str
) -> None:
    store = make_store()
    directory = store.path().parent
    killed = subprocess.run([sys.executable, "-c", KILLED, server_url, directory], check=False)
    assert killed.returncode == 9
    (left,) = directory.iterdir()
    assert b"marker-value" in left.read_bytes()
    store.read()
    assert left.exists()  # it may be the work of a process that goes on
    os.utime(left, (0, 0))
    other = directory / ".somebody-else"
    other.touch()
    os.utime(other, (0, 0))
    if how == "read":
        store.read()
        assert [*directory.iterdir()] == [other]
    else:
        store.write(NEW)
        assert {*directory.iterdir()} == {other, store.path()}


def test_a_place_that_cannot_be_written_is_named(make_store: MakeStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    store = make_store(directory=str(tmp_path / "file" / "below"))
    with pytest.raises(SnapshotError, match="cannot be written"):
        store.write(NEW)
    found, (fault,) = store.read()
    assert (found, "cannot be read" in fault) == ((), True)


def test_a_file_that_is_too_large_is_not_read(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store()
    store.write(NEW)
    monkeypatch.setattr("pyfly.config_client._disk.MAX_FILE_BYTES", 10)
    found, (fault,) = store.read()
    assert (found, "larger than 10 bytes" in fault) == ((), True)


def test_a_write_that_fails_leaves_the_generations_alone(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SnapshotError, match="No space left on device"):
        store.write(Snapshot(body=b"{}", url="http://config/third", saved_at=3.0))
    monkeypatch.undo()
    assert bodies(store)[:1] == [NEW.body]
    assert len([*store.path().parent.iterdir()]) <= 2


def test_the_default_place_is_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_directory() == Path("/state/pyfly-config")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_directory() == Path("/home/somebody/.local/state/pyfly-config")


def test_the_tests_of_a_program_leave_nothing_in_the_default_place(
    server: Any, document: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert os.environ["PYFLY_CONFIG_SNAPSHOT_DIR"] == "off"
    server.answer_json(document)
    arguments: Any = {"server_url": server.url, "application": "orders", "profile": "prod"}
    SyncConfigClient(**arguments).fetch()
    assert [*tmp_path.iterdir()] == []
    monkeypatch.delenv("PYFLY_CONFIG_SNAPSHOT_DIR")
    SyncConfigClient(**arguments, transport=None).fetch()
    assert [path.suffix for path in (tmp_path / "pyfly-config").iterdir()] == [".snapshot"]
