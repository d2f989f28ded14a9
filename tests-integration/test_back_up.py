"""The commands of the guide for backups: what comes back is what was stored."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import ConfigSource, open_backend
from pyfly.config_server.storage import SupportsClose, SupportsHistory, ability

COMMAND = Path(sys.executable).with_name("pyfly-config")
BUNDLES: dict[tuple[str, str, str], dict[str, Any]] = {
    ("application", "default", "main"): {"a": 1},
    ("orders", "prod", "main"): {"db": {"url": "jdbc:x", "tags": ["ü", "b"]}},
    ("orders", "prod", "next"): {"secret": "{cipher}AQ=="},
}


@pytest.fixture
def commands(checkout: Path) -> Callable[..., list[list[str]]]:
    """Return the commands of a section of the guide, with other names in them."""
    page = (checkout / "docs/guides/back-up.md").read_text(encoding="utf-8")

    def find(section: str, **names: object) -> list[list[str]]:
        text = page.partition(f"## {section}\n")[2].partition("\n## ")[0]
        lines = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
        assert lines
        for old, new in names.items():
            lines = [line.replace(old.replace("__", "/"), str(new)) for line in lines]
        return [shlex.split(line) for line in lines]

    return find


async def fill(url: str, bundles: dict[tuple[str, str, str], Any] = BUNDLES) -> None:
    backend = open_backend(url)
    for (application, profile, label), properties in bundles.items():
        for tree in ({"before": True}, properties):
            await backend.save(
                ConfigSource(application=application, profile=profile, label=label, properties=tree)
            )
    await close(backend)


async def stored(url: str) -> dict[tuple[str, str, str], Any]:
    backend = open_backend(url)
    found = {
        (one.application, one.profile, one.label): one.properties for one in await backend.list()
    }
    await close(backend)
    return found


async def versions(url: str) -> int:
    backend = open_backend(url)
    history = ability(backend, SupportsHistory)
    assert history is not None
    key = next(one.key for one in await backend.list() if one.application == "orders")
    count = len(await history.history(key))
    await close(backend)
    return count


async def close(backend: Any) -> None:
    closing = ability(backend, SupportsClose)
    if closing is not None:
        await closing.aclose()


def run(*words: object) -> None:
    done = subprocess.run([*map(str, words)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_any_store_is_copied_into_files_and_back(
    tmp_path: Path, commands: Callable[..., list[list[str]]]
) -> None:
    url, backup, new = f"sqlite:///{tmp_path}/a.db", tmp_path / "backup", f"{tmp_path}/new.db"
    asyncio.run(fill(url))
    backup.mkdir()
    Path(new).touch()
    ((program, *arguments),) = commands("Any store, into files", STORE=url, **{".__backup": backup})
    assert program == "pyfly-config"
    run(COMMAND, *arguments)
    run(COMMAND, "copy", backup, f"sqlite:///{new}")
    assert asyncio.run(stored(f"sqlite:///{new}")) == BUNDLES


def test_a_directory_is_archived(tmp_path: Path, commands: Callable[..., list[list[str]]]) -> None:
    root, new = tmp_path / "pyfly", tmp_path / "pyfly-restored"
    root.mkdir()
    asyncio.run(fill(root.as_uri()))
    names = {"__etc__pyfly": root, "config.tar.gz": tmp_path / "config.tar.gz"}
    save, restore = commands("A directory", **names)
    run(*save)
    run("sh", "-c", shlex.join(restore).replace("'&&'", "&&"))
    assert asyncio.run(stored(new.as_uri())) == BUNDLES


def test_a_bucket_is_copied_into_another_one(
    make_bucket: Callable[[str], str], commands: Callable[..., list[list[str]]]
) -> None:
    old, new = make_bucket("back-up-of"), make_bucket("back-up-in")
    asyncio.run(fill(old))
    ((program, *arguments),) = commands("S3", **{"s3:____config": old, "s3:____backup": new})
    assert program == "pyfly-config"
    run(COMMAND, *arguments)
    assert asyncio.run(stored(new)) == BUNDLES
    changed = {("orders", "prod", "main"): {"a": 2}}
    asyncio.run(fill(old, changed))
    run(COMMAND, "copy", new, old, "--verify", "--overwrite")  # what is restored wins
    assert asyncio.run(stored(old)) == BUNDLES


@pytest.mark.external
def test_a_git_repository_is_mirrored(
    tmp_path: Path, commands: Callable[..., list[list[str]]]
) -> None:
    origin, new, work = tmp_path / "origin.git", tmp_path / "new.git", tmp_path / "work"
    for one in (origin, new):
        run("git", "init", "--quiet", "--bare", "--initial-branch=main", one)
    run("git", "clone", "--quiet", origin, work)
    (work / "orders-prod.yml").write_text("a: 1\n", encoding="utf-8")
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    run("git", "-C", work, "add", ".")
    run("git", "-C", work, *who, "commit", "--quiet", "-m", "first")
    run("git", "-C", work, "push", "--quiet", "origin", "HEAD:main", "HEAD:release")
    names = {"config.git": tmp_path / "config.git", "NEW-URL": new, " URL": f" {origin}"}
    for words in commands("Git", **names):
        run(*words)
    listed = [
        subprocess.run(["git", "-C", one, "show-ref"], capture_output=True, check=True).stdout
        for one in (origin, new)
    ]
    assert listed[0] == listed[1] != b""


@pytest.mark.external
def test_a_sqlite_file_is_copied_while_it_is_used(
    tmp_path: Path, commands: Callable[..., list[list[str]]]
) -> None:
    if shutil.which("sqlite3") is None:
        reason = "needs sqlite3: apt-get install sqlite3"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
    (tmp_path / "backup").mkdir()
    url = f"sqlite:///{tmp_path}/config.db"
    asyncio.run(fill(url))
    names = {"__var__lib__pyfly__config.db": f"{tmp_path}/config.db"}
    ((*words,),) = commands("SQLite", **names, __backup__=f"{tmp_path}/backup/")
    run(*words)
    copy = f"sqlite:///{tmp_path}/backup/config.db"
    assert asyncio.run(stored(copy)) == BUNDLES
    assert asyncio.run(versions(copy)) == asyncio.run(versions(url)) == 2
