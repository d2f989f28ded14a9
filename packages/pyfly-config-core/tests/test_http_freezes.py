"""Writes over HTTP that a freeze covers: every endpoint that writes, as its declaration says."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    HealthSettings,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
    Right,
    SharedCredential,
)
from pyfly.config_server.access import BundlePattern
from pyfly.config_server.audit import Audit, AuditEvent
from pyfly.config_server.freezes import Freeze, change_freezes
from pyfly.config_server.http.endpoints import ENDPOINTS

pytestmark = pytest.mark.anyio

BUNDLE = "/config/_bundles/orders/prod/main"
ANY_VERSION = (b"if-match", b"*")


class Sample(NamedTuple):
    """A request that an endpoint carries out."""

    path: str = BUNDLE
    media_type: str = "application/json"
    body: str = ""


WRITING = {one.id: one for one in ENDPOINTS if one.access is Right.WRITE}
SAMPLES = {
    "writeBundle": Sample(body='{"a": 2}'),
    "patchBundle": Sample(media_type="application/merge-patch+json", body='{"a": 2}'),
    "deleteBundle": Sample(),
    "rollbackBundle": Sample(path=f"{BUNDLE}/rollback", body='{"version": "VERSION"}'),
}
"""For each endpoint that writes: add the new one here, on purpose."""
everywhere = pytest.mark.parametrize("endpoint", sorted(WRITING))


class Served:
    """A server of one bundle, whose only credential has every right."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.problem: str | None = None
        self.backend = InMemoryConfigBackend()
        self.controller = Controller(
            ConfigServer(self.backend),
            auth=SharedCredential.bearer("secret-token"),
            health=HealthSettings(),
            audit=Audit(self),
        )

    def note(self, event: AuditEvent) -> None:
        self.events.append(event)

    async def keep(self, event: AuditEvent) -> None:
        self.note(event)

    async def aclose(self) -> None:
        """Nothing is open."""

    async def freeze(self, on: str = "*/*/*", *, until: datetime | None = None) -> None:
        new = Freeze(
            id="k3vq7a",
            on=BundlePattern(on),
            reason="release 1.4",
            made_at=datetime.now(UTC),
            until=until,
        )
        await change_freezes(self.backend, lambda before: [*before, new])

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: str = "",
    ) -> HttpResponse:
        async def read() -> bytes:
            return body.encode()

        known = [(b"host", b"localhost"), (b"authorization", b"Bearer secret-token")]
        return await self.controller.handle(
            HttpRequest(
                method=method,
                raw_path=path.encode(),
                query=b"",
                headers=[*known, *headers],
                read_body=read,
            )
        )

    async def write(self, endpoint: str) -> HttpResponse:
        sample = SAMPLES[endpoint]
        version = (await self.stored()).version
        media_type = (b"content-type", sample.media_type.encode())
        return await self.ask(
            WRITING[endpoint].method,
            sample.path,
            headers=[ANY_VERSION, media_type],
            body=sample.body.replace("VERSION", version or ""),
        )

    async def stored(self) -> ConfigSource:
        found = await self.backend.fetch("orders", "prod")
        assert found is not None
        return found


@pytest.fixture
async def served() -> Served:
    served = Served()
    await served.backend.save(
        ConfigSource(application="orders", profile="prod", properties={"a": 1})
    )
    return served


def document_of(response: HttpResponse) -> Any:
    return json.loads(response.body)


def test_every_endpoint_that_writes_has_a_sample() -> None:
    assert WRITING.keys() == SAMPLES.keys()
    methods = {one.method for one in ENDPOINTS} - {"GET"}
    assert {one.method for one in WRITING.values()} == methods


@everywhere
async def test_without_a_freeze_the_sample_is_carried_out(served: Served, endpoint: str) -> None:
    assert (await served.write(endpoint)).status in {200, 204}


@everywhere
async def test_a_write_that_is_covered_is_refused_with_the_reason(
    served: Served, endpoint: str
) -> None:
    await served.freeze(until=datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC))
    before = await served.stored()
    response = await served.write(endpoint)
    problem = document_of(response)
    assert (response.status, problem["code"]) == (403, "frozen")
    assert problem["detail"] == (
        "orders/prod/main is frozen until 2999-01-02T03:04:05Z: release 1.4; nothing was written"
    )
    told = (problem["freeze"], problem["reason"], problem["until"])
    assert told == ("k3vq7a", "release 1.4", "2999-01-02T03:04:05Z")
    assert await served.stored() == before


@everywhere
async def test_a_refused_write_has_an_audit_line_with_the_reason(
    served: Served, endpoint: str
) -> None:
    await served.freeze()
    await served.write(endpoint)
    line = served.events[-1]
    found = (line.operation, line.result, line.status, line.freeze, line.reason)
    assert found == (endpoint, "refused", 403, "k3vq7a", "release 1.4")


@everywhere
async def test_a_freeze_of_something_else_and_one_that_has_ended_refuse_nothing(
    served: Served, endpoint: str
) -> None:
    await served.freeze("billing/*/*")
    await change_freezes(served.backend, lambda _: ())
    await served.freeze(until=datetime.now(UTC) - timedelta(seconds=1))
    assert (await served.write(endpoint)).status in {200, 204}
    assert all(event.reason is None for event in served.events)


@everywhere
async def test_what_cannot_be_read_refuses_every_write(served: Served, endpoint: str) -> None:
    await served.backend.store_freezes("[", expected=None)
    before = await served.stored()
    response = await served.write(endpoint)
    assert (response.status, document_of(response)["code"]) == (500, "store-failed")
    assert await served.stored() == before


@pytest.mark.parametrize("text", ["", "["])
async def test_reads_are_never_touched(served: Served, text: str) -> None:
    paths = [BUNDLE, f"{BUNDLE}/history", "/config/orders/prod", "/config/_bundles"]
    paths += ["/config/orders-prod.yml", "/health/ready", "/config/_changes"]
    before = [(one.status, one.body) for one in [await served.ask("GET", p) for p in paths]]
    assert {status for status, _ in before} == {200}
    if text:
        await served.backend.store_freezes(text, expected=None)
    else:
        await served.freeze()
    assert [(one.status, one.body) for one in [await served.ask("GET", p) for p in paths]] == before
