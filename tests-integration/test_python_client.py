"""Our client and our server: changes arrive, and outages are survived."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pyfly.config_client import ConfigClient, ServerRejectedError, SyncConfigClient

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


async def test_a_file_that_changes_is_a_change_and_a_server_that_stops_is_survived(
    start_server: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "store" / "main" / "orders-prod.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("db: {url: first, size: 1}\n", encoding="utf-8")
    server = start_server(tmp_path / "store", TOKEN="a-long-random-token")
    arguments: Any = {
        "server_url": server.url,
        "application": "orders",
        "profile": "prod",
        "token": "a-long-random-token",
        "snapshot_dir": tmp_path / "state",
    }
    client = ConfigClient(**arguments)
    assert await client.fetch() == {"db.url": "first", "db.size": 1}
    watch = client.watch(interval=0.1)
    taking = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.5)  # some requests that find nothing new
    file.write_text("db: {url: second, size: 1}\n", encoding="utf-8")
    change = await asyncio.wait_for(taking, PATIENCE)
    assert (change.changed, change.added, change.removed) == ({"db.url"}, set(), set())
    await watch.aclose()
    assert server.stop() == 0
    assert client.current == {"db.url": "second", "db.size": 1}
    again = SyncConfigClient(**arguments).fetch()
    assert (again.from_snapshot, again["db.url"]) == (True, "second")
    assert str(again.origin("db.url")) == "main/orders-prod.yaml, line 1, column 11"


PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F)) + "ü☃ש密🔑"
"""All printable characters of ASCII, and some of others."""


@pytest.mark.parametrize("kind", ["password", "token"])
def test_a_credential_of_every_printable_character_is_understood_by_our_server(
    start_server: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "store" / "main" / "orders-prod.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("a: 1\n", encoding="utf-8")
    user, token = PRINTABLE.replace(":", ""), PRINTABLE.replace(" ", "")
    given: list[dict[str, Any]]
    if kind == "password":
        server = start_server(tmp_path / "store", USERNAME=user, PASSWORD=PRINTABLE)
        info = f"{quote(user, safe='')}:{quote(PRINTABLE, safe='')}@"
        in_url = server.url.replace("://", f"://{info}")
        given = [{"username": user, "password": PRINTABLE}, {"server_url": in_url}]
    else:
        server = start_server(tmp_path / "store", TOKEN=token)
        (tmp_path / "token").write_text(token, encoding="utf-8")
        given = [{"token": token}, {"token_file": tmp_path / "token"}]
    arguments: Any = {"server_url": server.url, "application": "orders", "profile": "prod"}
    arguments |= {"policy": "require_server", "timeout": 30}
    for one in given:
        assert SyncConfigClient(**arguments | one).fetch() == {"a": 1}
        assert asyncio.run(ConfigClient(**arguments | one).fetch()) == {"a": 1}
    with pytest.raises(ServerRejectedError) as caught:
        SyncConfigClient(**arguments).fetch()
    assert (caught.value.status, caught.value.tried) == (401, ())
