"""A real Git server over HTTP: clones, fetches, pushes, and what goes wrong between."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nginx_git import PROGRAMS, SEARCHED, CuttingProxy, NginxGitServer

from git_repositories import Repository, until_fetched
from pyfly.config_core import BackendUnavailableError, JsonValue
from pyfly.config_git import GitConfigBackend
from pyfly.config_server.storage import ANY, ConfigSource

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.external]

Open = Callable[..., GitConfigBackend]
PASSWORD = "hunter2-correct"


async def port(store: GitConfigBackend) -> object:
    found = await store.fetch("orders", "prod")
    return None if found is None else found.properties["port"]


async def failed(store: GitConfigBackend) -> str:
    """Return why the next fetch fails."""
    await store.refetch()
    while True:
        try:
            await store.changes_since(None)
        except BackendUnavailableError as error:
            return str(error)
        await asyncio.sleep(0.02)


def orders(number: int) -> ConfigSource:
    return ConfigSource(application="orders", profile="prod", properties={"port": number})


@pytest.fixture
def nginx(repository: Repository, tmp_path: Path, free_tcp_port: int) -> Iterator[NginxGitServer]:
    for program in PROGRAMS:
        if shutil.which(program, path=SEARCHED) is None:
            if os.environ.get("PYFLY_CI"):
                pytest.fail(f"{program} is not installed")
            pytest.skip(f"{program} is not installed")
    directory = tmp_path / "nginx"
    directory.mkdir()
    repository.commit({"orders-prod.yml": "port: 1"})
    server = NginxGitServer(repository.path.parent, directory, free_tcp_port)
    server.know("ada", PASSWORD)
    yield server
    server.close()


@pytest.fixture
def proxy(nginx: NginxGitServer) -> Iterator[CuttingProxy]:
    found = CuttingProxy(nginx.port)
    yield found
    found.close()


def url(port: int, password: str = PASSWORD) -> str:
    return f"git+http://ada:{password}@127.0.0.1:{port}/remote.git"


async def test_a_clone_a_fetch_and_a_push(
    nginx: NginxGitServer, repository: Repository, open_store: Open
) -> None:
    store = open_store(url(nginx.port), write="true")
    assert await port(store) == 1
    await until_fetched(store, "main", repository.commit({"orders-prod.yml": "port: 2"}))
    assert await port(store) == 2
    await store.commit(orders(3), expected=ANY, author="Ada", message="by hand")
    assert repository.git("show", "main:orders-prod.yml") == "port: 3"
    assert repository.git("log", "-1", "--format=%an %s", "main") == "Ada by hand"
    large = {f"app{n}-prod.yml": os.urandom(3_000).hex() for n in range(400)}
    await until_fetched(store, "main", repository.commit({**large, "orders-prod.yml": "port: 4"}))
    assert await port(store) == 4
    texts: list[JsonValue] = ["x" * 9_000 for _ in range(100)]
    await store.commit(
        ConfigSource(application="large", profile="prod", properties={"a": texts}), expected=ANY
    )
    assert len(repository.git("show", "main:large-prod.yml")) > 900_000


async def test_wrong_credentials_are_named_and_right_ones_help(
    nginx: NginxGitServer, repository: Repository, open_store: Open, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("wrong\n", encoding="utf-8")
    address = f"git+http://ada@127.0.0.1:{nginx.port}/remote.git"
    store = open_store(address, password_file=str(file), write="true")
    with pytest.raises(BackendUnavailableError, match="Authentication failed"):
        await port(store)
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    await store.refetch()
    while True:
        with contextlib.suppress(BackendUnavailableError):
            assert await port(store) == 1
            break
        await asyncio.sleep(0.02)
    nginx.know("ada", "another")
    assert "Authentication failed" in await failed(store)
    with pytest.raises(BackendUnavailableError, match="Authentication failed") as refused:
        await store.commit(orders(2), expected=ANY)
    assert PASSWORD not in str(refused.value)
    assert await port(store) == 1
    assert repository.git("show", "main:orders-prod.yml") == "port: 1"


async def test_a_repository_that_is_gone_leaves_the_last_state(
    nginx: NginxGitServer, repository: Repository, open_store: Open
) -> None:
    store = open_store(url(nginx.port))
    assert await port(store) == 1
    away = repository.path.with_name("away")
    repository.path.rename(away)
    assert "not found" in await failed(store)
    assert await port(store) == 1
    away.rename(repository.path)
    await until_fetched(store, "main", repository.commit({"orders-prod.yml": "port: 2"}))
    assert await port(store) == 2


async def test_answers_that_are_cut_leave_the_last_state(
    proxy: CuttingProxy, repository: Repository, open_store: Open
) -> None:
    store = open_store(url(proxy.port))
    assert await port(store) == 1
    commit = repository.commit({"orders-prod.yml": "port: 2", "big": os.urandom(300_000)})
    for limit in (10, 500, 2_000, 20_000, 150_000):
        proxy.limit = limit
        before = proxy.cuts
        await store.refetch()
        while proxy.cuts == before:
            await asyncio.sleep(0.01)
        reason = await failed(store)
        assert "cannot be fetched" in reason or "has lost all its branches" in reason
        assert await port(store) == 1
    proxy.limit = None
    await until_fetched(store, "main", commit)
    assert await port(store) == 2


async def test_a_push_that_is_cut_says_what_became_of_it(
    proxy: CuttingProxy, repository: Repository, open_store: Open
) -> None:
    """Whatever is answered, the branch has the old content or the new one."""
    store = open_store(url(proxy.port), write="true")
    assert await port(store) == 1
    for number, limit in enumerate((100, 400, 700, 1_000), 2):
        proxy.limit = limit
        written, reason = True, ""
        try:
            await store.commit(orders(number), expected=ANY)
        except BackendUnavailableError as error:
            written, reason = False, str(error)
        shown = repository.git("show", "main:orders-prod.yml")
        if written:
            assert shown == f"port: {number}"
        elif "nothing was written" in reason:
            assert shown != f"port: {number}"
        else:
            assert "perhaps was done" in reason
        proxy.limit = None
        await until_fetched(store, "main", repository.head())
        assert await port(store) == int(shown.removeprefix("port: "))
