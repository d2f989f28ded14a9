"""The audit log: its lines, its files, and what happens when it fails."""

import asyncio
import json
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server.audit import (
    Audit,
    AuditError,
    AuditEvent,
    AuditFile,
    AuditWriter,
    check_audit_file,
)

pytestmark = pytest.mark.anyio


def event(name: str = "writeBundle", **more: Any) -> AuditEvent:
    known: dict[str, Any] = {"at": 1.5, "result": "done", "principal": "ops"}
    return AuditEvent(operation=name, **known | more)


class Gate:
    """An output that takes lines while it is open, and fails or blocks otherwise."""

    name = "audit log"
    longest_line = 4_096

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.error: OSError | None = None
        self.opened = threading.Event()
        self.opened.set()

    def write(self, line: bytes) -> None:
        self.opened.wait(60)
        if self.error is not None:
            raise self.error
        self.lines.append(json.loads(line))

    def sync(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        pass

    def names(self) -> list[str]:
        return [one["operation"] for one in self.lines]


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_true():  # noqa: ASYNC110 - a thread changes it
            await asyncio.sleep(0.01)


# --- lines --------------------------------------------------------------------------------


def test_a_line_is_ascii_and_leaves_out_what_is_unknown() -> None:
    line = event(principal=None, path="/a\n\u00e4\ud800", status=200).encode(16_384)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500Z",
        "operation": "writeBundle",
        "result": "done",
        "status": 200,
        "principal": None,
        "client": None,
        "path": "/a\n\u00e4\ud800",
    }


@pytest.mark.parametrize("longest", [4_096, 16_384])
def test_a_long_line_is_cut_and_says_so(longest: int) -> None:
    texts = dict.fromkeys(
        (
            *("principal", "claimed_name", "client", "request_id", "method", "path"),
            *("application", "profile", "label", "version_before", "version_after"),
        ),
        "\U0001f600" * 100_000,
    )
    line = event(**texts).encode(longest)
    assert len(line) <= longest
    found = json.loads(line)
    assert found["cut"] is True
    assert found["application"].strip("\U0001f600") == ""
    assert len(found["application"]) >= 16


# --- files --------------------------------------------------------------------------------


async def test_a_file_is_appended_to_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b'{"before": 1}\n')
    writer = AuditWriter(AuditFile(path))
    await writer.keep(event("a"))
    writer.note(event("b"))
    await writer.aclose()
    writer.note(event("c"))  # a request that ended later
    await writer.aclose()
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    assert [one.get("operation") for one in lines] == [None, "a", "b", "c"]
    other = tmp_path / "new.log"
    AuditFile(other)
    assert stat.S_IMODE(other.stat().st_mode) & 0o137 == 0


async def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    writer = AuditWriter(AuditFile(path))
    await writer.keep(event("a"))
    path.rename(tmp_path / "audit.log.1")
    await writer.keep(event("b"))
    path.unlink()
    await writer.keep(event("c"))
    await writer.aclose()
    assert json.loads((tmp_path / "audit.log.1").read_bytes())["operation"] == "a"
    assert json.loads(path.read_bytes())["operation"] == "c"


async def test_a_file_that_cannot_be_made_anew_stays_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "logs" / "audit.log"
    path.parent.mkdir()
    writer = AuditWriter(AuditFile(path))
    await writer.keep(event("a"))
    path.parent.rename(tmp_path / "old")
    for name in ("b", "c"):
        await writer.keep(event(name))
    path.parent.mkdir()
    await writer.keep(event("d"))
    await writer.aclose()
    old = (tmp_path / "old" / "audit.log").read_text(encoding="ascii").splitlines()
    assert [json.loads(line)["operation"] for line in old] == ["a", "b", "c"]
    assert json.loads(path.read_bytes())["operation"] == "d"
    found = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert found == [
        f"audit log {str(path)!r} cannot be opened again: No such file or directory; "
        "the file before stays open"
    ]


def test_a_line_after_a_torn_one_begins_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.log"
    file, write = AuditFile(path), os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda number, data: write(number, data[:5]))
        with pytest.raises(OSError, match="No space left"):
            file.write(b'{"a": 1}\n')
    file.write(b'{"b": 2}\n')
    file.write(b'{"c": 3}\n')
    file.close()
    assert path.read_bytes() == b'{"a":\n{"b": 2}\n{"c": 3}\n'


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/audit.log", "No such file or directory"), (".", "Is a directory")],
)
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    for attempt in (AuditFile, check_audit_file):
        with pytest.raises(AuditError) as caught:
            attempt(path)
        assert str(caught.value) == f"cannot append to the audit log {str(path)!r}: {reason}"


def test_a_check_creates_nothing(tmp_path: Path) -> None:
    check_audit_file(tmp_path / "audit.log")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
async def test_a_full_device_fails_with_its_reason() -> None:
    writer = AuditWriter(AuditFile(Path("/dev/full")))
    with pytest.raises(AuditError, match="'/dev/full': No space left on device"):
        await writer.keep(event())
    assert writer.problem == "No space left on device"
    await writer.aclose()


# --- failures -----------------------------------------------------------------------------


async def test_an_output_that_failed_is_used_again_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    writer = AuditWriter(gate)
    gate.error = OSError(28, "No space left on device")
    for _ in range(2):
        with pytest.raises(AuditError, match="audit log: No space left on device"):
            await writer.keep(event("attempt"))
        writer.note(event("result"))
    assert writer.problem == "No space left on device"
    gate.error = None
    await until(lambda: writer.problem is None)
    await writer.keep(event("later"))
    assert gate.names() == ["result", "result", "later"]
    assert [one.getMessage() for one in caplog.records] == [
        "audit log: No space left on device; writes are refused until it works",
        "audit log works again",
    ]
    await writer.aclose()


async def test_an_output_that_blocks_refuses_writes_and_holds_nobody_up() -> None:
    gate = Gate()
    gate.opened.clear()
    writer = AuditWriter(gate, stall_seconds=0.05)
    with pytest.raises(AuditError, match="it does not take the lines"):
        await writer.keep(event("first"))
    with pytest.raises(AuditError, match="it does not take the lines"):  # at once
        await writer.keep(event("second"))
    assert writer.problem == "it does not take the lines"
    for _ in range(999):
        writer.note(event("note"))
    with pytest.raises(AuditError):
        writer.note(event("note"))
    gate.opened.set()
    await until(lambda: writer.problem is None)
    await writer.keep(event("last"))
    assert gate.names()[0] == "first"
    assert gate.names()[-1] == "last"
    await writer.aclose()


async def test_what_cannot_be_made_durable_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()

    def fail() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(gate, "sync", fail)
    writer = AuditWriter(gate)
    writer.note(event("noted"))
    with pytest.raises(AuditError, match="Input/output error"):
        await writer.keep(event("kept"))
    assert gate.names() == ["noted", "kept"]  # and not twice
    await writer.aclose()


async def test_the_end_does_not_wait_for_an_output_that_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    gate.error = OSError(28, "No space left on device")
    writer = AuditWriter(gate)
    writer.note(event())
    await until(lambda: writer.problem is not None)
    await writer.aclose()
    assert caplog.records[-1].getMessage() == "audit log: 1 lines are lost"


# --- what goes to a sink ------------------------------------------------------------------


class Sink:
    """Keeps events in a list, or raises."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.error: Exception | None = None
        self.problem: str | None = None

    def note(self, event: AuditEvent) -> None:
        if self.error is not None:
            raise self.error
        self.events.append(event)

    async def keep(self, event: AuditEvent) -> None:
        self.note(event)

    async def aclose(self) -> None:
        pass


async def test_refusals_without_a_principal_cannot_fill_the_log() -> None:
    now, sink = [0.0], Sink()
    audit = Audit(sink, clock=lambda: now[0])
    for _ in range(1_500):
        audit.note(event(principal=None, result="refused"))
    assert len(sink.events) == 1_000
    audit.note(event(result="refused"))
    await audit.attempt(event(principal=None, result="attempt"))
    assert [one.left_out for one in sink.events[999:]] == [None, 500, None]
    now[0] += 1
    for _ in range(100):
        audit.note(event(principal=None, result="refused"))
    assert len(sink.events) == 1_022


async def test_events_that_a_sink_did_not_take_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Sink()
    audit = Audit(sink)
    sink.error = ValueError("with a secret")
    audit.note(event())
    audit.note(event())
    with pytest.raises(AuditError, match="the audit log raised ValueError"):
        await audit.attempt(event())
    sink.error = None
    audit.note(event())
    assert [one.left_out for one in sink.events] == [2]
    assert [one.getMessage() for one in caplog.records] == [
        "the audit log raised ValueError; writes are refused"
    ]
