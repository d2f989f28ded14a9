"""The pytest plugin (entry point `pytest11`); loads nothing of the client until it is used."""

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyfly.config_client.testing import ConfigServerDouble

_SNAPSHOTS = "PYFLY_CONFIG_SNAPSHOT_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """Keep snapshots of tests out of the home directory, unless somebody names a place."""
    if _SNAPSHOTS not in os.environ:
        os.environ[_SNAPSHOTS] = "off"
        config.add_cleanup(_forget)


def _forget() -> None:
    os.environ.pop(_SNAPSHOTS, None)


@pytest.fixture
def config_server() -> "Generator[ConfigServerDouble, None, None]":
    """A configuration server in memory, which every client asks while the test runs."""
    from pyfly.config_client.testing import ConfigServerDouble  # noqa: PLC0415 - on use only

    with ConfigServerDouble() as server:
        yield server
