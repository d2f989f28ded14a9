"""Log lines of requests that a store cannot answer."""

import logging
from pathlib import Path

import pytest

from pyfly.config_server import ConfigServer, Controller, FilesystemConfigBackend, HttpRequest
from pyfly.config_server.http.outages import Outages

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_an_outage_is_one_line_however_many_requests_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    (root / "main").mkdir(parents=True)
    (root / "main" / "orders.yaml").write_text("a: 1\n", encoding="utf-8")
    caplog.set_level(logging.WARNING)
    async with ConfigServer(FilesystemConfigBackend(root)) as server:
        controller = Controller(server, auth=None)

        async def statuses() -> set[int]:
            paths = [f"/config/{name}/prod".encode() for name in ("orders", "billing")] * 10
            requests = [HttpRequest(method="GET", raw_path=path) for path in paths]
            return {(await controller.handle(request)).status for request in requests}

        assert await statuses() == {200}
        root.rename(tmp_path / "away")
        assert await statuses() == {503}
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == 1
        assert messages[0].startswith("GET '/config/orders/prod': 503: ")
        assert messages[0].endswith("; not logged again while it goes on")
        (tmp_path / "away").rename(root)
        assert await statuses() == {200}


def test_the_end_of_an_outage_is_logged_with_the_number_of_its_requests(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    outages = Outages(clock)
    for _ in range(3):
        outages.failed("GET '/a'", "away")
        clock.now += 59  # each time it begins anew
    outages.failed("GET '/b'", "refused")
    outages.answered()
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    caplog.clear()
    clock.now += 2
    outages.answered()
    assert caplog.messages == ["over: away; requests that failed: 3"]
    clock.now += 60
    outages.answered()
    assert caplog.messages[1:] == ["over: refused; requests that failed: 1"]
    assert not outages
    outages.failed("GET '/a'", "away")
    clock.now += 61
    outages.failed("GET '/a'", "away")
    assert len(caplog.records) == 4


def test_reasons_without_end_are_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages(Clock())
    for number in [*range(1000), 999, 0]:
        outages.failed("GET '/a'", f"reason {number}")
    assert len(caplog.records) == 1001
