"""Documents of a repository over HTTP, with the live layer."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from git_repositories import Repository
from pyfly.config_git import GitConfigBackend
from pyfly.config_server import ConfigServer, Controller, HttpRequest, LiveDocuments

pytestmark = pytest.mark.anyio

Get = Callable[[str], Any]


@pytest.fixture
async def get(
    repository: Repository, open_store: Callable[..., GitConfigBackend]
) -> AsyncIterator[Get]:
    """Return a function that answers a request; the repository is fetched every second."""
    files = {
        "application.yml": "who: application",
        "orders.yml": "who: orders",
        "orders-prod.yml": "who: orders-prod",
        "orders-prod.properties": "who=properties",
        "orders-default.yml": "who: orders-default",
        "conf/nginx.conf": "listen 80",
    }
    repository.commit(files)
    repository.git("tag", "-a", "-m", "note", "v1")
    live = LiveDocuments(ConfigServer(open_store(refresh="1")))
    controller = Controller(live, auth=None)

    async def ask(path: str) -> Any:
        request = HttpRequest(method="GET", raw_path=f"/config/{path}".encode())
        return await controller.handle(request)

    yield ask
    await live.aclose()


@pytest.mark.slow
@pytest.mark.case(33)
async def test_the_version_of_a_document_is_the_commit(repository: Repository, get: Get) -> None:
    first = repository.head()
    document = json.loads((await get("orders/prod")).body)
    assert (document["label"], document["version"]) == (None, first)
    assert [source["name"] for source in document["propertySources"]] == [
        "main/orders-prod.properties",
        "main/orders-prod.yml",
        "main/orders.yml",
        "main/application.yml",
    ]
    assert json.loads((await get("orders/prod/v1")).body)["version"] == first
    second = repository.commit({"orders-prod.yml": "who: changed"})
    while json.loads((await get("orders/prod")).body)["version"] != second:
        await asyncio.sleep(0.05)
    assert json.loads((await get("orders/prod/v1")).body)["version"] == first
    assert json.loads((await get(f"orders/prod/{second[:8]}")).body)["version"] == second
    assert (await get("orders/prod/unknown")).status == 404
    assert (await get("orders/prod/HEAD")).status == 404


async def test_a_branch_with_a_slash_and_its_plain_files_are_served(
    repository: Repository, get: Get
) -> None:
    repository.commit({"orders.yml": "who: feature", "conf/nginx.conf": "listen 81"}, "feature/x")
    while (await get("orders/prod/feature(_)x")).status != 200:
        await asyncio.sleep(0.05)
    assert b"listen 81" in (await get("orders/prod/feature(_)x/conf/nginx.conf")).body
    assert b"listen 80" in (await get("orders/prod/main/conf/nginx.conf")).body
    assert (await get("orders/prod/main/conf")).status == 404


@pytest.mark.slow
async def test_answers_are_marked_while_the_remote_is_away(
    repository: Repository, get: Get
) -> None:
    known = await get("orders/prod")
    moved = repository.path.rename(repository.path.with_name("away.git"))
    while b"x-config-stale" not in dict((await get("orders/prod")).headers):
        await asyncio.sleep(0.05)
    assert (await get("orders/prod")).body == known.body
    other = await get("application/default")  # never answered before
    assert (other.status, b"x-config-stale" in dict(other.headers)) == (200, True)
    moved.rename(repository.path)
    while b"x-config-stale" in dict((await get("orders/prod")).headers):
        await asyncio.sleep(0.05)
