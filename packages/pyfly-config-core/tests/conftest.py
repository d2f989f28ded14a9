"""What the tests of the core share."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from standby_stores import Restart, Switch, quick

from pyfly.config_server import ConfigBackend, FilesystemConfigBackend
from pyfly.config_server.live.standby import StandbyBackend
from pyfly.config_server.testing._wrapped import CompleteBackend


@pytest.fixture
def backend(tmp_path: Path) -> FilesystemConfigBackend:
    return FilesystemConfigBackend(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def put(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        written = path.stat().st_mtime - 2
        os.utime(path, (written, written))  # complete for long enough to be read at once
        return path

    return put


# --- the standby -----------------------------------------------------------------------


@pytest.fixture
def quick_standby(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make batches of the standby follow one another at once."""
    quick(monkeypatch)


@pytest.fixture
def standby_directory(tmp_path: Path) -> Path:
    return tmp_path / "standby"


@pytest.fixture
def inner() -> CompleteBackend:
    """The store below the one that can be taken away."""
    return CompleteBackend()


@pytest.fixture
def switch(inner: CompleteBackend) -> Switch:
    return Switch(inner)


@pytest.fixture
async def restart(standby_directory: Path) -> AsyncIterator[Restart]:
    """Open the standby as a new process does; close all of them at the end."""
    opened: list[StandbyBackend] = []

    def start(backend: ConfigBackend, **options: int) -> StandbyBackend:
        opened.append(StandbyBackend(backend, standby_directory, store="one", **options))
        return opened[-1]

    yield start
    for one in opened:
        await one._recorder.aclose()
        await one._readers.close(deadline=0)
        one._files.close()
