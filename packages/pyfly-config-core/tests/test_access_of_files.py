"""What files and patches of others tell, and which names a new file may take."""

import json
from pathlib import Path
from typing import Any

import pytest
from access_principals import Badges, canary
from access_served import served
from access_stores import STORES, in_memory

from pyfly.config_server import (
    ConfigServer,
    Controller,
    FilesystemConfigBackend,
    HttpRequest,
    LiveOptions,
    Principal,
    Rule,
)
from pyfly.config_server.files.layouts import SpringLayout

pytestmark = pytest.mark.anyio

MODES = {"live": LiveOptions(), "plain": None}


async def test_a_patch_that_compares_values_needs_the_right_to_see_them() -> None:
    store = await in_memory(Path())
    writer = Principal(name="w", rules=(Rule.parse(rights=["write"], on="orders/*/*"),))
    badges = Badges()
    badges.principals[b"Bearer writer"] = writer
    controller = Controller(ConfigServer(store), auth=badges)

    async def patch(*operations: dict[str, Any]) -> int:
        async def read_body() -> bytes:
            return json.dumps(operations).encode()

        request = HttpRequest(
            method="PATCH",
            raw_path=b"/config/_bundles/orders/prod/main",
            headers=(
                (b"authorization", b"Bearer writer"),
                (b"if-match", b"*"),
                (b"content-type", b"application/json-patch+json"),
            ),
            read_body=read_body,
        )
        return (await controller.handle(request)).status

    guess = {"op": "test", "path": "/" + canary("orders", "prod", "main") + "/value", "value": "x"}
    change = {"op": "add", "path": "/n", "value": 1}
    assert await patch(change) == 200
    assert await patch(guess) == await patch(change, guess) == 403


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("live", MODES.values(), ids=MODES)
async def test_nobody_learns_by_a_plain_file_which_bundles_there_are(
    tmp_path: Path, live: LiveOptions | None, *, there: bool
) -> None:
    if there:
        (tmp_path / "main").mkdir()
        (tmp_path / "main/payroll-prod.yaml").write_text("a: ${b:${b}}\n", encoding="utf-8")
        (tmp_path / "main/payroll.yaml").write_text("a: 1\n", encoding="utf-8")
    asked = [
        "/config/orders/default/main/payroll-prod.yaml",
        "/config/payroll/prod/main/payroll.yaml",
        "/config/orders/default/main/payroll.yaml?resolvePlaceholders=false",
    ]
    async with served(await STORES["labels"].open(tmp_path), live=live) as server:
        for target in asked:
            got = await server.ask("filer", target)
            file = target.partition("?")[0].removeprefix("/config/").split("/", 2)[2]
            assert got.status == 403
            expected = f"the right 'inspect' is missing on the bundle of the file {file}"
            assert json.loads(got.body)["message"] == expected
        assert (await server.ask("filer", "/config/orders/default/main/absent.txt")).status == 404


@pytest.mark.parametrize(
    ("files", "method", "key", "status"),
    [
        (["orders-service.yml"], "PUT", "orders/-/main", 403),
        (["orders-service.yml", "orders-x.yml"], "PUT", "orders/-/main", 403),
        (["application-eu.yml", "orders-eu.yml"], "PUT", "orders/-/main", 201),
        (["orders-service.yml", "orders.yml"], "PUT", "orders/-/main", 412),
        (["orders-eu.yml", "orders.yml"], "PUT", "orders/prod/main", 201),
        (["orders-eu.yml", "orders.yml"], "DELETE", "orders/-/main", 204),
        (["billing-eu.yml", "billing.yml", "orders-eu.yml"], "PUT", "orders/-/main", 201),
    ],
)
async def test_a_new_file_takes_no_file_from_others(
    tmp_path: Path, files: list[str], method: str, key: str, status: int
) -> None:
    for name in files:
        (tmp_path / name).write_text("a: 1\n", encoding="utf-8")
    store = FilesystemConfigBackend(tmp_path, layout=SpringLayout())

    async def read_body() -> bytes:
        return b'{"mine": 1}'

    condition = (b"if-none-match", b"*") if method == "PUT" else (b"if-match", b"*")
    request = HttpRequest(
        method=method,
        raw_path=f"/config/_bundles/{key}".encode(),
        headers=(
            (b"authorization", b"Bearer orders"),
            condition,
            (b"content-type", b"application/json"),
        ),
        read_body=read_body,
    )
    async with ConfigServer(store) as server:
        answer = await Controller(server, auth=Badges()).handle(request)
    assert answer.status == status
    if status == 403:
        assert not (tmp_path / "orders.yml").exists()
