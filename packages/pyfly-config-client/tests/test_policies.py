"""What a start does when servers, labels, snapshots or time are missing."""

import json
import logging
import socket
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
from pyfly.config_client._retry import backoff, retry_after

pytestmark = pytest.mark.anyio

Fetch = Callable[..., Any]


@pytest.fixture
def free_url() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def another_server(make_server: Callable[[], Any]) -> Any:
    return make_server()


@pytest.fixture
def kept(tmp_path: Path) -> dict[str, Any]:
    """The arguments that let a client keep snapshots."""
    return {"snapshot_dir": tmp_path / "state"}


def many(document: Any, count: int) -> Any:
    source = {f"key{number}": number for number in range(count)}
    return document | {"propertySources": [{"name": "main/orders.yaml", "source": source}]}


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
    assert "cannot connect" in caplog.text
    assert f"2 properties from snapshot {server.url}/config/orders/prod, version 7" in caplog.text
    assert "marker-value" not in caplog.text


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
    with pytest.raises(SnapshotError, match=r"nothing is stored here\n- tried snapshot .*there is"):
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
    baseline.write_text(json.dumps(document))
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
        (b'{"name": "billing", "profiles": ["prod"], "propertySources": []}', "not asked for"),
        (None, "there is none"),
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
    (tmp_path / "file").write_text("")
    server.answer_json(document)
    found = await fetch(snapshot_dir=tmp_path / "file" / "below")
    assert (found.loaded_from, found["hosts[0]"]) == ("server", "c")
    assert "going on without a snapshot" in caplog.text


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
    assert "only 4 properties where there were 10" in caplog.text
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
    with pytest.raises(InvalidPayloadError, match=r"refused .* itself: RuntimeError") as caught:
        await fetch(validate=validate)
    assert "marker-value" not in str(caught.value)


# --- retries --------------------------------------------------------------------------


async def test_a_server_that_comes_back_within_the_deadline_is_used(
    server: Any, fetch: Fetch, document: Any
) -> None:
    busy = server.message(b"", "Retry-After: 0", status="503 Busy")
    torn = server.json(document)[:-5]
    server.turns = [busy, torn, b"", server.message(b"", status="429 Slow down")]
    server.answer_json(document)
    assert len(await fetch(attempts=None, timeout=60)) == 2
    assert len(server.requests) == 5


async def test_with_a_snapshot_at_hand_nobody_waits_for_long(
    server: Any, fetch: Fetch, document: Any, kept: Any
) -> None:
    server.answer_json(document)
    await fetch(**kept)
    server.requests.clear()
    server.answer_json({}, status="500 Oops")
    assert (await fetch(**kept, attempts=None, timeout=600)).from_snapshot
    assert len(server.requests) == 3


async def test_without_one_the_deadline_decides(free_url: str, fetch: Fetch) -> None:
    began = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=r"tried [0-9]+ times: "):
        await fetch(server_url=free_url, attempts=None, timeout=0.8)
    assert time.monotonic() - began < 10


async def test_a_server_that_asks_for_more_time_than_there_is_ends_it(
    server: Any, fetch: Fetch
) -> None:
    server.answer_json({}, "Retry-After: 999999999", status="503 Busy")
    with pytest.raises(ServerRejectedError):
        await fetch(attempts=None, timeout=60)
    assert len(server.requests) == 1


async def test_waiting_is_jittered_doubles_and_is_bounded() -> None:
    assert {backoff(50, first=0.1, most=2.0) <= 2.0 for _ in range(100)} == {True}
    assert max(backoff(3, first=0.1, most=2.0) for _ in range(1000)) > 0.4
    assert min(backoff(3, first=0.1, most=2.0) for _ in range(1000)) < 0.4
    assert [retry_after({"retry-after": text}) for text in ("7", "", "-1", "x", "Wed, 1 Jan")] == [
        7.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ]


# --- several servers and labels -------------------------------------------------------


@pytest.mark.case(101)
@pytest.mark.parametrize(
    ("strategy", "succeeds"), [("always", True), ("connection-timeout-only", False)]
)
async def test_after_an_error_the_strategy_decides_whether_the_next_server_is_asked(
    server: Any, another_server: Any, fetch: Fetch, document: Any, strategy: str, succeeds: bool
) -> None:
    server.answer_json({}, status="500 Internal Server Error")
    another_server.answer_json(document)
    urls = [server.url, another_server.url]
    if succeeds:
        found = await fetch(server_url=urls, strategy=strategy)
        assert found.place.startswith(another_server.url)
    else:
        with pytest.raises(ServerRejectedError):
            await fetch(server_url=urls, strategy=strategy)
    assert len(another_server.requests) == int(succeeds)


@pytest.mark.case(101)
@pytest.mark.parametrize("strategy", ["always", "connection-timeout-only"])
async def test_after_a_refused_connection_the_next_server_is_asked_in_any_case(
    free_url: str, another_server: Any, fetch: Fetch, document: Any, strategy: str
) -> None:
    another_server.answer_json(document)
    urls = [free_url, another_server.url]
    assert len(await fetch(server_url=urls, strategy=strategy)) == 2


async def test_every_server_gets_its_own_credential(
    server: Any, another_server: Any, fetch: Fetch, document: Any
) -> None:
    server.answer_json({}, status="500 Oops")
    another_server.answer_json(document)
    urls = [one.url.replace("://", f"://u:{one.url[-2:]}@") for one in (server, another_server)]
    await fetch(server_url=urls)
    sent = [
        one.requests[0].lower().partition("authorization: ")[2] for one in (server, another_server)
    ]
    assert sent[0].splitlines()[0] != sent[1].splitlines()[0]


async def test_a_hanging_server_leaves_time_for_the_next(
    server: Any, another_server: Any, fetch: Fetch, document: Any
) -> None:
    server.chunks = [b"H"] * 600
    server.pause = 0.1
    another_server.answer_json(document)
    found = await fetch(server_url=[server.url, another_server.url], timeout=4)
    assert found.place.startswith(another_server.url)


@pytest.mark.case(102)
async def test_labels_are_tried_in_order_until_one_exists(
    server: Any, fetch: Fetch, document: Any
) -> None:
    server.turns = [server.message(b"", status="404 Not Found")]
    server.answer_json(document | {"label": "main"})
    found = await fetch(label=["nolabel", "main"])
    assert found.label == "main"
    assert [request.split()[1] for request in server.requests] == [
        "/config/orders/prod/nolabel",
        "/config/orders/prod/main",
    ]


async def test_a_label_is_not_skipped_because_its_server_is_in_trouble(
    server: Any, fetch: Fetch, document: Any
) -> None:
    server.turns = [server.message(b"", status="500 Oops")]
    server.answer_json(document)
    with pytest.raises(ServerRejectedError):
        await fetch(label=["feature", "main"])
    assert len(server.requests) == 1


async def test_labels_that_all_do_not_exist_are_an_error_that_names_them(
    server: Any, fetch: Fetch
) -> None:
    server.answer(b"", status="404 Not Found")
    with pytest.raises(ServerRejectedError, match=r"prod/b answered 404") as caught:
        await fetch(label=["a", "b"])
    assert "tried http" in str(caught.value)
    assert "/prod/a answered 404" in str(caught.value)


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
        file.write_text(f"{token}\n")
        client.fetch()
        assert f"Bearer {token}\r\n" in server.requests[-1]
    for content in ("", "two\nlines"):
        file.write_text(content)
        with pytest.raises(Exception, match="holds no token") as caught:
            client.fetch()
        assert "two" not in str(caught.value)
    file.unlink()
    with pytest.raises(Exception, match="cannot be read"):
        client.fetch()
