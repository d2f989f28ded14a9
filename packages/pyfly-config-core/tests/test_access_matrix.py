"""Every principal at every endpoint with every kind of name, for every store."""

import logging
import re
from pathlib import Path

import pytest
from access_principals import PRINCIPALS
from access_served import served, wrong_answers
from access_stores import STORES, behind_standby
from standby_stores import quick, written

from pyfly.config_server import (
    FilesystemConfigBackend,
    LiveOptions,
    StandbyBackend,
)

pytestmark = pytest.mark.anyio

stores = pytest.mark.parametrize("store", STORES)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep no lines about the thousands of refusals."""
    caplog.set_level(logging.CRITICAL, logger="pyfly")


@pytest.mark.parametrize(
    ("store", "live"),
    [
        pytest.param("memory", None, id="memory"),
        pytest.param("memory", LiveOptions(), id="memory-live"),
        pytest.param("labels", None, id="labels"),
        pytest.param("labels", LiveOptions(), id="labels-live", marks=pytest.mark.untraced),
        pytest.param("spring", LiveOptions(), id="spring-live", marks=pytest.mark.untraced),
        pytest.param("routed", None, id="routed"),
        pytest.param("routed", LiveOptions(), id="routed-live", marks=pytest.mark.untraced),
    ],
)
@pytest.mark.slow
async def test_the_matrix(tmp_path: Path, store: str, live: LiveOptions | None) -> None:
    opened = STORES[store]
    async with served(await opened.open(tmp_path), live=live) as server:
        before = [str(one.key) async for one in server.entries()]
        wrong = await wrong_answers(server, opened.kind)
        after = [str(one.key) async for one in server.entries()]
    assert not wrong, "\n".join(wrong[:100])
    assert before == after


@pytest.mark.slow
@pytest.mark.untraced
async def test_the_matrix_behind_a_standby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    store, kind = await behind_standby(tmp_path), STORES["standby"].kind
    async with served(store, live=LiveOptions()) as server:
        wrong = await wrong_answers(server, kind)
        await written(store)
    assert not wrong, "\n".join(wrong[:100])
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    store = StandbyBackend(FilesystemConfigBackend(tmp_path / "store"), tmp_path / "standby")
    async with served(store, live=None) as server:
        wrong = await wrong_answers(server, kind, is_away=True)
        answers = {
            name: (await server.ask(name, "/config/orders/prod")).status for name in PRINCIPALS
        }
    assert not wrong, "\n".join(wrong[:100])
    assert {name for name, status in answers.items() if status == 200} == {
        "admin",
        "orders",
        "narrow",
        "reader",
    }


@stores
async def test_what_is_missing_looks_like_what_is_forbidden(tmp_path: Path, store: str) -> None:
    pairs = [
        ("/config/billing/prod", "/config/absentx/prod"),
        ("/config/billing-prod.yml", "/config/absentx-prod.yml"),
        ("/config/_bundles/billing/prod/main", "/config/_bundles/absentx/prod/main"),
        (
            "/config/_bundles/billing/prod/main/history",
            "/config/_bundles/absentx/prod/main/history",
        ),
        (
            "/config/billing/prod/main/billing/foreign.txt",
            "/config/absentx/prod/main/billing/absentxx",
        ),
        ("/config/billing/prod/main", "/config/billing/prod/absentx"),
    ]
    async with served(await STORES[store].open(tmp_path), live=LiveOptions()) as server:
        for there, absent in pairs:
            one, two = await server.ask("orders", there), await server.ask("orders", absent)
            assert one.status == two.status == 403, (there, one, two)
            assert masked(one.body) == masked(two.body)


def masked(body: bytes) -> bytes:
    body = re.sub(rb'"timestamp":"[^"]*"', b"", body)
    return re.sub(rb"billing/foreign.txt|billing/absentxx|billing|absentx|main", b"NAME", body)
