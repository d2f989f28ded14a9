"""What the tests of the core share."""

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
        return path

    return put
