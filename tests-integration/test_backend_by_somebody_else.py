"""A class with the three methods of the Protocol, end to end over HTTP."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyfly.config_client import SyncConfigClient

BACKEND = '''
import json

from pyfly.config_server import ConfigSource


class OneFile:
    """Keeps every bundle in one JSON file; knows nothing of abilities."""

    def __init__(self, path):
        self.path = path

    @classmethod
    def from_url(cls, url):
        return cls(url.removeprefix("onefile:"))

    def read(self):
        with open(self.path, encoding="utf-8") as file:
            return [ConfigSource(**row) for row in json.load(file)]

    async def fetch(self, application, profile, label="main"):
        for source in self.read():
            if (source.application, source.profile, source.label) == (application, profile, label):
                return source
        return None

    async def save(self, source):
        raise OSError("this one is read only")

    async def list(self):
        return self.read()
'''


def test_three_methods_are_served_over_http(
    tmp_path: Path, start_server: Callable[..., Any], monkeypatch: Any
) -> None:
    package = tmp_path / "site"
    metadata = package / "onefile-1.0.dist-info"
    metadata.mkdir(parents=True)
    (package / "onefile.py").write_text(BACKEND, encoding="utf-8")
    (metadata / "METADATA").write_text("Name: onefile\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(
        "[pyfly.config_server.backends]\nonefile = onefile:OneFile\n", encoding="utf-8"
    )
    store = tmp_path / "store.json"
    store.write_text(
        '[{"application": "orders", "profile": "prod", "properties": {"db": {"url": "x"}}},'
        ' {"application": "application", "profile": "default", "properties": {"a": [1, 2]}}]',
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(package))
    server = start_server(f"onefile:{store}")
    assert "bundles       2" in server.output()
    client = SyncConfigClient(server_url=server.url, application="orders", profile="prod")
    assert client.fetch() == {"db.url": "x", "a[0]": 1, "a[1]": 2}


def test_the_command_runs_as_a_module_of_the_same_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from pyfly.config_cli import main; main(['--version'])"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stdout.startswith("pyfly-config ")
