"""The pytest plugin (entry point `pytest11`). Imports the client when a fixture is used."""

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyfly.config_client.testing import FakeConfigServer

_SNAPSHOT_DIR = "PYFLY_CONFIG_SNAPSHOT_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """Disable snapshots in tests, unless the environment names a directory for them."""
    if _SNAPSHOT_DIR not in os.environ:
        os.environ[_SNAPSHOT_DIR] = "off"
        config.add_cleanup(_restore)


def _restore() -> None:
    os.environ.pop(_SNAPSHOT_DIR, None)


def _serve() -> "Generator[FakeConfigServer, None, None]":
    """A configuration server in memory that answers the requests of all clients."""
    from pyfly.config_client.testing import FakeConfigServer  # noqa: PLC0415 - loads the server

    with FakeConfigServer() as server:
        yield server


# One for each scope, for fixtures of that scope. The one that was made last answers.
config_server = pytest.fixture(name="config_server")(_serve)
class_config_server = pytest.fixture(name="class_config_server", scope="class")(_serve)
module_config_server = pytest.fixture(name="module_config_server", scope="module")(_serve)
package_config_server = pytest.fixture(name="package_config_server", scope="package")(_serve)
session_config_server = pytest.fixture(name="session_config_server", scope="session")(_serve)
