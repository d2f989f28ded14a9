"""What the live layer counts."""

from pathlib import Path

import pytest

from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    FilesystemConfigBackend,
    HttpRequest,
    InMemoryConfigBackend,
    LiveDocuments,
    Telemetry,
)

pytestmark = pytest.mark.anyio

FRESH = HttpRequest(
    method="GET", raw_path=b"/config/orders/prod", headers=[(b"cache-control", b"no-cache")]
)


class ThreeMethodBackend:
    """A store without any ability."""

    async def fetch(
        self, application: str, profile: str, label: str = "main"
    ) -> ConfigSource | None:
        return None

    async def save(self, source: ConfigSource) -> None: ...

    async def list(self) -> list[ConfigSource]:
        return []


async def test_an_answer_is_held_back_until_its_text_is_repaired_or_the_server_ends(
    tmp_path: Path,
) -> None:
    file = tmp_path / "main" / "orders-prod.yaml"
    file.parent.mkdir()
    file.write_text("a: 1\n", encoding="utf-8")
    telemetry = Telemetry()
    counters = telemetry.counters
    async with ConfigServer(FilesystemConfigBackend(tmp_path)) as server:
        live = LiveDocuments(server, counters=counters)
        controller = Controller(live, auth=None, telemetry=telemetry)
        assert (await controller.handle(FRESH)).status == 200
        assert (counters.misses, counters.rendered, counters.broken) == (1, 1, 0)
        for repaired in ("a: 2\n", None):
            file.write_text("a: [\n", encoding="utf-8")
            assert (await controller.handle(FRESH)).status == 200
            assert counters.broken == 1
            assert counters.stale > 0
            if repaired is not None:
                file.write_text(repaired, encoding="utf-8")
                assert b'"a":2' in (await controller.handle(FRESH)).body
                assert counters.broken == 0
        assert counters.stores[1].last_look is not None
        await live.aclose()
    assert counters.broken == 0
    assert counters.stores[1].last_look is None
    assert counters.stores[1].looks > 0


async def test_an_answer_that_is_held_back_and_dropped_does_not_count_any_more(
    tmp_path: Path,
) -> None:
    file = tmp_path / "main" / "orders-prod.yaml"
    file.parent.mkdir()
    file.write_text("a: 1\n", encoding="utf-8")
    async with ConfigServer(FilesystemConfigBackend(tmp_path)) as server:
        live = LiveDocuments(server)
        controller = Controller(live, auth=None)
        await controller.handle(FRESH)
        file.write_text("a: [\n", encoding="utf-8")
        await controller.handle(FRESH)
        assert live.counters.broken == 1
        (entry,) = live.answers.cache
        live.answers.cache.discard(entry)
        assert live.counters.broken == 0
        await live.aclose()


async def test_only_stores_that_can_be_asked_for_changes_have_looks() -> None:
    telemetry = Telemetry()
    async with ConfigServer(ThreeMethodBackend(), InMemoryConfigBackend()) as server:
        live = LiveDocuments(server, counters=telemetry.counters)
        controller = Controller(live, auth=None, telemetry=telemetry)
        assert (await controller.handle(FRESH)).status == 200
        await live.aclose()
    assert {*telemetry.counters.stores} == {2}
