"""What a start does when servers, labels, snapshots or time are missing."""

import errno
import json
import logging
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import (
    InvalidPayloadError,
    Properties,
    ServerRejectedError,
    ServerUnreachableError,
    SnapshotError,
    SyncConfigClient,
)

pytestmark = pytest.mark.anyio

Fetch = Callable[..., Any]


def with_source(document: Any, **source: Any) -> Any:
    return document | {"propertySources": [{"name": "main/orders.yaml", "source": source}]}


def many(document: Any, count: int) -> Any:
    return with_source(document, **{f"key{number}": number for number in range(count)})


# --- snapshots and policies -----------------------------------------------------------


async def test_the_last_good_configuration_starts_a_service_whose_server_is_down(
    server: Any, fetch: Fetch, document: Any, kept: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyfly.config_client")
    server.answer_json(document | {"version": "7"})
    first = await fetch(**kept)
    assert (first.from_snapshot, first.loaded_from, first.version) == (False, "server", "7")
    server.stop()
    second = await fetch(**kept)
    assert (second.from_snapshot, second.loaded_from, second.version) == (True, "snapshot", "7")
    assert second == first
    assert 0 <= second.age.total_seconds() < 600
    assert re.search(
        r"orders \[prod\]: using the snapshot of \d\d:\d\d \(\d+ (second|minute)s? old\): "
        r"http://.*: connection refused by 127\.0\.0\.1:\d+; check that the server is running",
        caplog.text,
    )
    assert f"2 properties from snapshot {server.url}/config/orders/prod, version 7" in caplog.text
    assert "marker-value" not in caplog.text


@pytest.mark.parametrize("fallback", ["snapshot", "baseline"])
def test_an_outage_does_not_lead_back_behind_what_the_server_has_sent(
    fallback: str, server: Any, document: Any, kept: Any, monkeypatch: Any, caplog: Any
) -> None:
    """The snapshot of it may not have been written, and a baseline is older than any response."""
    how: Any = {"server_url": server.url, "application": "orders", "profile": "prod", "attempts": 1}
    old = with_source(document, a="old")
    if fallback == "snapshot":
        server.answer_json(old)
        SyncConfigClient(**how, **kept).fetch()
        monkeypatch.setattr("pyfly.config_client._disk.write_file", no_space)
    else:
        path = kept["snapshot_dir"].with_name("baseline.json")
        path.write_text(json.dumps(old), encoding="utf-8")
        kept = {"snapshot_dir": "off", "baseline": path}
    client = SyncConfigClient(**how, **kept)
    changes: list[Any] = []
    client.on_change(changes.append)
    server.answer_json(with_source(document, a="new"))
    assert client.fetch() == {"a": "new"}
    server.stop()
    assert client.fetch() == {"a": "new"}
    assert client.current == {"a": "new"}
    assert client.status.failing
    assert changes == []
    assert "keeping the current configuration: http://" in caplog.text
    assert SyncConfigClient(**how, **kept).fetch() == {"a": "old"}, "another start has only that"


def no_space(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_require_server_neither_reads_nor_writes_a_snapshot(
    server: Any, fetch: Fetch, document: Any, kept: Any
) -> None:
    server.answer_json(document)
    await fetch(**kept, policy="require_server")
    assert not kept["snapshot_dir"].exists()
    await fetch(**kept)
    server.stop()
    with pytest.raises(ServerUnreachableError):
        await fetch(**kept, policy="require_server")


async def test_offline_sends_nothing(server: Any, fetch: Fetch, document: Any, kept: Any) -> None:
    with pytest.raises(SnapshotError, match=r"can be used\n- tried snapshot .*does not exist"):
        await fetch(**kept, policy="offline")
    server.answer_json(document)
    first = await fetch(**kept)
    server.requests.clear()
    assert await fetch(**kept, policy="offline") == first
    assert server.requests == []


async def test_the_baseline_is_used_when_there_is_nothing_better(
    server: Any, fetch: Fetch, document: Any, kept: Any, tmp_path: Path
) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(document), encoding="utf-8")
    server.answer_json(b"", status="503 Service Unavailable")
    found = await fetch(**kept, baseline=baseline)
    assert (found.loaded_from, found.from_snapshot, found["hosts[0]"]) == ("baseline", True, "c")
    server.answer_json(document | {"version": "8"})
    await fetch(**kept, baseline=baseline)
    server.stop()
    assert (await fetch(**kept, baseline=baseline)).loaded_from == "snapshot"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not JSON"),
        (b'{"name": "billing", "profiles": ["prod"], "propertySources": []}', "not requested"),
        (None, "does not exist"),
    ],
)
async def test_a_baseline_of_something_else_is_no_configuration(
    fetch: Fetch, kept: Any, tmp_path: Path, content: bytes | None, said: str
) -> None:
    baseline = tmp_path / "baseline.json"
    if content is not None:
        baseline.write_bytes(content)
    with pytest.raises(SnapshotError, match=said):
        await fetch(**kept, baseline=baseline, policy="offline")


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found"])
async def test_a_refusal_is_an_answer_that_no_snapshot_covers_and_nobody_repeats(
    server: Any, fetch: Fetch, document: Any, kept: Any, status: str
) -> None:
    server.answer_json(document)
    await fetch(**kept)
    server.requests.clear()
    server.answer_json({}, status=status)
    with pytest.raises(ServerRejectedError):
        await fetch(**kept, attempts=None, timeout=60)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["500 Oops", "503 Busy", "429 Slow down", "302 Found"])
async def test_a_server_in_trouble_is_covered_by_a_snapshot(
    server: Any, fetch: Fetch, document: Any, kept: Any, status: str
) -> None:
    server.answer_json(document)
    first = await fetch(**kept)
    server.answer_json({}, status=status)
    assert await fetch(**kept) == first


async def test_what_cannot_be_written_is_no_reason_not_to_start(
    server: Any, fetch: Fetch, document: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    server.answer_json(document)
    found = await fetch(snapshot_dir=tmp_path / "file" / "below")
    assert (found.loaded_from, found["hosts[0]"]) == ("server", "c")
    assert "continuing without a snapshot" in caplog.text


async def test_two_starts_leave_the_configuration_before_as_a_previous_generation(
    server: Any, fetch: Fetch, document: Any, kept: Any
) -> None:
    server.answer_json(many(document, 3))
    await fetch(**kept)
    server.answer_json(many(document, 4))
    await fetch(**kept)
    server.stop()
    (newest,) = kept["snapshot_dir"].glob("*.snapshot")
    newest.write_bytes(newest.read_bytes()[:-1])
    assert len(await fetch(**kept)) == 3
    newest.with_suffix(".previous").unlink()
    with pytest.raises(ServerUnreachableError, match=r"- tried snapshot .* is damaged"):
        await fetch(**kept)


async def test_a_snapshot_can_be_encrypted(
    server: Any, fetch: Fetch, document: Any, kept: Any
) -> None:
    key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    server.answer_json(document)
    first = await fetch(**kept, snapshot_key=key)
    server.stop()
    assert await fetch(**kept, snapshot_key=key) == first
    (file,) = kept["snapshot_dir"].iterdir()
    assert b"marker-value" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_snapshot_of_the_future_has_no_age(
    server: Any, fetch: Fetch, document: Any, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer_json(document)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 1_000_000)
    await fetch(**kept)
    monkeypatch.undo()
    assert (await fetch(**kept, policy="offline")).age.total_seconds() < 600


# --- consent --------------------------------------------------------------------------


async def test_losing_most_properties_needs_consent(
    server: Any, fetch: Fetch, document: Any, kept: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer_json(many(document, 10))
    await fetch(**kept)
    server.answer_json(many(document, 4))
    assert len(await fetch(**kept)) == 10
    assert "only 4 properties, 10 before" in caplog.text
    assert len(await fetch(**kept, allow_shrink=True)) == 4
    assert len(await fetch(**kept)) == 4


async def test_an_empty_answer_is_covered_by_a_snapshot(
    server: Any, fetch: Fetch, document: Any, kept: Any
) -> None:
    server.answer_json(document)
    await fetch(**kept)
    server.answer_json(document | {"propertySources": []})
    assert len(await fetch(**kept)) == 2
    assert await fetch(**kept, allow_empty=True) == {}


async def test_the_programs_own_check_refuses_a_configuration(
    server: Any, fetch: Fetch, document: Any, kept: Any
) -> None:
    def validate(properties: Properties) -> None:
        if "key3" in properties:
            raise RuntimeError("marker-value")

    server.answer_json(many(document, 3))
    await fetch(**kept, validate=validate)
    server.answer_json(many(document, 4))
    assert len(await fetch(**kept, validate=validate)) == 3
    with pytest.raises(InvalidPayloadError, match=r"rejected by .*: RuntimeError") as caught:
        await fetch(validate=validate)
    assert "marker-value" not in str(caught.value)


# --- arguments ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"server_url": []},
        {"label": []},
        {"policy": "optional"},
        {"strategy": "random"},
        {"attempts": 0},
        {"token": "t", "token_file": "t"},
        {"token": "two\nlines"},
        {"password": "two\nlines"},
        {"snapshot_key": "short"},
    ],
)
def test_more_arguments_that_cannot_be_used_are_refused_at_once(how: Any) -> None:
    arguments: Any = {"server_url": "http://config:8888", "application": "orders"} | how
    with pytest.raises(ValueError, match=r".") as caught:
        SyncConfigClient(**arguments)
    assert "two" not in str(caught.value)


async def test_the_file_of_a_token_is_read_for_every_fetch(
    server: Any, document: Any, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    client = SyncConfigClient(
        server_url=server.url, application="orders", profile="prod", token_file=file
    )
    server.answer_json(document)
    for token in ("first", "second"):
        file.write_text(f"{token}\n", encoding="utf-8")
        client.fetch()
        assert f"Bearer {token}\r\n" in server.requests[-1]
    for content in ("", "two\nlines"):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(Exception, match="contains no token") as caught:
            client.fetch()
        assert "two" not in str(caught.value)
    file.unlink()
    with pytest.raises(Exception, match="cannot be read"):
        client.fetch()
