"""A forked process forgets everything of its parent before it starts anything."""

import os

import pytest

from pyfly.config_client import _forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_everything_is_forgotten_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(_forks, "_forgetting", [])
    monkeypatch.setattr(_forks, "_starting", [])
    _forks.start_after_fork(lambda: calls.append("start"))
    _forks.forget_after_fork(lambda: calls.append("forget") or 1 / 0)
    _forks.forget_after_fork(lambda: calls.append("forget more"))
    child = os.fork()
    if child == 0:
        os._exit(0 if calls == ["forget", "forget more", "start"] else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert calls == []
