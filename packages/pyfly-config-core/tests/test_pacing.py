"""Long loops in threads pause, so that an event loop need not wait for the interpreter."""

from types import SimpleNamespace

import pytest

from pyfly.config_server.files import pacing
from pyfly.config_server.files.pacing import paced


def test_a_loop_pauses_after_every_millisecond_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        assert seconds > 0  # a thread that sleeps for no time keeps the interpreter
        pauses.append(now)

    clock = SimpleNamespace(perf_counter=lambda: now, sleep=sleep)
    monkeypatch.setattr(pacing, "time", clock)
    seen: list[int] = []
    for item in paced(range(10_000)):
        now += 0.00001
        seen.append(item)
    assert seen == [*range(10_000)]
    gaps = [after - before for before, after in zip([0.0, *pauses], pauses, strict=False)]
    assert 50 < len(pauses) < 100
    assert max(gaps) < 0.002


def test_a_short_loop_does_not_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    assert [*paced("abc")] == ["a", "b", "c"]
    assert [*paced([])] == []
