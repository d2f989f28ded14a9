"""The live layer over a standby: answers from the disk are marked, and never stay."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from standby_stores import DEADLINE, Switch, written

from pyfly.config_core import BackendUnavailableError, ConfigNotFoundError, encode_environment
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    HealthRepository,
    HealthSettings,
    InMemoryConfigBackend,
    LiveDocuments,
    LiveOptions,
    StandbyBackend,
)
from pyfly.config_server.composition.representation import Representation
from pyfly.config_server.http.controller import Controller
from pyfly.config_server.http.messages import HttpRequest
from pyfly.config_server.live.standby_reads import standby_reads

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_standby")]


@dataclass(frozen=True, slots=True)
class Document:
    """One document, as JSON."""

    application: str
    label: str = "main"

    async def represent(self, server: ConfigServer) -> Representation:
        found = await server.compose(self.application, "prod", self.label)
        return Representation(
            body=json.dumps(encode_environment(found.environment)).encode(),
            media_type="application/json",
            inputs=found.inputs,
        )


ORDERS = Document("orders")


def bundle(number: int, label: str = "main") -> ConfigSource:
    return ConfigSource(
        application="orders", profile="prod", label=label, properties={"number": number}
    )


def number_in(answer: Any) -> int:
    document = json.loads(answer.representation.body)
    return int(document["propertySources"][0]["source"]["number"])


class Process:
    """A server process over a store that outlives it."""

    def __init__(self, store: Switch, directory: Path) -> None:
        self.standby = StandbyBackend(store, directory, store="one")
        self.server = ConfigServer(self.standby)
        self.live = LiveDocuments(self.server, LiveOptions(max_staleness=0.05))

    async def end(self) -> None:
        await self.live.aclose()
        await self.standby._recorder.aclose()

    async def until_number(self, number: int) -> Any:
        async with asyncio.timeout(DEADLINE):
            while number_in(answer := await self.live.get(ORDERS)) != number:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return answer


@pytest.fixture
async def store() -> Switch:
    store = Switch(InMemoryConfigBackend())
    await store.save(bundle(1))
    return store


@pytest.fixture
async def process(store: Switch, tmp_path: Path) -> AsyncIterator[Process]:
    """A process that was started while the store is away, after another one that served."""
    first = Process(store, tmp_path / "standby")
    assert (await first.live.get(ORDERS)).stale_for is None
    with pytest.raises(ConfigNotFoundError):
        await first.live.get(Document("orders", "absent"))
    await written(first.standby)
    await first.end()
    store.take_away()
    process = Process(store, tmp_path / "standby")
    yield process
    await process.end()


async def test_an_answer_from_the_disk_is_marked_and_not_kept(
    store: Switch, process: Process
) -> None:
    for _ in range(2):
        answer = await process.live.get(ORDERS)
        assert number_in(answer) == 1
        assert answer.stale_for is not None
        assert 0 <= answer.stale_for < DEADLINE
        assert answer.entry is None
    await store.wrapped.save(bundle(2))
    store.bring_back()
    assert (await process.until_number(2)).stale_for is None


async def test_what_is_not_kept_raises_the_error_of_the_store(process: Process) -> None:
    with pytest.raises(BackendUnavailableError, match="the store is away"):
        await process.live.get(Document("billing"))
    with pytest.raises(ConfigNotFoundError):
        await process.live.get(Document("orders", "absent"))


@pytest.mark.slow
async def test_an_answer_in_memory_is_not_replaced_by_an_older_one_from_the_disk(
    store: Switch, process: Process
) -> None:
    """The store goes away after its changes were read, before the new content was."""
    store.bring_back()
    await process.until_number(1)
    await written(process.standby)
    process.standby._recorder.note = lambda *_: None  # type: ignore[method-assign] # stays at 1
    await store.wrapped.save(bundle(2))
    await process.until_number(2)
    fetch = store.fetch

    async def away(*names: str) -> None:
        raise BackendUnavailableError("the store is away")

    batch = store.wrapped.fetch_many  # type: ignore[attr-defined]
    store.wrapped.fetch_many = away  # type: ignore[attr-defined]
    store.fetch = away  # type: ignore[assignment]
    await store.wrapped.save(bundle(3))
    async with asyncio.timeout(DEADLINE):
        while (answer := await process.live.get(ORDERS)).stale_for is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert number_in(answer) == 2
    store.wrapped.fetch_many = batch  # type: ignore[attr-defined]
    store.fetch = fetch
    assert (await process.until_number(3)).stale_for is None


async def test_health_of_spring_is_down_while_the_standby_answers(process: Process) -> None:
    health = HealthSettings(repositories=(HealthRepository(name="orders", profiles="prod"),))
    controller = Controller(process.live, auth=None, health=health)
    request = HttpRequest(method="GET", raw_path=b"/actuator/health")
    assert (await controller.handle(request)).status == 503


async def test_a_process_with_a_filled_standby_is_ready_and_degraded(
    store: Switch, process: Process, tmp_path: Path
) -> None:
    empty = Process(store, tmp_path / "empty")
    for one, wanted in ((process, (200, "degraded")), (empty, (503, "down"))):
        with contextlib.suppress(BackendUnavailableError):
            await one.live.get(ORDERS)
        controller = Controller(one.live, auth=None, health=HealthSettings())
        answer = await controller.handle(HttpRequest(method="GET", raw_path=b"/health/ready"))
        assert (answer.status, json.loads(answer.body)["status"]) == wanted
    await empty.end()


async def test_reads_of_a_block_know_their_oldest_result(store: Switch, process: Process) -> None:
    with standby_reads() as reads:
        assert reads.age is None
        await asyncio.gather(
            process.standby.fetch_many([bundle(1).key]), process.server.fetch("orders", "prod")
        )
    assert reads.since is not None
    assert process.standby.stale_since is not None
    assert reads.since == pytest.approx(process.standby.stale_since.timestamp())
    store.bring_back()
    with standby_reads() as reads:
        await process.server.fetch("orders", "prod")
    assert reads.since is None


@pytest.mark.slow
async def test_a_store_that_hangs_is_not_waited_for(store: Switch, process: Process) -> None:
    """As a database does whose packets are dropped."""
    never = asyncio.Event()

    async def hang(*_: Any) -> None:
        await never.wait()

    store.bring_back()
    store.calls.clear()
    for name in ("fetch", "fetch_many", "has_label", "changes_since"):
        setattr(store.wrapped, name, hang)
    async with asyncio.timeout(DEADLINE):
        answer = await process.live.get(ORDERS)
    assert number_in(answer) == 1
    assert answer.stale_for is not None
    assert {*store.calls} == {"changes_since"}


async def test_without_the_live_layer_documents_are_marked_and_stored_bundles_are_refused(
    process: Process,
) -> None:
    controller = Controller(process.server, auth=None)
    document = await controller.handle(HttpRequest(method="GET", raw_path=b"/config/orders/prod"))
    assert (document.status, dict(document.headers)[b"x-config-stale"].isdigit()) == (200, True)
    for server in (process.server, process.live):
        controller = Controller(server, auth=None)
        path = b"/config/_bundles/orders/prod/main"
        bundle = await controller.handle(HttpRequest(method="GET", raw_path=path))
        assert bundle.status == 503
