"""Last good answers: their age, their log lines, and what is an error nevertheless."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from live_stores import ControlledStore

from pyfly.config_core import BackendStaleError
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    FilesystemConfigBackend,
    HttpRequest,
    InMemoryConfigBackend,
    LiveDocuments,
    LiveOptions,
)
from pyfly.config_server.http.messages import HttpResponse

pytestmark = pytest.mark.anyio

_DEADLINE = 20.0


@dataclass
class _Served:
    """A directory, served through the live layer."""

    live: LiveDocuments
    controller: Controller

    async def get(self, path: str, *, fresh: bool = True) -> HttpResponse:
        headers = [(b"cache-control", b"no-cache")] if fresh else []
        request = HttpRequest(method="GET", raw_path=f"/config/{path}".encode(), headers=headers)
        return await self.controller.handle(request)


def served(root: Path, *, options: LiveOptions | None = None) -> _Served:
    live = LiveDocuments(ConfigServer(FilesystemConfigBackend(root)), options)
    return _Served(live=live, controller=Controller(live, auth=None))


def stale_for(response: HttpResponse) -> int:
    return int(dict(response.headers)[b"x-config-stale"])


async def away(one: _Served, root: Path) -> None:
    """Take the directory away, and wait until that is known."""
    root.rename(root.with_name("gone"))
    deadline = time.monotonic() + _DEADLINE
    while not one.live.feeds.is_down:
        assert time.monotonic() < deadline
        await one.live.feeds.look(fresh=True)


@pytest.mark.parametrize("change", ["a: 2\n", "a: [\n"], ids=["changed", "broken"])
async def test_an_answer_that_was_out_of_date_before_an_outage_is_as_old_as_its_change(
    tmp_path: Path, change: str
) -> None:
    root = tmp_path / "root"
    (root / "main").mkdir(parents=True)
    file = root / "main" / "orders-prod.yaml"
    file.write_text("a: 1\n", encoding="utf-8")
    one = served(root)
    await one.get("orders/prod")
    file.write_text(change, encoding="utf-8")
    await one.live.feeds.look(fresh=True)
    if change == "a: [\n":
        await one.get("orders/prod")
    (entry,) = one.live.answers.cache
    assert not one.live.answers.cache.is_current(entry)
    entry.changed_at -= 3600
    await away(one, root)
    assert 3600 <= stale_for(await one.get("orders/prod", fresh=False)) < 3600 + 60
    await one.live.aclose()


async def test_a_bundle_that_breaks_and_is_repaired_is_logged_once_for_all_its_documents(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "main").mkdir()
    file = tmp_path / "main" / "application.yaml"
    file.write_text("a: 1\n", encoding="utf-8")
    one, paths = served(tmp_path), ["orders/prod", "billing/prod", "orders-prod.json"]
    caplog.set_level(logging.WARNING)
    for begin in ("the last good answer is served", "composed again after an error") * 2:
        text = "a: [\n" if begin.startswith("the last") else "a: 2\n"
        if not caplog.records:
            [await one.get(path) for path in paths]
        caplog.clear()
        file.write_text(text, encoding="utf-8")
        for path in paths * 2:
            assert (await one.get(path)).status == 200
            for entry in one.live.answers.cache:
                entry.retry_at = 0.0  # the next request tries again
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == 1
        assert messages[0].startswith(f"{begin}: main/application.yaml, line 2")
    await one.live.aclose()


async def test_the_log_says_that_a_broken_bundle_is_an_error_if_nothing_else_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "main").mkdir()
    file = tmp_path / "main" / "orders.yaml"
    file.write_text("a: 1\n", encoding="utf-8")
    one = served(tmp_path, options=LiveOptions(on_broken="fail"))
    assert (await one.get("orders/prod")).status == 200
    caplog.set_level(logging.WARNING, logger="pyfly.config_server.live")
    file.write_text("a: [\n", encoding="utf-8")
    assert (await one.get("orders/prod")).status == 500
    (message,) = (r.getMessage() for r in caplog.records if ".live." in r.name)
    assert message.startswith("the answer is an error: main/orders.yaml, line 2")
    await one.live.aclose()


async def test_a_dropped_answer_does_not_silence_the_next_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "main").mkdir()
    file = tmp_path / "main" / "orders.yaml"
    one = served(tmp_path)
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        file.write_text("a: 1\n", encoding="utf-8")
        await one.get("orders/prod")
        file.write_text("a: [\n", encoding="utf-8")
        await one.get("orders/prod")
        (entry,) = one.live.answers.cache
        one.live.answers.cache.discard(entry)
    assert len([r for r in caplog.records if "last good" in r.getMessage()]) == 2
    await one.live.aclose()


@pytest.mark.parametrize(
    ("path", "status"), [("orders/prod/main/a.txt", 400), ("orders-prod.json", 400)]
)
async def test_placeholders_that_cannot_be_replaced_are_stale_or_fail_as_broken_bundles_do(
    tmp_path: Path, path: str, status: int
) -> None:
    (tmp_path / "main").mkdir()
    file = tmp_path / "main" / "orders.yaml"
    (tmp_path / "main" / "a.txt").write_text("${a}", encoding="utf-8")
    stale = served(tmp_path)
    fails = served(tmp_path, options=LiveOptions(on_broken="fail"))
    file.write_text("a: 1\n", encoding="utf-8")
    assert {(await one.get(path)).status for one in (stale, fails)} == {200}
    file.write_text("a: ${a}\n", encoding="utf-8")
    assert stale_for(await stale.get(path)) > 0
    for _ in range(2):
        failed = await fails.get(path, fresh=False)
        assert failed.status == status
        assert b"leads back to itself" in failed.body
    file.write_text("a: 2\n", encoding="utf-8")
    assert {(await one.get(path)).status for one in (stale, fails)} == {200}
    await stale.live.aclose()
    await fails.live.aclose()


async def test_a_label_that_is_refused_does_not_hold_back_the_others(tmp_path: Path) -> None:
    for label in ("main", "release"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "orders.yaml").write_text("a: 1\n", encoding="utf-8")
    one = served(tmp_path)
    assert (await one.get("orders/prod/release")).status == 200
    assert (await one.get("orders/prod/main")).status == 200
    (tmp_path / "release").rename(tmp_path / ".away")
    (tmp_path / "release").symlink_to("/")
    (tmp_path / "main" / "orders.yaml").write_text("a: 2\n", encoding="utf-8")
    answer = await one.get("orders/prod/main")
    assert b'"a":2' in answer.body
    assert b"x-config-stale" not in dict(answer.headers)
    assert not one.live.feeds.is_down
    assert stale_for(await one.get("orders/prod/release")) > 0
    await one.live.aclose()


async def test_a_store_that_keeps_its_last_state_goes_on_composing_from_it() -> None:
    memory = InMemoryConfigBackend()
    for name in ("orders", "billing"):
        await memory.save(ConfigSource(application=name, profile="prod", properties={"a": 1}))
    store = ControlledStore(memory)
    store.errors["changes_since"] = BackendStaleError("the remote is away", age=600)
    live = LiveDocuments(ConfigServer(store), None)
    one = _Served(live=live, controller=Controller(live, auth=None))
    for path in ("orders/prod", "billing/prod"):  # never answered before
        answer = await one.get(path)
        assert (answer.status, 600 <= stale_for(answer) < 660) == (200, True)
    assert (await one.get("orders/prod/absent")).status == 404
    assert (live.is_degraded, live.has_answers) == (True, True)
    store.errors.clear()
    await live.feeds.look(fresh=True)
    answer = await one.get("orders/prod")
    assert b"x-config-stale" not in dict(answer.headers)
    assert not live.is_degraded
    await live.aclose()
