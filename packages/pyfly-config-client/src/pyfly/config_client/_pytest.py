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


def _serve() -> "Generator[ConfigServerDouble, None, None]":
    """A configuration server in memory, which every client asks while the fixture lives."""
    from pyfly.config_client.testing import ConfigServerDouble  # noqa: PLC0415 - on use only

    with ConfigServerDouble() as server:
        yield server


# One for each scope, for fixtures of that scope. The one that was made last is asked.
config_server = pytest.fixture(name="config_server")(_serve)
class_config_server = pytest.fixture(name="class_config_server", scope="class")(_serve)
module_config_server = pytest.fixture(name="module_config_server", scope="module")(_serve)
package_config_server = pytest.fixture(name="package_config_server", scope="package")(_serve)
session_config_server = pytest.fixture(name="session_config_server", scope="session")(_serve)
