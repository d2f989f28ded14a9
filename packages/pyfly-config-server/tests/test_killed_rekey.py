"""`pyfly-config rekey`, killed at any moment: every value is the old or the new one."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._settings.loading import load_encryption
from pyfly.config_cli._settings.names import PREFIX
from pyfly.config_server import ConfigSource, open_backend
from pyfly.config_server.encryption.keyring import KeyRing

pytestmark = [pytest.mark.slow, pytest.mark.untraced]

BUNDLES = 60
SETTINGS = {PREFIX + "ENCRYPT_KEY": "foo", PREFIX + "ENCRYPT_KEYS": '{"k2": "bar"}'}
CLEAR = {f"a{number}": f"secret {number}" for number in range(BUNDLES)}
NEW = "{cipher}{key:k2}"


async def fill(url: str, values: Mapping[str, str]) -> None:
    store: Any = open_backend(url)
    for application, value in values.items():
        properties: Any = {"one": value, "two": {"three": value}, "clear": application}
        await store.save(
            ConfigSource(application=application, profile="prod", properties=properties)
        )
    await store.aclose()


async def stored(url: str) -> dict[str, dict[str, Any]]:
    store: Any = open_backend(url)
    found = {one.application: dict(one.properties) for one in await store.list()}
    await store.aclose()
    return found


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], subprocess.Popen[bytes]]:
    """Start the command for a store. Its output is kept in a file."""

    def run(url: str) -> subprocess.Popen[bytes]:
        program = Path(sys.executable).with_name("pyfly-config")
        with (tmp_path / "output").open("wb") as output:
            return subprocess.Popen(
                [program, "rekey", url, "--from", "default", "--to", "k2"],
                env={**os.environ, **SETTINGS},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    return run


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    for name, text in SETTINGS.items():
        monkeypatch.setenv(name, text)
    found = load_encryption(None).keys
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["directory", "sqlite"])
def test_a_killed_run_leaves_old_or_new_values_and_the_next_one_finishes(
    kind: str,
    tmp_path: Path,
    start: Callable[[str], subprocess.Popen[bytes]],
    keys: KeyRing,
    times: int,
) -> None:
    chance, cut = random.Random(1), 0
    ciphers = {name: "{cipher}" + keys.encrypt(text) for name, text in CLEAR.items()}
    for number in range(2 * times):
        root = tmp_path / str(number)
        root.mkdir()
        url = root.as_uri() if kind == "directory" else f"sqlite:///{root}/config.db"
        if kind == "sqlite":
            (root / "config.db").touch()
        asyncio.run(fill(url, ciphers))
        process = start(url)
        while process.poll() is None and not _has_begun(root):
            time.sleep(0.001)
        time.sleep(chance.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = asyncio.run(stored(url))
        assert found.keys() == CLEAR.keys()
        for application, tree in found.items():
            values = [tree["one"], tree["two"]["three"]]
            assert [keys.decrypt(one) for one in values] == 2 * [CLEAR[application]]
            is_new = [one.startswith(NEW) for one in values]
            assert all(is_new) or values == 2 * [
                ciphers[application]
            ]  # a bundle is one or the other
        cut += any(tree["one"] == ciphers[name] for name, tree in found.items())
        again = start(url)
        assert again.wait(120) == 0, (tmp_path / "output").read_text(encoding="utf-8")
        found = asyncio.run(stored(url))
        assert all(tree["one"].startswith(NEW) for tree in found.values())
        assert {name: keys.decrypt(tree["one"]) for name, tree in found.items()} == CLEAR
    assert cut, "no run was killed before its end"


def _has_begun(root: Path) -> bool:
    """True if something was written that is encrypted with the new key."""
    files = [*root.glob("main/*.yaml"), *root.glob("config.db*")]
    return any(NEW.encode() in one.read_bytes() for one in files)
