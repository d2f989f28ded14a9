"""Clients that other people wrote, each installed into a directory of its own."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NODE_CLIENTS = ("cloud-config-client@1.6.2", "spring-cloud-config@4.6.6")
SECONDS = 60
INSTALL_SECONDS = 300

Read = Callable[..., Any]


@pytest.fixture(scope="session")
def guarded(
    start_server: Callable[..., Any], checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A server of the example repository, with more labels and files, a credential and a key."""
    root = tmp_path_factory.mktemp("store") / "config"
    shutil.copytree(checkout / "docs" / "examples" / "config", root)
    for name, text in {
        "feature/x/orders-default.yaml": "who: feature\n",
        "main/nginx.conf": "server_name ${company.name};\n",
        "main/nginx-prod.conf": "upstream ${database.host}:${database.port};\nuser ${missing};\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    encryption = {"ENCRYPT_KEY": "foo", "DECRYPT_ENDPOINT": "true"}
    return start_server(root, USERNAME="reader", PASSWORD="open sesame", **encryption)


@pytest.fixture(scope="session")
def python_reader(make_environment: Callable[..., Path]) -> Callable[[str, str], Read]:
    """Install a distribution; return what runs a program with it and reads its JSON."""

    def make(distribution: str, program: str) -> Read:
        interpreter = make_environment(distribution)
        return lambda *arguments: _read([str(interpreter), "-c", program, *arguments])

    return make


@pytest.fixture(scope="session")
def node_reader(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Read]:
    """Install the clients for Node.js; return what runs a program with them and reads its JSON."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        reason = f"needs Node.js; missing: {', '.join(missing)}"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
    home = tmp_path_factory.mktemp("node")
    quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    (home / "package.json").write_text('{"private": true}', encoding="utf-8")
    _run(["npm", "install", *quiet, *NODE_CLIENTS], home, INSTALL_SECONDS)
    return lambda program: lambda *arguments: _read(["node", "-e", program, *arguments], home)


def _read(command: list[str], directory: Path | None = None) -> Any:
    return json.loads(_run(command, directory, SECONDS))


def _run(command: list[str], directory: Path | None, seconds: int) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
        cwd=directory,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def orders_in_the_eu() -> dict[str, Any]:
    """What the example repository has for orders under the profiles `prod,eu`."""
    return {
        "company": {"name": "Example Coffee", "support": "support@example.com"},
        "http": {"timeout-seconds": 5, "retries": 4},
        "logging": {"level": {"root": "INFO"}},
        "database": {"host": "db.eu.internal.example", "port": 5432},
        "metrics": {"enabled": True},
        "privacy": {"retention-days": 30},
        "db": {"url": "postgres://db.internal.example/orders", "pool-size": 20},
        "orders": {"currency": "EUR", "max-items": 200, "payment-methods": ["card", "sepa"]},
    }


@pytest.fixture(scope="session")
def flat() -> Callable[[Any], dict[str, Any]]:
    """Return a tree as flat keys, written out the way the wire does."""

    def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
        if isinstance(tree, dict):
            pairs = [(f"{prefix}.{name}" if prefix else name, v) for name, v in tree.items()]
        elif isinstance(tree, list):
            pairs = [(f"{prefix}[{index}]", below) for index, below in enumerate(tree)]
        else:
            return {prefix: tree}
        return {key: value for path, below in pairs for key, value in flatten(below, path).items()}

    return flatten
