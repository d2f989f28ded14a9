"""Programs on Windows: the client and its test double work without what only POSIX has."""

import subprocess
import sys
from pathlib import Path

WINDOWS = """
import os, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "geteuid", "getuid"):
    delattr(os, name)
del os.fork, os.register_at_fork, os.fchmod
os.supports_dir_fd = set()
"""


def run(program: str, *arguments: object) -> str:
    """Run a program as on Windows, as far as that can be had here; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS + program, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_client_double_and_snapshots_need_nothing_of_posix(tmp_path: Path) -> None:
    program = """
from pyfly.config_client.testing import FakeConfigServer
with FakeConfigServer() as server:
    server.put("orders", "prod", {"db.url": "x"})
    client = server.client("orders", "prod", snapshot_dir=sys.argv[1])
    client.fetch()
    client.fetch()
    with server.fault("down"):
        found = client.fetch()
    print(found["db.url"], found.from_snapshot)
"""
    assert run(program, tmp_path / "state") == "x True\n"


def test_a_fetch_over_a_socket_needs_nothing_of_posix(server_url: str, tmp_path: Path) -> None:
    program = """
import asyncio
from pyfly.config_client import ConfigClient, SyncConfigClient
how = {"server_url": sys.argv[1], "application": "orders", "profile": "prod",
       "snapshot_dir": sys.argv[2]}
print(SyncConfigClient(**how).fetch() == asyncio.run(ConfigClient(**how).fetch()))
"""
    assert run(program, server_url, tmp_path / "state") == "True\n"


def test_the_filesystem_store_says_what_it_needs(tmp_path: Path) -> None:
    program = """
from pyfly.config_core import UnsupportedOperationError
from pyfly.config_server import FilesystemConfigBackend, open_backend
for make in (FilesystemConfigBackend, lambda root: open_backend("file://" + root)):
    try:
        make(sys.argv[1])
    except UnsupportedOperationError as error:
        print(error)
"""
    first, second = run(program, tmp_path).splitlines()
    assert first == second
    assert "the filesystem store does not support this operating system, which lacks " in first
    assert "O_NOFOLLOW" in first
    assert "fcntl" in first
