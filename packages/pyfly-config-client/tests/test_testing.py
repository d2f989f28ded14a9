"""The server in memory for the tests of programs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyfly.config_client import (
    ConfigClient,
    InvalidPayloadError,
    Properties,
    ServerRejectedError,
    ServerUnreachableError,
    SyncConfigClient,
)
from pyfly.config_client.testing import ConfigServerDouble, Fault
from pyfly.config_core import ConfigFormatError

pytestmark = pytest.mark.anyio


def program() -> str:
    """Stand for a program that knows nothing of its tests."""
    client = SyncConfigClient(server_url="http://config:8888", application="orders", profile="prod")
    return client.fetch().get("db.url", str)


async def test_every_client_asks_the_server_in_memory(config_server: ConfigServerDouble) -> None:
    config_server.put("orders", "prod", {"db": {"url": "x"}})
    assert program() == "x"
    assert await config_server.async_client("orders", "prod").fetch() == {"db.url": "x"}
    other = ConfigClient(server_url="https://elsewhere", application="orders", profile="prod")
    assert (await other.fetch()).get("db.url") == "x"
    assert config_server.requests[0] == "http://config:8888/config/orders/prod"
    with pytest.raises(InvalidPayloadError, match="nothing is stored"):
        config_server.client("billing").fetch()


def test_labels_and_several_profiles(config_server: ConfigServerDouble) -> None:
    config_server.put("orders", "prod", {"a": 1, "b": 1})
    config_server.put("orders", "eu", {"a": 2})
    config_server.put("orders", "prod", {"a": 3}, label="next")
    assert config_server.client("orders", "prod,eu").fetch() == {"a": 2, "b": 1}
    assert config_server.client("orders", "prod", label=["none", "next"]).fetch() == {"a": 3}


def test_overrides_end_with_their_block(config_server: ConfigServerDouble) -> None:
    config_server.put("orders", "prod", {"db": {"url": "x", "size": 1}})
    with config_server.override({"db.url": "y"}), config_server.override({"db": {"size": 9}}):
        assert program() == "y"
        assert config_server.client("orders", "prod").fetch().get("db.size", int) == 9
    assert program() == "x"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("down", ServerUnreachableError),
        ("slow", ServerUnreachableError),
        ("torn", InvalidPayloadError),
        ("401", ServerRejectedError),
    ],
)
async def test_faults(
    config_server: ConfigServerDouble, fault: Fault, error: type[Exception]
) -> None:
    config_server.put("orders", "prod", {"db.url": "x"})
    began = time.monotonic()
    with config_server.fault(fault):
        with pytest.raises(error):
            config_server.client("orders", "prod").fetch()
        with pytest.raises(error):
            await config_server.async_client("orders", "prod").fetch()
    assert time.monotonic() - began < 5  # nobody waits, although the timeout is ten seconds
    assert program() == "x"


def test_a_stale_server_repeats_what_it_said(config_server: ConfigServerDouble) -> None:
    config_server.put("orders", "prod", {"db.url": "x"})
    program()
    config_server.put("orders", "prod", {"db.url": "y"})
    with config_server.fault("stale"):
        assert program() == "x"
    assert program() == "y"


def test_a_snapshot_covers_a_fault(config_server: ConfigServerDouble, tmp_path: Path) -> None:
    config_server.put("orders", "prod", {"db.url": "x"})
    client = config_server.client("orders", "prod", snapshot_dir=tmp_path / "state")
    client.fetch()
    with config_server.fault("down"):
        assert client.fetch().from_snapshot


async def test_a_watcher_sees_changes(config_server: ConfigServerDouble) -> None:
    config_server.put("orders", "prod", {"a": 1})
    client = config_server.async_client("orders", "prod")
    await client.fetch()
    config_server.put("orders", "prod", {"a": 2})
    watch = client.watch(interval=0.01)
    assert (await anext(watch)).changed == {"a"}
    await watch.aclose()


def test_unit_tests_make_properties_of_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_HOST", "of the machine")
    given = {"db": {"url": "${db.host}:5432", "host": "x"}, "db.pool-size": 5, "hosts": ["a", "b"]}
    properties = Properties.of(given, application="orders")
    assert properties["db.url"] == "x:5432"
    assert properties.get("db.poolSize", int) == 5
    assert properties.get("hosts", list[str]) == ["a", "b"]
    assert (properties.name, properties.profiles) == ("orders", ("default",))
    with pytest.raises(ConfigFormatError):
        Properties.of({"db": object()})


def test_the_plugin_is_there_without_being_asked_for(tmp_path: Path) -> None:
    (tmp_path / "test_program.py").write_text(
        "import os, sys\n"
        "def test_program(config_server):\n"
        "    config_server.put('orders', 'prod', {'a': 1})\n"
        "    assert config_server.client('orders', 'prod').fetch() == {'a': 1}\n"
        "    assert os.environ['PYFLY_CONFIG_SNAPSHOT_DIR'] == 'off'\n"
        "    assert 'httpx' not in sys.modules\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:anyio"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
