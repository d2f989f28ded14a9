"""Stores that read a repository."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ssh_server import Sshd

from git_http import PASSWORD, GitHttpServer
from git_repositories import Repository
from pyfly.config_git import GitConfigBackend


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


@pytest.fixture
def http(repository: Repository) -> Iterator[GitHttpServer]:
    """A server over HTTP of the repository, which has a bundle."""
    repository.commit({"orders-prod.yml": "port: 1"})
    server = GitHttpServer(repository.path.parent, credentials=f"ada:{PASSWORD}")
    yield server
    server.close()


@pytest.fixture
def sshd(tmp_path: Path, free_tcp_port: int) -> Iterator[Sshd]:
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        if os.environ.get("PYFLY_CI"):
            pytest.fail("sshd is not installed")
        pytest.skip("sshd is not installed")
    directory = tmp_path / "ssh"
    directory.mkdir()
    server = Sshd(program, directory, free_tcp_port)
    yield server
    server.close()
