"""SQLite files for tests; database servers are those of `tests-integration/sql`."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from pyfly.config_sql import SqlConfigBackend


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with tables and nothing in them, made by `upgrade`."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"

    async def make() -> None:
        backend = SqlConfigBackend.from_url(f"sqlite:///{path}")
        await backend.upgrade()
        await backend.aclose()

    asyncio.run(make())
    return path


@pytest.fixture
def url(empty_file: Path, tmp_path: Path) -> str:
    """An empty store of the test's own. A busy machine may keep a test waiting for long."""
    path = tmp_path / "config.db"
    shutil.copyfile(empty_file, path)
    return f"sqlite:///{path}?pool_timeout=60"


@pytest.fixture
async def backend(anyio_backend: str, url: str) -> AsyncGenerator[SqlConfigBackend]:
    """A backend of the store; afterwards every connection is back in the pool."""
    backend = SqlConfigBackend.from_url(url)
    yield backend
    while backend._database._running:  # noqa: ASYNC110 - what a cancelled caller has begun
        await asyncio.sleep(0.01)
    pool = backend._database.engine.pool
    assert pool.checkedout() == 0  # type: ignore[attr-defined]
    await backend.aclose()


@pytest.fixture
def open_again(url: str) -> Callable[[], SqlConfigBackend]:
    """Open the same store once more; the caller closes it."""
    return lambda: SqlConfigBackend.from_url(url)
