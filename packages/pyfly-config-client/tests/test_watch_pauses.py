"""When a watcher asks again: its plan, without network and time."""

import json
from dataclasses import replace
from typing import Any

import pytest
from watched_documents import document

from pyfly.config_client import ClientConfig, ConfigClientError, Properties, ServerUnreachableError
from pyfly.config_client._changes import Loaded
from pyfly.config_client._responses import accept
from pyfly.config_client._steps import Compute, Job, SendRequest, Sleep, UseConfiguration
from pyfly.config_client._watch import WatchTiming, watch
from pyfly.config_client.transport import HttpResponse


class Plan:
    """A watcher without network and time: responses in, pauses out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **timing: float) -> None:
        monkeypatch.setattr("random.uniform", lambda _, most: most)
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        self.config = ClientConfig(
            server_url="http://config", application="orders", policy="require_server"
        )
        requests = self.config.build_requests(None)
        self.job = Job(config=self.config, requests=requests, attempts=1)
        self.sent: list[SendRequest] = []
        self.current = self._load()
        how: Any = {"interval": 60.0, "wait": 40.0} | timing
        self.steps = watch(lambda: self.job, lambda: self.current, WatchTiming(**how))

    def _load(self) -> Loaded:
        response = self.answer({"a": 0}, '"0"')
        return accept(self.job, self.job.requests[0][0], response)

    @staticmethod
    def answer(source: Any, etag: str, **headers: str) -> HttpResponse:
        body = json.dumps(document(**source) | {"profiles": ["default"]}).encode()
        known = {"content-type": "application/json", "etag": etag}
        return HttpResponse(status=200, headers=known | headers, body=body)

    def pauses(self, *turns: tuple[float, HttpResponse | ConfigClientError]) -> list[float]:
        """Return the pauses after responses, each of which takes some seconds."""
        waiting = list(turns)
        found: list[float] = []
        for step in self.steps:
            match step:
                case SendRequest():
                    if not waiting:
                        return [*found, 0.0]  # asked again without a pause
                    self.sent.append(step)
                    seconds, step.result = waiting.pop(0)
                    self.now += seconds
                case Compute():
                    step.perform()
                case UseConfiguration():
                    self.current, step.result = step.loaded, True
                case Sleep():
                    found.append(step.seconds)
                    self.now += step.seconds
                    if not waiting:
                        return found
                case _:
                    pass
        raise AssertionError("a watcher never ends")


def unchanged(**headers: str) -> HttpResponse:
    return HttpResponse(status=304, headers=headers, body=b"")


HELD = {"preference-applied": "wait=40"}


def test_a_held_request_is_followed_by_the_next_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(monkeypatch)
    changed = plan.answer({"a": 1}, '"1"', **HELD)
    turns = [(35.0, unchanged(**HELD)), (5.0, changed), (40.0, unchanged(**HELD))]
    assert plan.pauses(*turns) == [0.0]
    headers = [step.headers for step in plan.sent]
    assert headers == [
        {"If-None-Match": '"0"', "Prefer": "wait=40"},
        {"If-None-Match": '"0"', "Prefer": "wait=40"},
        {"If-None-Match": '"1"', "Prefer": "wait=40"},
    ]
    assert {step.timeout for step in plan.sent} == {50.0}, "the wait, and the timeout of a fetch"


def test_changes_in_a_burst_are_fetched_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(monkeypatch)
    turns = [(0.001, plan.answer({"a": n}, f'"{n}"', **HELD)) for n in range(1, 4)]
    assert plan.pauses(*turns) == pytest.approx([0.15] * 3)


def test_a_server_that_does_not_hold_requests_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(monkeypatch)
    turns = [(0.1, unchanged()), (0.1, plan.answer({"a": 1}, '"1"')), (0.1, unchanged())]
    assert plan.pauses(*turns) == [90.0] * 3, "the interval, by half more or less"


def test_waits_that_end_early_are_followed_by_growing_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that stops ends all waits; one that only says that it waits would be flooded."""
    plan = Plan(monkeypatch)
    early = [(0.0, unchanged(**HELD))] * 8
    assert plan.pauses(*early) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert plan.pauses((35.0, unchanged(**HELD)), (5.0, unchanged(**HELD))) == [1]


def test_failures_are_followed_by_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(monkeypatch)
    refused = ServerUnreachableError("refused")
    assert plan.pauses(*[(0.0, refused)] * 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    busy = HttpResponse(status=503, headers={"retry-after": "5"}, body=b"")
    plan = Plan(monkeypatch)
    assert plan.pauses((0.0, busy), (0.0, busy)) == [6, 7], "jitter on top of what all are told"
    assert plan.pauses((35.0, unchanged(**HELD)), (0.0, refused)) == [1]


def test_a_rejected_configuration_is_waited_for_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def validate(properties: Properties) -> None:
        if properties.get("a", int) < 0:
            raise ValueError

    plan = Plan(monkeypatch)
    plan.job = plan.job._replace(config=replace(plan.config, validate=validate))
    wrong = plan.answer({"a": -1}, '"wrong"', **HELD)
    turns = [
        (5.0, wrong),
        (35.0, unchanged(**HELD)),  # then it is checked again, and waited for again
        (0.1, plan.answer({"a": -1}, '"wrong"')),
        (5.0, plan.answer({"a": 1}, '"1"', **HELD)),
        (35.0, unchanged(**HELD)),
    ]
    assert plan.pauses(*turns) == pytest.approx([0.15, 0.15, 0.0])
    assert [step.headers for step in plan.sent] == [
        {"If-None-Match": '"0"', "Prefer": "wait=40"},
        {"If-None-Match": '"wrong"', "Prefer": "wait=40"},
        {"If-None-Match": '"0"'},
        {"If-None-Match": '"wrong"', "Prefer": "wait=40"},
        {"If-None-Match": '"1"', "Prefer": "wait=40"},
    ]
    assert plan.current.properties["a"] == 1


def test_a_rejected_configuration_of_a_server_that_does_not_hold_is_asked_for_ever_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def validate(properties: Properties) -> None:
        raise ValueError

    plan = Plan(monkeypatch)
    plan.job = plan.job._replace(config=replace(plan.config, validate=validate))
    turns = [(0.0, plan.answer({"a": 1}, '"1"')), (0.0, unchanged())] * 4
    assert plan.pauses(*turns) == pytest.approx([0.15, 2, 0.15, 8, 0.15, 32, 0.15, 60])


def test_a_server_that_comes_back_is_asked_to_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without an entity tag cannot be held, so there is no need to wait for the next."""
    plan = Plan(monkeypatch)
    known = plan.current
    plan.current = known._replace(snapshot=known.snapshot._replace(url="elsewhere"))
    assert plan.pauses((0.2, plan.answer({"a": 0}, '"0"', **HELD))) == [0.0]
    assert plan.sent[0].headers == {}
