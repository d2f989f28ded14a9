"""What the tests of the core share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyfly.config_server import FilesystemConfigBackend


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
        written = path.stat().st_mtime - 2
        os.utime(path, (written, written))  # complete for long enough to be read at once
        return path

    return put
