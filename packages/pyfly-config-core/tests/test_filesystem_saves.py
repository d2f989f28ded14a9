"""Saving and removing files: what is written, and what a fault leaves behind."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigConflictError,
    ConfigFormatError,
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
)
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server.files import StoreLimits, text_writer
from pyfly.config_server.files.atomic import locked
from pyfly.config_server.files.emptied import EMPTIED_NAME
from pyfly.config_server.formats.text import dump_text
from pyfly.config_server.storage import ABSENT, ANY

pytestmark = pytest.mark.anyio


def source(properties: Any, **key: str) -> ConfigSource:
    names: Any = {"application": "orders", "profile": "prod"} | key
    return ConfigSource(**names, properties=properties)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


async def properties(backend: FilesystemConfigBackend, *key: str) -> Any:
    found = await backend.fetch(*(key or ("orders", "prod")))
    return None if found is None else found.properties


async def test_only_a_new_file_is_written_from_nothing(
    backend: FilesystemConfigBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[bytes] = []
    real = dump_text

    def dump(tree: Any, *, suffix: str) -> bytes:
        texts.append(real(tree, suffix=suffix))
        return texts[-1]

    monkeypatch.setattr(text_writer, "dump_text", dump)
    for number in range(3):
        await backend.save(source({"a": number}))
    assert texts == [b"a: 0\n"]
    assert (tmp_path / "main" / "orders-prod.yaml").read_bytes() == b"a: 2\n"


async def test_a_bundle_that_no_file_can_hold_leaves_no_directory_of_its_label(
    backend: FilesystemConfigBackend, tmp_path: Path
) -> None:
    with pytest.raises(ConfigFormatError):
        await backend.save(source({"a": "x" * 2_000_000}, label="next"))
    assert "next" not in names(tmp_path)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("orders-prod.yaml", "a: 1\n", "b: 2\n"),
        ("orders-prod.yml", "a: 1\n", "b: 2\n"),
        ("orders-prod.json", '{"a": 1}', '{"b": 2}'),
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
        ("orders-prod.yaml", "a: 1\n---\na: 2\n"),
        ("orders-prod.yaml", "a: 1\n---\nb: [\n"),
        ("orders-prod.yml", "---\na: 1\n---\nb: 2\nc: &x 1\n---\na: 3\n"),
        ("orders-prod.properties", "a=1\n#---\na=2\n"),
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
        await backend.save(source({"a": 9}))
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
    await backend.delete(ConfigKey(application="orders", profile="prod"), expected=ANY)
    assert await backend.fetch("orders", "prod") is None
    assert names(tmp_path) == [EMPTIED_NAME]
    assert not await backend.has_label("main")


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
    monkeypatch.setattr(backend._threads, "limits", StoreLimits(wait=0.05))
    write("main/orders-prod.yaml", "a: 1\n")
    held = os.open(tmp_path / "main", os.O_RDONLY)
    try:
        with (
            locked(held, what="main", deadline=0),
            pytest.raises(BackendUnavailableError, match=r"the lock of 'main' .* nothing was"),
        ):
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
