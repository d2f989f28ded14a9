"""Clients that other people wrote read the example repository as it is meant."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import SyncConfigClient

pytestmark = pytest.mark.external

READ = """
import json
import sys

from config.spring import ConfigClient

address, application, profile, label = sys.argv[1:]
client = ConfigClient(address=address, app_name=application, profile=profile, label=label)
client.get_config()
print(json.dumps(client.config))
"""

ORDERS_IN_THE_EU = {
    "company": {"name": "Example Coffee", "support": "support@example.com"},
    "http": {"timeout-seconds": 5, "retries": 4},
    "logging": {"level": {"root": "INFO"}},
    "database": {"host": "db.eu.internal.example", "port": 5432},
    "metrics": {"enabled": True},
    "privacy": {"retention-days": 30},
    "db": {"url": "postgres://db.internal.example/orders", "pool-size": 20},
    "orders": {"currency": "EUR", "max-items": 200, "payment-methods": ["card", "sepa"]},
}


@pytest.fixture(scope="module")
def config_client(make_environment: Callable[..., Path]) -> Callable[..., Any]:
    """Read with the PyPI package `config-client` in an environment of its own."""
    interpreter = make_environment("config-client==1.5.0")

    def read(*arguments: str) -> Any:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        done = subprocess.run(
            [interpreter, "-c", READ, *arguments],
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the tree as flat keys, written out the way the wire does."""
    if isinstance(tree, dict):
        pairs = [(f"{prefix}.{name}" if prefix else name, below) for name, below in tree.items()]
    elif isinstance(tree, list):
        pairs = [(f"{prefix}[{index}]", below) for index, below in enumerate(tree)]
    else:
        return {prefix: tree}
    return {key: value for path, below in pairs for key, value in flat(below, path).items()}


def test_config_client_reads_two_profiles_in_their_order(
    examples: Any, config_client: Callable[..., Any]
) -> None:
    read = config_client(f"{examples.url}/config", "orders", "prod,eu", "main")
    assert read == ORDERS_IN_THE_EU


def test_config_client_reads_another_label(
    examples: Any, config_client: Callable[..., Any]
) -> None:
    read = config_client(f"{examples.url}/config", "orders", "prod", "release-1.4")
    assert read["db"] == {"url": "postgres://db.internal.example/orders_1_4", "pool-size": 10}
    assert read["http"] == {"timeout-seconds": 10, "retries": 2}


def test_config_client_reads_json_and_the_traps_of_yaml(
    examples: Any, config_client: Callable[..., Any]
) -> None:
    read = config_client(f"{examples.url}/config", "billing", "prod,eu", "main")["billing"]
    assert read["tax"] == {"included": True, "rate": 0.19}
    assert read["reminders"] == [
        {"after-days": 14, "channel": "email"},
        {"after-days": 30, "channel": "letter"},
    ]
    assert (read["batch-size"], read["opens-on"], read["enabled"]) == (1000.0, "2026-01-31", True)


@pytest.mark.parametrize(
    ("application", "profile", "label"),
    [
        ("orders", "prod,eu", "main"),
        ("orders", "prod", "release-1.4"),
        ("billing", "prod,eu", "main"),
        ("inventory", "prod", "main"),
    ],
)
def test_config_client_and_ours_read_the_same(
    examples: Any,
    config_client: Callable[..., Any],
    application: str,
    profile: str,
    label: str,
) -> None:
    theirs = config_client(f"{examples.url}/config", application, profile, label)
    ours = SyncConfigClient(
        server_url=examples.url, application=application, profile=profile, label=label
    ).fetch()
    assert flat(theirs) == ours


def test_our_client_replaces_a_list_whole(examples: Any) -> None:
    """`config-client` merges lists by element; a Spring service, and ours, do not (4.1)."""
    client = SyncConfigClient(server_url=examples.url, application="orders", profile="dev")
    lists = {key: value for key, value in client.fetch().items() if "payment" in key}
    assert lists == {"orders.payment-methods[0]": "test-card"}
