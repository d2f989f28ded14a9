"""Stores that read a repository."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from git_repositories import Repository
from pyfly.config_git import GitConfigBackend


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "remote.git")


@pytest.fixture
def open_store(repository: Repository, tmp_path: Path) -> Iterator[Callable[..., GitConfigBackend]]:
    """Return a function that opens a store for the repository. It does not fetch by itself."""
    opened: list[GitConfigBackend] = []

    def make(url: str | None = None, /, **options: str) -> GitConfigBackend:
        given = {"refresh": "3600", "state": str(tmp_path / "state"), **options}
        query = "&".join(f"{name}={value}" for name, value in given.items())
        opened.append(GitConfigBackend.from_url(f"{url or repository.url}?{query}"))
        return opened[-1]

    yield make
    for backend in opened:
        asyncio.run(backend.aclose())
