"""Our client reads from a real Spring Cloud Config server what it reads from ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import (
    ConfigClient,
    InvalidPayloadError,
    Properties,
    ServerRejectedError,
    SyncConfigClient,
)

pytestmark = [pytest.mark.external, pytest.mark.anyio]

FILES = {
    "application.yml": "company: {name: Example}\nhosts: [a, b, c]\n",
    "application-prod.yml": "hosts: [p]\n",
    "orders.yml": "db: {url: 'jdbc:${company.name}', pool: {size: 10}}\nwait: 30s\n",
    "orders-prod.yml": "db: {pool: {size: 50}}\n",
}
MERGED = {
    "company.name": "Example",
    "db.url": "jdbc:Example",
    "db.pool.size": 50,
    "wait": "30s",
    "hosts[0]": "p",
}


@pytest.fixture(scope="module")
def addresses(
    tmp_path_factory: pytest.TempPathFactory,
    jar: Callable[..., Path],
    run_jar: Callable[..., str],
    start_server: Callable[..., Any],
) -> dict[str, tuple[str, str]]:
    """Serve the same files with both; return addresses and base paths."""
    store = tmp_path_factory.mktemp("store")
    for name, text in FILES.items():
        (store / "main" / name).parent.mkdir(exist_ok=True)
        (store / "main" / name).write_text(text, encoding="utf-8")
    theirs = run_jar(
        jar("reference-server"),
        "--spring.profiles.active=native",
        f"--spring.cloud.config.server.native.search-locations={store.as_uri()}/{{label}}/",
        "--spring.cloud.config.server.native.default-label=main",
        path="/actuator/health",
    )
    return {"spring": (theirs, ""), "ours": (start_server(store).url, "/config")}


@pytest.fixture(params=["spring", "ours"])
def arguments(
    request: pytest.FixtureRequest, addresses: dict[str, tuple[str, str]], tmp_path: Path
) -> dict[str, Any]:
    url, base_path = addresses[request.param]
    return {
        "server_url": url,
        "base_path": base_path,
        "application": "orders",
        "profile": "prod",
        "attempts": 1,
        "snapshot_dir": tmp_path / "state",
    }


async def test_both_clients_read_the_configuration_and_keep_it(arguments: Any) -> None:
    found = await ConfigClient(**arguments).fetch()
    assert found == MERGED
    assert SyncConfigClient(**arguments).fetch() == MERGED
    assert SyncConfigClient(**arguments, policy="offline").fetch() == MERGED
    assert found.get("hosts", list[str]) == ["p"]


async def test_origins_come_from_the_server(arguments: Any) -> None:
    found = await ConfigClient(**arguments).fetch()
    origin = found.origin("db.pool.size")
    assert origin.source.endswith("orders-prod.yml")
    assert (origin.line, origin.column) == (1, 19)
    (loser,) = found.explain("db.pool.size").losers
    assert (loser.source.endswith("orders.yml"), loser.line) == (True, 1)


async def test_labels_are_tried_in_order(arguments: Any) -> None:
    found = await ConfigClient(**arguments, label=["main"]).fetch()
    assert isinstance(found, Properties)
    assert found == MERGED


async def test_what_is_not_there_is_no_configuration(arguments: Any) -> None:
    """Without files for everybody, an unknown label is an error: empty, or 404."""
    with pytest.raises((InvalidPayloadError, ServerRejectedError)):
        await ConfigClient(**arguments, label="nowhere").fetch()
