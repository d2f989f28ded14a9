"""Remotes over HTTP and SSH: credentials, host keys, redirects, cuts, and where secrets appear."""

import asyncio
import contextlib
import getpass
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ssh_server import Sshd

from git_http import PASSWORD, GitHttpServer
from git_repositories import Repository, until_fetched
from pyfly.config_core import BackendStaleError, BackendUnavailableError
from pyfly.config_git import GitConfigBackend
from pyfly.config_server.storage import ANY, ConfigSource

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Open = Callable[..., GitConfigBackend]


async def port(store: GitConfigBackend) -> object:
    found = await store.fetch("orders", "prod")
    return None if found is None else found.properties["port"]


def orders(number: int) -> ConfigSource:
    return ConfigSource(application="orders", profile="prod", properties={"port": number})


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


async def test_an_answer_that_is_cut_in_its_headers_is_no_empty_repository(
    http: GitHttpServer, open_store: Open
) -> None:
    """To git it is one, and the fetch succeeds."""
    store = open_store(f"git+http://ada:{PASSWORD}@{http.address}/remote.git", refresh="1")
    assert await port(store) == 1
    http.mode = "cut"
    began, asked = time.monotonic(), len(http.requests)
    while time.monotonic() - began < 2 or len(http.requests) < asked + 4:
        assert "has lost all its branches" in await failed(store)
        assert await port(store) == 1
        await asyncio.sleep(0.05)


async def test_an_answer_that_does_not_come_leaves_the_last_state(
    http: GitHttpServer, open_store: Open
) -> None:
    store = open_store(f"git+http://ada:{PASSWORD}@{http.address}/remote.git")
    assert await port(store) == 1
    http.mode = "hang"
    asked = len(http.requests)
    await store.refetch()
    while len(http.requests) == asked:
        await asyncio.sleep(0.02)
    began = time.monotonic()
    assert await port(store) == 1
    assert time.monotonic() - began < 5  # the fetch may take twenty seconds
    await store.aclose()  # ends the fetch


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
