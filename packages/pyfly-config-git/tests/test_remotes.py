"""Remotes over HTTP and SSH: credentials, host keys, redirects, cuts, and where secrets appear."""

import asyncio
import contextlib
import getpass
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from git_http import GitHttpServer
from git_repositories import Repository, until_fetched
from pyfly.config_core import BackendStaleError, BackendUnavailableError
from pyfly.config_git import GitConfigBackend
from pyfly.config_server.storage import ANY, ConfigSource

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Open = Callable[..., GitConfigBackend]
PASSWORD = "hunter2-correct"


async def port(store: GitConfigBackend) -> object:
    found = await store.fetch("orders", "prod")
    return None if found is None else found.properties["port"]


def orders(number: int) -> ConfigSource:
    return ConfigSource(application="orders", profile="prod", properties={"port": number})


@pytest.fixture
def http(repository: Repository) -> Iterator[GitHttpServer]:
    repository.commit({"orders-prod.yml": "port: 1"})
    server = GitHttpServer(repository.path.parent, credentials=f"ada:{PASSWORD}")
    yield server
    server.close()


async def failed(store: GitConfigBackend) -> str:
    """Return why the next fetch fails."""
    with contextlib.suppress(BackendUnavailableError):
        await store.refetch()
    while True:
        try:
            await store.changes_since(None)
        except BackendUnavailableError as error:
            return str(error)
        await asyncio.sleep(0.02)


async def test_a_password_is_sent_to_its_host_and_shown_nowhere(
    http: GitHttpServer, open_store: Open, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    lines: set[str] = set()
    is_done = False

    def watch() -> None:
        while not is_done:
            lines.update(command_lines())
            time.sleep(0.005)

    watching = asyncio.ensure_future(asyncio.to_thread(watch))
    http.mode = "slow"
    store = open_store(f"git+http://ada:{PASSWORD}@{http.address}/remote.git", write="true")
    with caplog.at_level(logging.DEBUG):
        assert await port(store) == 1
        await store.commit(orders(2), expected=ANY)
        http.credentials = "ada:other"
        reason = await failed(store)
        with pytest.raises(BackendUnavailableError) as refused:
            await store.commit(orders(3), expected=ANY)
    is_done = True
    await watching
    assert any("fetch" in line and http.address in line for line in lines)
    shown = [reason, str(refused.value), caplog.text, repr(store), *lines]
    stored = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [one for one in shown if PASSWORD in one]
    assert not [one for one in stored if PASSWORD.encode() in one]
    assert await port(store) == 2


def command_lines() -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


async def test_a_password_file_is_read_before_each_use(
    http: GitHttpServer, repository: Repository, open_store: Open, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("wrong\n", encoding="utf-8")
    store = open_store(f"git+http://ada@{http.address}/remote.git", password_file=str(file))
    with pytest.raises(BackendUnavailableError, match="Authentication failed"):
        await port(store)
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    await store.refetch()
    while True:
        try:
            assert await port(store) == 1
            break
        except BackendUnavailableError:
            await asyncio.sleep(0.02)
    for content in ("", "two\nlines\n"):
        file.write_text(content, encoding="utf-8")
        assert "in one line" in await failed(store)
        file.write_text(f"{PASSWORD}\n", encoding="utf-8")
        await until_fetched(store, "main", repository.commit({"x": content}))
        while True:
            with contextlib.suppress(BackendStaleError):
                await store.changes_since(None)
                break


async def test_the_netrc_of_the_user_is_not_used(
    http: GitHttpServer, open_store: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"machine 127.0.0.1 login ada password {PASSWORD}\n"
    (tmp_path / ".netrc").write_text(line, encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BackendUnavailableError, match="could not read Username"):
        await port(open_store(f"git+http://{http.address}/remote.git"))
    assert {given for _, given in http.requests} == {None}


async def test_a_redirect_is_not_followed(
    http: GitHttpServer, repository: Repository, open_store: Open
) -> None:
    thief = GitHttpServer(repository.path.parent)
    http.mode, http.target = "redirect", f"http://{thief.address}"
    store = open_store(f"git+http://ada:{PASSWORD}@{http.address}/remote.git")
    with pytest.raises(BackendUnavailableError, match="302"):
        await port(store)
    assert thief.requests == []
    thief.close()


async def test_answers_that_are_cut_or_hang_leave_the_last_state(
    http: GitHttpServer, repository: Repository, open_store: Open
) -> None:
    store = open_store(f"git+http://ada:{PASSWORD}@{http.address}/remote.git")
    assert await port(store) == 1
    http.mode = "cut"
    commit = repository.commit({"orders-prod.yml": "port: 2", "big": os.urandom(100_000)})
    await failed(store)
    assert await port(store) == 1
    http.mode = "serve"
    await until_fetched(store, "main", commit)
    assert await port(store) == 2
    http.mode = "hang"
    await store.refetch()
    while http.requests[-1][0] == http.requests[-2][0]:
        await asyncio.sleep(0.02)
    began = time.monotonic()
    assert await port(store) == 2
    assert time.monotonic() - began < 5  # the fetch may take twenty seconds
    await store.aclose()  # ends the fetch


async def test_a_repository_that_is_gone_leaves_the_last_state(
    http: GitHttpServer, repository: Repository, open_store: Open
) -> None:
    store = open_store(f"git+http://ada:{PASSWORD}@{http.address}/remote.git")
    assert await port(store) == 1
    shutil.rmtree(repository.path)
    assert "not found" in await failed(store)
    assert await port(store) == 1


class Sshd:
    """An SSH server of this user on a loopback port."""

    def __init__(self, program: str, directory: Path, port: int) -> None:
        self.directory, self.port = directory, port
        for name in ("host", "other", "user"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
            subprocess.run(make, check=True)
        shutil.copy(directory / "user.pub", directory / "authorized")
        self.known_hosts = directory / "known_hosts"
        self.know("host")
        settings = {
            "ListenAddress": f"127.0.0.1:{port}",
            "HostKey": directory / "host",
            "AuthorizedKeysFile": directory / "authorized",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        (directory / "config").write_text(text, encoding="utf-8")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._log = (directory / "log").open("wb")
        command = [program, "-D", "-e", "-f", str(directory / "config")]
        self._process = subprocess.Popen(command, stderr=self._log)
        while self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.02)
        raise AssertionError((directory / "log").read_text(encoding="utf-8"))

    def know(self, name: str) -> None:
        """Make a key the known one of the host."""
        key = (self.directory / f"{name}.pub").read_text(encoding="utf-8")
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key}", encoding="utf-8")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


@pytest.fixture
def sshd(tmp_path: Path, free_tcp_port: int) -> Iterator[Sshd]:
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        if os.environ.get("PYFLY_CI"):
            pytest.fail("sshd is not installed")
        pytest.skip("sshd is not installed")
    directory = tmp_path / "ssh"
    directory.mkdir()
    server = Sshd(program, directory, free_tcp_port)
    yield server
    server.close()


def ssh_store(sshd: Sshd, repository: Repository, open_store: Open, **options: Any) -> Any:
    user = getpass.getuser()
    return open_store(
        f"git+ssh://{user}@127.0.0.1:{sshd.port}{repository.path}",
        key_file=str(sshd.directory / "user"),
        known_hosts=str(sshd.known_hosts),
        **options,
    )


@pytest.mark.external
async def test_ssh_reads_and_writes(sshd: Sshd, repository: Repository, open_store: Open) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    store = ssh_store(sshd, repository, open_store, write="true")
    assert await port(store) == 1
    await store.commit(orders(2), expected=ANY)
    assert repository.git("show", "main:orders-prod.yml") == "port: 2"


@pytest.mark.external
async def test_ssh_refuses_an_unknown_key_and_a_changed_one(
    sshd: Sshd, repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    sshd.known_hosts.write_text("", encoding="utf-8")
    with pytest.raises(BackendUnavailableError, match="Host key verification failed"):
        await port(ssh_store(sshd, repository, open_store))
    sshd.know("host")
    store = ssh_store(sshd, repository, open_store, state=str(sshd.directory / "state"))
    assert await port(store) == 1
    sshd.know("other")
    assert "Host key verification failed" in await failed(store)
    assert await port(store) == 1


@pytest.mark.external
async def test_ssh_uses_the_key_that_is_named_only(
    sshd: Sshd, repository: Repository, open_store: Open
) -> None:
    repository.commit({"orders-prod.yml": "port: 1"})
    (sshd.directory / "authorized").write_text("", encoding="utf-8")
    with pytest.raises(BackendUnavailableError, match="Permission denied"):
        await port(ssh_store(sshd, repository, open_store))
