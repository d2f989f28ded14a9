"""Real faults of disks and trees: the old bundle, or an error that names the cause.

Faults that no machine can be made to have at will are in `test_filesystem_failpoints.py`.
"""

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendUnavailableError,
    ConfigError,
    ConfigKey,
)
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    FilesystemConfigBackend,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
)
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    SupportsConditionalSave,
    WrapperBackend,
    ability,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


def source(password: str, application: str = "orders", label: str = "main") -> ConfigSource:
    return ConfigSource(
        application=application, profile="prod", label=label, properties={"password": password}
    )


async def password(backend: FilesystemConfigBackend) -> Any:
    found = await backend.fetch("orders", "prod")
    return None if found is None else found.properties["password"]


# --- the disk -----------------------------------------------------------------------------

BEGIN = """
import asyncio, json, os, resource, subprocess, sys
from pathlib import Path
from pyfly.config_server import ConfigSource, FilesystemConfigBackend

root = Path(sys.argv[1])
rows = []


def names():
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


async def save(when, text, label="main"):
    source = ConfigSource(
        application="orders", profile="prod", label=label, properties={"password": text}
    )
    try:
        told = await backend.save(source)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
    found = await FilesystemConfigBackend(root).fetch("orders", "prod")
    rows.append([when, told, found and found.properties["password"][:6], names()])


def mount(*options):
    subprocess.run(["mount", *options, "none", str(root)], check=True)


def fill():
    with open(root / "filling", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            return
"""

FULL_DISK = """
async def story():
    await save("at first", "old")
    await save("too large", "larger" * 20_000)
    fill()
    await save("full", "new")
    await save("full, in a new label", "new", "feature/x")
    (root / "filling").unlink()
    await save("space again", "newer")
    mount("-o", "remount,ro")
    await save("read-only", "newest")
    await save("read-only, in a new label", "newest", "feature/y")
    mount("-o", "remount,rw")
    await save("writable again", "newest")


mount("-t", "tmpfs", "-o", "size=64k")
"""

LIMITED_FILES = """
async def story():
    await save("at first", "old")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
    await save("limited", "larger" * 1_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    await save("no longer limited", "larger" * 1_000)

"""

END = """
backend = FilesystemConfigBackend(root)
asyncio.run(story())
print(json.dumps(rows))
"""


def told_by(script: str, root: Path, *command: str) -> Any:
    run = subprocess.run(
        [*command, sys.executable, "-c", BEGIN + script + END, str(root)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture
def own_mounts(tmp_path: Path) -> tuple[str, ...]:
    """Return the command that runs another one where it may mount; the mounts end with it."""
    command = ("unshare", "--user", "--map-root-user", "--mount")
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare command")
    probe = [*command, "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    return command


def test_a_full_or_read_only_disk_keeps_the_old_bundle_until_it_is_repaired(
    root: Path, own_mounts: tuple[str, ...]
) -> None:
    here = ["main/orders-prod.yaml"]
    full = "BackendUnavailableError: cannot write '{}/orders-prod': No space left on device"
    read_only = "BackendAccessDeniedError: cannot write '{}/orders-prod': Read-only file system"
    assert told_by(FULL_DISK, root, *own_mounts) == [
        ["at first", None, "old", here],
        ["too large", full.format("main"), "old", here],
        ["full", full.format("main"), "old", ["filling", *here]],
        ["full, in a new label", full.format("feature/x"), "old", ["filling", *here]],
        ["space again", None, "newer", here],
        ["read-only", read_only.format("main"), "newer", here],
        ["read-only, in a new label", read_only.format("feature/y"), "newer", here],
        ["writable again", None, "newest", here],
    ]


def test_a_write_that_stops_half_way_keeps_the_old_bundle_and_removes_the_half(root: Path) -> None:
    here = ["main/orders-prod.yaml"]
    large = "BackendUnavailableError: cannot write 'main/orders-prod': File too large"
    assert told_by(LIMITED_FILES, root) == [
        ["at first", None, "old", here],
        ["limited", large, "old", here],
        ["no longer limited", None, "larger", here],
    ]


READ_ONLY_FIRST = """
async def story():
    from pyfly.config_server import ConfigServer, InMemoryConfigBackend
    from pyfly.config_server.storage import ABSENT, SupportsConditionalSave, ability

    await save("at first", "old")
    mount("-o", "remount,ro")
    second = InMemoryConfigBackend()
    first = FilesystemConfigBackend(root)
    server = ConfigServer(first, second)
    source = ConfigSource(application="orders", profile="prod", label="x", properties={"a": 1})
    await server.bundles.commit(source, expected=ABSENT)
    rows.append([ability(first, SupportsConditionalSave) is None, len(await second.list())])
    mount("-o", "remount,rw")
    writable = ability(first, SupportsConditionalSave) is first
    rows.append([writable, ConfigServer(first, second).bundles.backend is first])


mount("-t", "tmpfs", "-o", "size=64k")
"""


def test_a_store_on_a_read_only_disk_leaves_the_writes_to_the_next(
    root: Path, own_mounts: tuple[str, ...]
) -> None:
    told = told_by(READ_ONLY_FIRST, root, *own_mounts)
    assert told[1:] == [[True, 1], [True, True]]


def test_a_store_that_says_it_is_read_only_is_not_written_to(root: Path) -> None:
    class View(WrapperBackend):
        def ability(self, kind: type[Any]) -> Any:
            return None if kind is SupportsConditionalSave else super().ability(kind)

    second = FilesystemConfigBackend(root)
    assert ConfigServer(View(InMemoryConfigBackend()), second).bundles.backend is second
    only = View(InMemoryConfigBackend())
    assert ConfigServer(only).bundles.backend is only
    missing = FilesystemConfigBackend(root / "missing")
    assert ability(missing, SupportsConditionalSave) is missing


# --- the tree -----------------------------------------------------------------------------


async def test_a_root_that_vanishes_is_an_error_for_every_call_and_works_again_when_it_is_back(
    root: Path,
) -> None:
    backend = FilesystemConfigBackend(root)
    await backend.save(source("old"))
    away = root.rename(root.with_name("away"))

    async def keys() -> Any:
        return [entry async for entry in backend.keys()]

    for call in (
        backend.fetch("orders", "prod"),
        backend.fetch_many([source("").key]),
        backend.save(source("new")),
        backend.commit(source("new"), expected=ABSENT),
        backend.delete(ConfigKey(application="orders", profile="prod"), expected=ANY),
        backend.list(),
        keys(),
        backend.labels(),
        backend.has_label("main"),
        backend.check(),
    ):
        with pytest.raises(BackendUnavailableError, match="cannot open the root"):
            await call
    away.rename(root)
    assert await password(backend) == "old"
    await backend.save(source("new"))
    assert await password(backend) == "new"
    assert [path.name for path in root.rglob("*")] == ["main", "orders-prod.yaml"]


async def test_a_root_that_is_a_file_is_an_error_that_says_so(root: Path) -> None:
    root.rmdir()
    root.write_text("a: 1\n", encoding="utf-8")
    backend = FilesystemConfigBackend(root)
    for call in (backend.fetch("orders", "prod"), backend.save(source("new")), backend.check()):
        with pytest.raises(BackendUnavailableError, match="configuration: Not a directory"):
            await call
    assert root.read_text(encoding="utf-8") == "a: 1\n"


async def test_a_replaced_root_is_read_and_written_at_once(root: Path) -> None:
    backend = FilesystemConfigBackend(root)
    await backend.save(source("old"))
    old = await backend.fetch("orders", "prod")
    assert old is not None
    assert old.version is not None
    prepared = root.with_name("prepared")
    prepared.mkdir()
    await FilesystemConfigBackend(prepared).save(source("other"))
    away = root.rename(root.with_name("away"))
    prepared.rename(root)
    assert await password(backend) == "other"
    with pytest.raises(ConfigError, match="repeat the change"):
        await backend.commit(source("new"), expected=old.version)
    await backend.save(source("new"))
    assert await password(backend) == "new"
    assert await password(FilesystemConfigBackend(away)) == "old"


@pytest.mark.parametrize("gone", ["label", "bundle"])
async def test_what_vanishes_between_listing_and_opening_is_left_out(root: Path, gone: str) -> None:
    backend = FilesystemConfigBackend(root)
    for label in ("a", "b"):
        (root / label).mkdir()
        for number in range(100):
            path = root / label / f"app{number:03}-prod.yaml"
            path.write_text("a: 1\n", encoding="utf-8")
    entries = backend.keys()
    found = [await anext(entries)]  # the names are known by now, the later files are not open
    if gone == "label":
        shutil.rmtree(root / "b")
    else:
        (root / "b" / "app050-prod.yaml").unlink()
    found += [entry async for entry in entries]
    assert [entry.error for entry in found if entry.error] == []
    assert len(found) == (100 if gone == "label" else 199)
    assert len(await backend.list()) == len(found)


async def test_a_label_that_is_a_file_is_no_label_and_takes_no_bundle(root: Path) -> None:
    (root / "main").write_text("a: 1\n", encoding="utf-8")
    backend = FilesystemConfigBackend(root)
    assert await password(backend) is None
    assert await backend.list() == []
    for label in ("main", "main/x"):
        with pytest.raises(BackendUnavailableError, match="Not a directory"):
            await backend.save(source("new", label=label))
        await backend.delete(
            ConfigKey(application="orders", profile="prod", label=label), expected=ANY
        )
    assert (root / "main").read_text(encoding="utf-8") == "a: 1\n"


# --- through HTTP -------------------------------------------------------------------------


async def get(root: Path, path: str = "/config/orders/prod") -> HttpResponse:
    controller = Controller(ConfigServer(FilesystemConfigBackend(root)), auth=None)
    return await controller.handle(HttpRequest(method="GET", raw_path=path.encode()))


async def test_a_missing_root_is_answered_with_503_its_cause_and_when_to_come_back(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await FilesystemConfigBackend(root).save(source("hunter2"))
    away = root.rename(root.with_name("away"))
    for path in ("/config/orders/prod", "/config/orders/prod/main", "/config/a,b/c,d/feature(_)x"):
        response = await get(root, path)
        headers = dict(response.headers)
        body = json.loads(response.body)
        assert (response.status, body["status"]) == (503, 503)
        assert 1 <= int(headers[b"retry-after"]) <= 60
        assert "cannot open the root of the configuration: No such file" in body["message"]
        assert str(root.parent) not in response.body.decode()
    assert "cannot open the root of the configuration" in caplog.text
    assert str(root.parent) not in caplog.text
    assert "hunter2" not in caplog.text
    away.rename(root)
    response = await get(root)
    assert response.status == 200
    assert b"hunter2" in response.body


@pytest.mark.parametrize(
    ("error", "status"), [(OSError(errno.EIO, ""), 503), (OSError(errno.EACCES, ""), 500)]
)
async def test_a_file_that_cannot_be_read_is_answered_with_its_name_and_the_cause(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, status: int
) -> None:
    await FilesystemConfigBackend(root).save(source("hunter2"))

    def fail(*args: Any) -> bytes:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        response = await get(root)
    assert response.status == status
    assert (b"retry-after" in dict(response.headers)) == (status == 503)
    message = json.loads(response.body)["message"]
    reason = "Input/output error" if status == 503 else "Permission denied"
    assert message == f"cannot read 'main/orders-prod.yaml': {reason}"
    assert (await get(root)).status == 200


async def test_a_save_without_a_root_says_so_and_makes_nothing(root: Path) -> None:
    root.rmdir()
    server = ConfigServer(FilesystemConfigBackend(root))
    with pytest.raises(BackendUnavailableError, match="root") as caught:
        await server.save("orders", "prod", {"password": "hunter2"})
    assert not isinstance(caught.value, BackendAccessDeniedError)
    assert "hunter2" not in str(caught.value)
    assert not root.exists()
