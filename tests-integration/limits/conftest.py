"""Servers whose cost is measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .metered import MeteredServer, settings, write_files, write_history

StartServer = Callable[..., Any]


def _start(start_server: StartServer, store: Path | str) -> MeteredServer:
    server = start_server(store, **settings())
    return MeteredServer(port=server.port, pid=server.process.pid)


@pytest.fixture(scope="session")
def metered_files(
    tmp_path_factory: pytest.TempPathFactory, start_server: StartServer
) -> MeteredServer:
    """A server of files that were not written through it."""
    root = tmp_path_factory.mktemp("files")
    write_files(root)
    return _start(start_server, root)


@pytest.fixture(scope="session")
def metered_history(
    tmp_path_factory: pytest.TempPathFactory, start_server: StartServer
) -> MeteredServer:
    """A server of a SQLite file with a bundle of very many versions."""
    path = tmp_path_factory.mktemp("history") / "bundles.db"
    write_history(path)
    return _start(start_server, f"sqlite:///{path}")


@pytest.fixture(scope="module", params=["files", "memory", "sqlite", "s3"])
def metered_store(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    start_server: StartServer,
) -> MeteredServer:
    """A server of an empty store of each kind."""
    root = tmp_path_factory.mktemp("store")
    if request.param == "s3":
        return _start(start_server, request.getfixturevalue("make_bucket")("limits"))
    stores = {"files": str(root), "memory": "memory:", "sqlite": f"sqlite:///{root}/bundles.db"}
    return _start(start_server, stores[request.param])
