"""What a client says of itself: staleness, rejections, contact, metrics."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from watched_clients import PATIENCE, clients

from pyfly.config_client import (
    Change,
    ClientStatus,
    ConfigClientError,
    Problem,
    Properties,
    Rejection,
    StaleResponseError,
    SyncConfigClient,
)
from pyfly.config_client.metrics import ClientCollector

pytestmark = pytest.mark.anyio


async def test_the_status_says_what_is_in_use(make_client: Any, holding_server: Any) -> None:
    watched = make_client()
    assert watched.client.status == ClientStatus()
    await watched.fetch()
    status = watched.client.status
    assert status.loaded_from == "server"
    assert status.etag is not None
    assert datetime.now(UTC) >= status.last_contact
    assert (status.stale_for, status.rejected, status.failing) == (None, 0, False)


def test_what_a_program_receives_is_no_tuple_and_does_not_change() -> None:
    problem = Problem(text="broken", at=datetime.now(UTC))
    one = Properties.of({"a": 1})
    nothing = frozenset[str]()
    change = Change(properties=one, previous=one, added=nothing, removed=nothing, changed=nothing)
    rejection = Rejection(reason="broken", version=None, when=problem.at)
    for value in (change, ClientStatus(), problem, rejection):
        assert not isinstance(value, tuple)
        assert value == dataclasses.replace(value)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, None)
        with pytest.raises(TypeError, match="positional"):
            type(value)("a")  # type: ignore[misc]


async def test_rejected_configurations_are_counted(make_client: Any, holding_server: Any) -> None:
    def validate(properties: Properties) -> None:
        if properties["a"] == "marker-value":
            raise ValueError(properties["a"])

    watched = make_client(validate=validate)
    await watched.fetch()
    watched.client.on_status(watched.statuses.put)
    holding_server.answer(a="marker-value")
    for count in (1, 2):
        with pytest.raises(ConfigClientError, match="rejected by 'validate'"):
            await watched.refresh()
        status = watched.client.status
        assert status.rejected == count
        assert "rejected by 'validate'" in status.last_rejection.text
        assert "marker-value" not in repr(status)
    assert watched.client.current == {"a": 0}
    assert watched.statuses.qsize() == 2


async def test_staleness_is_told_when_it_begins_and_when_it_ends(
    watch: Any, holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pyfly.config_client")
    watched = await watch()
    assert watched.client.current.stale_for is None
    for waits in (1, 2):
        holding_server.stale = 30
        holding_server.end_waits()
        await holding_server.until(lambda waits=waits: holding_server.let_go == waits)
        await holding_server.until(lambda: holding_server.held == 1)
    await watched.status(lambda status: status.stale_for is not None)
    stale_for: Any = watched.client.current.stale_for
    assert 30 <= stale_for < 30 + PATIENCE
    assert watched.client.status.stale_for >= 30
    holding_server.stale = None
    holding_server.end_waits()
    await watched.status(lambda status: status.stale_for is None)
    assert watched.client.current.stale_for is None
    assert caplog.text.count("cannot read its store") == 1
    assert caplog.text.count("can read its store again") == 1
    assert watched.changes.empty()


async def test_a_stale_configuration_is_better_than_none(
    make_client: Any, holding_server: Any, tmp_path: Any
) -> None:
    holding_server.stale = 7
    watched = make_client(snapshot_dir=tmp_path / "state")
    found = await watched.fetch()
    assert found == {"a": 0}
    assert found.stale_for >= 7, "also after it was read from the snapshot"
    assert found.section("b").stale_for >= 7


@pytest.mark.slow
async def test_a_replica_that_is_behind_does_not_lead_back(
    watch: Any, holding_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    watched = await watch()
    holding_server.answer(a=2)
    await watched.change()
    holding_server.stale = 60
    holding_server.answer(a=1)
    status = await watched.status(lambda status: status.rejected > 0)
    assert "which may be newer" in status.last_rejection.text
    assert watched.client.current == {"a": 2}
    with pytest.raises(StaleResponseError):
        await watched.refresh()
    assert await watched.fetch() == {"a": 2}
    assert watched.client.current == {"a": 2}
    assert watched.changes.empty()
    holding_server.stale = None
    assert (await watched.change()).properties == {"a": 1}, "the server knows that it is newer"


async def test_what_the_server_did_not_confirm_counts_as_no_contact(
    make_client: Any, holding_server: Any
) -> None:
    watched = make_client()
    await watched.fetch()
    contact = watched.client.status.last_contact
    holding_server.stale = 60
    holding_server.answer(a=1)
    assert await watched.fetch() == {"a": 0}
    assert watched.client.status.last_contact == contact
    assert watched.client.status.failing


async def test_a_clock_that_is_set_back_hides_no_success(
    make_client: Any, holding_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = make_client(policy="require_server")
    await watched.fetch()
    holding_server.stale = 60
    holding_server.answer(a=1)
    with pytest.raises(StaleResponseError):
        await watched.refresh()
    assert watched.client.status.failing
    yesterday = datetime.now(UTC) - timedelta(days=1)
    monkeypatch.setattr("pyfly.config_client._changes._now", lambda: yesterday)
    holding_server.stale = None
    await watched.refresh()
    assert watched.client.status.last_contact == yesterday
    assert not watched.client.status.failing


def test_the_status_of_clients_is_collected(holding_server: Any) -> None:
    registry = CollectorRegistry()
    client = clients(holding_server, 1)[0]
    other = SyncConfigClient(server_url=holding_server.url, application="billing", label="v1")
    ClientCollector(client, other, registry=registry)
    holding_server.stale = 30
    client.fetch()
    with pytest.raises(ConfigClientError):
        other.fetch()
    text = generate_latest(registry).decode()
    names = 'application="orders",label="",profile="prod"'
    wrong = 'application="billing",label="v1",profile="default"'
    assert f"pyfly_config_client_stale_seconds{{{names}}} 30" in text
    assert f"pyfly_config_client_failing{{{names}}} 0.0" in text
    assert f"pyfly_config_client_last_contact_timestamp_seconds{{{names}}} 1" in text
    assert f"pyfly_config_client_failing{{{wrong}}} 1.0" in text
    assert f"pyfly_config_client_last_contact_timestamp_seconds{{{wrong}}}" not in text
    count = f"pyfly_config_client_rejected_responses_total{{{wrong}}} "
    assert float(text.partition(count)[2].split()[0]) >= 1
    with pytest.raises(ValueError, match="same application"):
        ClientCollector(client, client, registry=registry)
