import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import pyfly.config_client

HEAVY = {
    "httpx",
    "yaml",
    "asyncio",
    "ssl",
    "pydantic",
    "cryptography",
    "prometheus_client",
    "pyfly.config_server",
}
ON_FIRST_USE = {
    "asyncio",
    "concurrent.futures",
    "cryptography",
    "pyfly.config_client._conversion",
    "pyfly.config_client._encryption",
    "pyfly.config_client._live",
    "pyfly.config_client._scalars",
    "pyfly.config_client._sections",
    "pyfly.config_client._types",
    "pyfly.config_client._watch",
    "queue",
}
"""What a blocking fetch without keys and types does without."""


def loaded_by(script: str, modules: set[str] = HEAVY) -> set[str]:
    """Return which of some modules a new interpreter has after running a script."""
    script = f"import sys\n{script}\nprint(*{modules!r} & sys.modules.keys())"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    return set(run.stdout.split())


def test_the_public_names_are_exactly_those_listed() -> None:
    listed = pyfly.config_client.__all__
    assert listed == sorted(listed)
    for name in listed:
        assert getattr(pyfly.config_client, name).__name__ == name
    public = {
        name
        for name, value in vars(pyfly.config_client).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public - {"TYPE_CHECKING"} == set(listed)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = pyfly.config_client.Nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_importing_the_client_loads_nothing_heavy() -> None:
    assert loaded_by("import pyfly.config_client") == set()
    assert loaded_by("from pyfly.config_client import *") == set()
    client = "ConfigClient(server_url='http://config', application='orders')"
    assert loaded_by(f"from pyfly.config_client import ConfigClient; {client}") == set()


def test_a_blocking_fetch_loads_no_part_that_it_does_not_use(server: Any) -> None:
    server.answer_json(
        {"name": "orders", "profiles": ["default"], "label": None, "propertySources": []}
    )
    script = (
        "from pyfly.config_client import SyncConfigClient\n"
        f"client = SyncConfigClient(server_url={server.url!r}, application='orders', "
        "allow_empty=True, snapshot_dir='off')\n"
        "assert not client.fetch() and 'httpx' in sys.modules"
    )
    of_libraries = loaded_by("import httpcore", ON_FIRST_USE)  # what old versions of anyio load
    assert loaded_by(script, ON_FIRST_USE) <= of_libraries


def test_importing_the_metrics_loads_nothing_heavy() -> None:
    assert loaded_by("import pyfly.config_client.metrics") == set()


def test_importing_the_plugin_for_pytest_loads_nothing_heavy() -> None:
    before = loaded_by("import pytest")
    assert loaded_by("import pytest, pyfly.config_client._pytest") == before
