import asyncio
import hashlib
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendLookupError,
    BackendUnavailableError,
    ConfigConflictError,
    ConfigFormatError,
    ConfigObstructedError,
    InvalidConfigKeyError,
)
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server._filesystem import files
from pyfly.config_server.storage import ABSENT, ANY, ConfigDocument

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def backend(tmp_path: Path) -> FilesystemConfigBackend:
    return FilesystemConfigBackend(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def put(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return put


def source(properties: Any, **key: str) -> ConfigSource:
    names: Any = {"application": "orders", "profile": "prod"} | key
    return ConfigSource(**names, properties=properties)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


async def properties(backend: FilesystemConfigBackend, *key: str) -> Any:
    found = await backend.fetch(*(key or ("orders", "prod")))
    return None if found is None else found.properties


# --- reading ------------------------------------------------------------------------------


async def test_the_first_existing_format_is_read(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    write("main/orders-prod.json", '{"from": "json"}')
    assert await properties(backend) == {"from": "json"}
    write("main/orders-prod.yml", "from: yml")
    assert await properties(backend) == {"from": "yml"}
    write("main/orders-prod.yaml", "from: yaml")
    assert await properties(backend) == {"from": "yaml"}


async def test_an_edit_by_hand_is_seen_at_once_even_of_equal_length(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    for value in range(200):
        write("main/orders-prod.yaml", f"a: {value:03}x\n")
        assert await properties(backend) == {"a": f"{value:03}x"}


async def test_an_old_file_is_parsed_once_and_again_when_it_changes(
    backend: FilesystemConfigBackend,
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write("main/orders-prod.yaml", "a: 1\n")
    bundles = "pyfly.config_server._filesystem.bundles"
    monkeypatch.setattr(f"{bundles}._SETTLED_NANOSECONDS", -(10**18))
    parsed = 0

    def count(data: bytes, *, suffix: str) -> Any:
        nonlocal parsed
        parsed += 1
        return (ConfigDocument(properties={"bytes": len(data), "suffix": suffix}),)

    monkeypatch.setattr(f"{bundles}.parse_documents", count)
    first = await properties(backend)
    first["bytes"] = "changed by the caller"
    assert await properties(backend) == {"bytes": 5, "suffix": ".yaml"}
    assert parsed == 1
    path.write_text("a: 12\n", encoding="utf-8")
    assert await properties(backend) == {"bytes": 6, "suffix": ".yaml"}
    assert parsed == 2


async def test_the_version_is_the_digest_of_the_file(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    found = await backend.fetch("orders", "prod")
    assert found is not None
    expected = hashlib.sha256(b"a: 1\n").hexdigest()
    assert (found.version, found.resource) == (expected, "orders-prod.yaml")


async def test_names_with_dashes_are_read_by_their_exact_key_and_listed_by_the_last_dash(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    write("main/a-b-c.yaml", "x: 1\n")
    assert await properties(backend, "a", "b-c") == {"x": 1}
    assert await properties(backend, "a-b", "c") == {"x": 1}
    assert [str(s.key) for s in await backend.list()] == ["a-b/c/main"]


async def test_what_is_no_bundle_is_not_listed(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    for name in (
        "main/orders.yaml",
        "main/orders-prod.txt",
        "main/.orders-prod.yaml",
        "main/.pyfly-config.tmp",
        "main/orders-prod.yaml~",
        "main/ä-prod.yaml",
        ".git/orders-prod.yaml",
        "..data/orders-prod.yaml",
        "orders-prod.yaml",
    ):
        write(name, "a: 1\n")
    assert await backend.list() == []
    assert await backend.labels() == []
    write("feature/x/orders-prod.yaml", "a: 1\n")
    assert [str(s.key) for s in await backend.list()] == ["orders/prod/feature/x"]
    assert await backend.labels() == ["feature/x"]


async def test_broken_bundles_are_left_out_of_the_listing_and_reported(
    backend: FilesystemConfigBackend,
    write: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    write("main/good-prod.yaml", "a: 1\n")
    write("main/bad-prod.yaml", "password: [marker\n")
    (tmp_path / "main" / "dir-prod.yaml").mkdir()
    assert [s.application for s in await backend.list()] == ["good"]
    assert "main/bad-prod.yaml, line" in caplog.text
    assert "marker" not in caplog.text
    entries = [entry async for entry in backend.keys()]
    assert [str(entry.key) for entry in entries] == ["bad/prod/main", "good/prod/main"]


@pytest.mark.parametrize("kind", ["directory", "fifo", "huge", "utf16"])
async def test_what_is_no_ordinary_text_is_an_error_that_names_it(
    backend: FilesystemConfigBackend, write: Callable[..., Path], kind: str
) -> None:
    path = write("main/orders-prod.yaml", "a: 1\n")
    if kind == "huge":
        path.write_bytes(b"#" * 1_048_577)
    elif kind == "utf16":
        path.write_bytes("a: 1\n".encode("utf-16"))
    else:
        path.unlink()
        path.mkdir() if kind == "directory" else os.mkfifo(path)
    with pytest.raises(ConfigFormatError, match=r"main/orders-prod\.yaml"):
        await asyncio.wait_for(backend.fetch("orders", "prod"), 10)


async def test_a_config_map_tree_is_followed_inside_the_root(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("main/..2026_01/orders-prod.yaml", "a: 1\n")
    (tmp_path / "main" / "..data").symlink_to("..2026_01")
    (tmp_path / "main" / "orders-prod.yaml").symlink_to("..data/orders-prod.yaml")
    (tmp_path / "current").symlink_to("main")
    assert await properties(backend) == {"a": 1}
    assert await properties(backend, "orders", "prod", "current") == {"a": 1}
    assert await backend.labels() == ["current", "main"]
    write("main/..2026_02/orders-prod.yaml", "a: 2\n")
    (tmp_path / "main" / "..tmp").symlink_to("..2026_02")
    (tmp_path / "main" / "..tmp").rename(tmp_path / "main" / "..data")
    assert await properties(backend) == {"a": 2}


async def test_a_link_to_a_parent_does_not_make_the_listing_endless(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    (tmp_path / "main" / "loop").symlink_to("..")
    assert await backend.labels() == ["main"]


@pytest.mark.parametrize("link", ["main/orders-prod.yaml", "main"])
async def test_a_link_that_leaves_the_root_is_denied_and_not_listed(
    tmp_path: Path, link: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    outside = tmp_path / "root-outside"  # shares the root's name as a prefix
    outside.mkdir()
    (outside / "orders-prod.yaml").write_text("secret: marker\n", encoding="utf-8")
    target = outside if link == "main" else outside / "orders-prod.yaml"
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(target)
    backend = FilesystemConfigBackend(root)
    with pytest.raises(BackendAccessDeniedError, match="leaves the root"):
        await backend.fetch("orders", "prod")
    assert await backend.list() == []
    assert "marker" not in caplog.text


async def test_a_missing_root_is_unavailable_for_every_call(tmp_path: Path) -> None:
    backend = FilesystemConfigBackend(tmp_path / "nowhere")
    for call in (
        backend.fetch("orders", "prod"),
        backend.list(),
        backend.labels(),
        backend.has_label("main"),
        backend.check(),
        backend.save(source({})),
    ):
        with pytest.raises(BackendUnavailableError, match="root"):
            await call


async def test_a_listing_of_10_000_bundles_leaves_the_event_loop_free(
    backend: FilesystemConfigBackend, tmp_path: Path
) -> None:
    directory = tmp_path / "main"
    directory.mkdir()
    for number in range(10_000):
        (directory / f"a{number:05}-prod.json").write_text('{"a": 1}', encoding="utf-8")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)  # without a pause the threads would wait for this one

    ticking = asyncio.create_task(tick())
    found = [entry async for entry in backend.keys()]
    during_keys, ticks = ticks, 0
    sources = await backend.list()
    ticking.cancel()
    assert (len(found), len(sources)) == (10_000, 10_000)
    assert during_keys > 50
    assert ticks > 50


async def test_a_fetch_opens_only_the_files_of_its_own_bundle(tmp_path: Path) -> None:
    directory = tmp_path / "main"
    directory.mkdir()
    for number in range(200):
        (directory / f"a{number}-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    script = f"""
import asyncio, sys
from pyfly.config_server import FilesystemConfigBackend
backend = FilesystemConfigBackend({str(tmp_path)!r})
asyncio.run(backend.fetch("a0", "prod"))
touched = []
sys.addaudithook(lambda event, args: touched.append((event, str(args[0])))
    if event in ("open", "os.listdir", "os.scandir") else None)
assert asyncio.run(backend.fetch("a7", "prod")) is not None
print(*(f"{{event}} {{name}}" for event, name in touched), sep="\\n")
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    lines = [line for line in run.stdout.splitlines() if line]
    assert not [line for line in lines if line.startswith(("os.listdir", "os.scandir"))]
    assert [line for line in lines if "-prod" in line] == ["open a7-prod.yaml"]


# --- writing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("orders-prod.yaml", "a: 1\n", "b: 2\n"),
        ("orders-prod.yml", "a: 1\n", "b: 2\n"),
        ("orders-prod.json", '{"a": 1}', '{\n  "b": 2\n}\n'),
    ],
)
async def test_a_save_writes_the_file_that_is_read_in_its_format(
    backend: FilesystemConfigBackend,
    write: Callable[..., Path],
    tmp_path: Path,
    name: str,
    before: str,
    after: str,
) -> None:
    write(f"main/{name}", before)
    await backend.save(source({"b": 2}))
    assert names(tmp_path / "main") == [name]
    assert (tmp_path / "main" / name).read_text(encoding="utf-8") == after


async def test_a_save_removes_what_it_shadows(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("main/orders-prod.json", '{"a": "json"}')
    write("main/orders-prod.yml", "a: yml\n")
    write("main/orders-prod-eu.json", '{"other": "bundle"}')
    await backend.save(source({"a": 2}))
    assert names(tmp_path / "main") == ["orders-prod-eu.json", "orders-prod.yml"]
    assert await properties(backend) == {"a": 2}


async def test_a_new_bundle_is_yaml_and_its_label_is_made(
    backend: FilesystemConfigBackend, tmp_path: Path
) -> None:
    await backend.save(source({"a": 1}, label="feature/x/y"))
    assert names(tmp_path / "feature" / "x" / "y") == ["orders-prod.yaml"]


async def test_an_existing_file_keeps_its_permissions(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    path = write("main/orders-prod.yaml", "a: 1\n")
    path.chmod(0o640)
    await backend.save(source({"a": 2}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "key", [{"profile": "b-c"}, {"application": "team/orders"}, {"label": "../x"}]
)
async def test_a_name_that_a_file_name_cannot_hold_is_refused(
    backend: FilesystemConfigBackend, tmp_path: Path, key: dict[str, str]
) -> None:
    with pytest.raises(InvalidConfigKeyError):
        await backend.save(source({}, **key))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("orders-prod.properties", "a=1\n"),
        ("orders-prod.yaml", "a: 1\n---\nb: 2\n"),
        ("orders-prod.yml", "---\na: 1\n---\nb: 2\n"),
    ],
)
async def test_files_that_a_save_would_damage_are_left_alone(
    backend: FilesystemConfigBackend,
    write: Callable[..., Path],
    tmp_path: Path,
    name: str,
    text: str,
) -> None:
    write(f"main/{name}", text)
    with pytest.raises(ConfigObstructedError, match=name):
        await backend.save(source({"a": 2}))
    assert names(tmp_path / "main") == [name]
    assert (tmp_path / "main" / name).read_text(encoding="utf-8") == text


async def test_a_broken_file_is_replaced_by_a_save(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    write("main/orders-prod.yaml", "a: [\n")
    await backend.save(source({"a": 2}))
    assert await properties(backend) == {"a": 2}


async def test_what_a_format_cannot_hold_is_refused_and_the_old_file_stays(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write("main/orders-prod.json", '{"a": 1}')
    with pytest.raises(ConfigFormatError):
        await backend.save(source({"a": float("inf")}))
    assert path.read_text(encoding="utf-8") == '{"a": 1}'
    assert names(tmp_path / "main") == ["orders-prod.json"]


async def test_a_conditional_save_names_the_current_version(
    backend: FilesystemConfigBackend,
) -> None:
    first = await backend.commit(source({"a": 1}), expected=ABSENT)
    for wrong in (ABSENT, "0" * 64):
        with pytest.raises(ConfigConflictError) as caught:
            await backend.commit(source({"a": 2}), expected=wrong)
        assert caught.value.current == first
    second = await backend.commit(source({"a": 2}), expected=first)
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert (found.version, found.properties) == (second, {"a": 2})


async def test_a_delete_removes_every_format(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    write("main/orders-prod.json", '{"a": "old"}')
    await backend.delete("orders", "prod", expected=ANY)
    assert await backend.fetch("orders", "prod") is None
    assert names(tmp_path / "main") == []
    assert await backend.has_label("main")


async def test_another_process_that_holds_the_lock_delays_a_save_but_not_a_fetch(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    script = f"""
import fcntl, os, sys
descriptor = os.open({str(tmp_path / "main")!r}, os.O_RDONLY)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        saving = asyncio.create_task(backend.save(source({"a": 2})))
        assert await properties(backend) == {"a": 1}
        assert not saving.done()
        holder.stdin.close()
        await asyncio.wait_for(saving, 10)
    assert await properties(backend) == {"a": 2}


async def test_a_lock_that_is_never_released_ends_in_an_error(
    backend: FilesystemConfigBackend,
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "_LOCK_SECONDS", 0.05)
    write("main/orders-prod.yaml", "a: 1\n")
    held = os.open(tmp_path / "main", os.O_RDONLY)
    try:
        with files.locked(held), pytest.raises(BackendUnavailableError, match="nothing was"):
            await backend.save(source({"a": 2}))
    finally:
        os.close(held)
    assert await properties(backend) == {"a": 1}


CALLS = ("open", "write", "fsync", "replace", "mkdir")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("existing", [True, False])
async def test_any_failing_file_operation_leaves_the_old_bundle_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, existing: bool
) -> None:
    """Let the first, second, third … call of one kind fail until the save succeeds."""
    for failing in range(1, 100):
        root = tmp_path / f"{failing}"
        root.mkdir()
        backend = FilesystemConfigBackend(root)
        if existing:
            await backend.save(source({"a": "old"}))
        count = 0
        real = getattr(os, call)

        def fail(*args: Any, real: Any = real, failing: int = failing, **how: Any) -> Any:
            nonlocal count
            count += 1
            if count == failing:
                raise OSError(28, "No space left on device")
            return real(*args, **how)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            try:
                await backend.save(source({"a": "new"}))
            except BackendUnavailableError as error:
                assert "No space left" in str(error)
                succeeded = False
            else:
                succeeded = True
        allowed = (
            [{"a": "new"}] if succeeded else [{"a": "old"} if existing else None, {"a": "new"}]
        )
        assert await properties(backend) in allowed
        if (root / "main").exists():
            assert set(names(root / "main")) <= {"orders-prod.yaml"}
        await backend.save(source({"a": "repaired"}))
        assert await properties(backend) == {"a": "repaired"}
        if succeeded and count < failing:
            return
    pytest.fail("the save never succeeded")


async def test_a_closed_backend_refuses(backend: FilesystemConfigBackend) -> None:
    await backend.aclose()
    await backend.aclose()
    with pytest.raises(BackendUnavailableError, match="closed"):
        await backend.fetch("orders", "prod")
    with pytest.raises(BackendUnavailableError, match="closed"):
        await backend.save(source({}))


# --- opening ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///etc/pyfly", "/etc/pyfly"),
        ("file://localhost/etc/pyfly", "/etc/pyfly"),
        ("file:config", "config"),
        ("file:./config%20files", "./config files"),
    ],
)
def test_a_file_url_names_a_directory(url: str, path: str) -> None:
    assert (
        repr(FilesystemConfigBackend.from_url(url))
        == f"FilesystemConfigBackend({str(Path(path))!r})"
    )


@pytest.mark.parametrize(
    "url",
    ["file:", "file://host/x", "file:///x?layout=tree", "file:///x?other=1", "file:///x?label=x"],
)
def test_another_file_url_is_refused(url: str) -> None:
    with pytest.raises(BackendLookupError, match="file:///"):
        FilesystemConfigBackend.from_url(url)


async def test_the_log_is_quiet_about_good_bundles(
    backend: FilesystemConfigBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pyfly")
    await backend.save(source({"a": 1}))
    await backend.fetch("orders", "prod")
    await backend.list()
    assert [r for r in caplog.records if r.name.startswith("pyfly")] == []
