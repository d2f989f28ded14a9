"""The address of metrics, and the slots in which workers count."""

import json
from pathlib import Path

import pytest

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.telemetry import (
    CounterSlot,
    ProcessCounters,
    open_counters,
    slot_directory,
)
from pyfly.config_cli._serving.worker import WorkerOrder, check_reload
from pyfly.config_cli._settings.fields import split_address
from pyfly.config_cli._settings.model import ServerSettings


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9100", ("127.0.0.1", 9100)),
        ("[::1]:9100", ("::1", 9100)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("metrics.example.com:65535", ("metrics.example.com", 65_535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address
    assert ServerSettings(metrics_listen=text).metrics_listen == text


@pytest.mark.parametrize(
    "text", ["9100", ":9100", "::1:9100", "host", "host:", "host:0", "host:65536", "h/x:1", "h:1 "]
)
def test_anything_else_is_refused(text: str) -> None:
    assert split_address(text) is None
    with pytest.raises(ValueError, match=r"such as 127\.0\.0\.1:9100"):
        ServerSettings(metrics_listen=text)


@pytest.mark.parametrize("slot", [None, CounterSlot(directory="/run/x", number=3, restarted=True)])
def test_an_order_reaches_a_worker_as_it_is(slot: CounterSlot | None) -> None:
    order = WorkerOrder(settings={"port": 1}, listeners=[5], check=True, counter_slot=slot)
    line = order.encode()
    assert json.loads(line)["check"] is True
    assert WorkerOrder.decode(line) == order


def test_metrics_change_with_a_restart_only() -> None:
    old = ServerSettings()
    for new in (ServerSettings(metrics=True), ServerSettings(metrics_listen="127.0.0.1:1")):
        with pytest.raises(SettingsError, match="needs a restart"):
            check_reload(old, new)


def test_there_are_no_slots_without_metrics() -> None:
    with slot_directory(ServerSettings()) as directory:
        assert directory is None
    with open_counters(None) as counters:
        assert counters.all().processes == 1


def test_workers_with_slots_see_the_counts_of_each_other() -> None:
    with slot_directory(ServerSettings(metrics=True)) as directory:
        assert directory is not None
        slots = [CounterSlot(directory=str(directory), number=number) for number in range(2)]
        with open_counters(slots[0]) as one, open_counters(slots[1]) as other:
            assert (one.all().processes, other.all().processes) == (2, 2)
    assert not directory.exists()


def test_a_missing_temporary_directory_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with (
        pytest.raises(SettingsError, match="set TMPDIR"),
        slot_directory(ServerSettings(metrics_listen="127.0.0.1:1")),
    ):
        pass


def test_an_application_shows_metrics_if_the_settings_say_so() -> None:
    counters = ProcessCounters.alone()
    assert counters.telemetry(ServerSettings()).metrics is None
    assert counters.telemetry(ServerSettings(metrics_listen="127.0.0.1:1")).metrics is None
    assert counters.telemetry(ServerSettings(metrics=True)).metrics is not None
