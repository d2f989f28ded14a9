"""A state machine: one server with its live layer, readers, watchers, writers and faults.

Time passes when a rule says so. Each state of the store is remembered, so that an answer tells
which states it may come from.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any, TypeAlias
from unittest import mock

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from live_stores import SELDOM, Application, ControlledStore, Reply, bundle

from pyfly.config_core import BackendUnavailableError, ConfigError, ConfigFormatError, ConfigKey
from pyfly.config_server import ConfigSource, InMemoryConfigBackend
from pyfly.config_server.storage import ANY

PATIENCE = 60.0
"""Real seconds for what is about to end."""

KEYS = [
    ConfigKey(application=application, profile=profile, label=label)
    for application, profile, label in [
        ("orders", "prod", "main"),
        ("orders", "default", "main"),
        ("application", "-", "main"),
        ("orders", "prod", "next"),
        ("other", "prod", "next"),
    ]
]
DOCUMENTS = {
    "/config/orders/prod": KEYS[:3],
    "/config/orders/prod/next": KEYS[3:4],
    "/config/other/prod,eu": KEYS[2:3],
}
STALENESS = 1_000
EXAMPLES = int(os.environ.get("PYFLY_PROOF_EXAMPLES", "20"))
BROKEN = -1

State: TypeAlias = dict[ConfigKey, int]
Value: TypeAlias = tuple[int, ...] | int
"""The numbers of the bundles in a document, or a status."""


def value_in(state: State, path: str) -> Value:
    """Return what a document is in a state of the store."""
    if path.endswith("/next") and not any(key.label == "next" for key in state):
        return 404
    numbers = tuple(state[key] for key in DOCUMENTS[path] if key in state)
    return 500 if BROKEN in numbers else numbers


def value_of(reply: Reply) -> Value:
    """Return what a reply shows. Every bundle in it is whole."""
    if reply.status != 200:
        return reply.status
    for source in reply.sources:
        assert source["first"] == source["last"]
    return tuple(source["first"] for source in reply.sources)


class Clock:
    """The clock of the machine, and the time that rules have added."""

    def __init__(self) -> None:
        self.added = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.added

    def time(self) -> float:
        return time.time() + self.added


class Store(ControlledStore):
    """A store with bundles that do not parse, and writes whose success is not reported."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[ConfigKey] = set()
        self.hides_success = False

    async def fetch(
        self, application: str, profile: str, label: str = "main"
    ) -> ConfigSource | None:
        key = ConfigKey(application=application, profile=profile, label=label)
        is_broken = key in self.broken  # when it is read, not when the reading ends
        found = await super().fetch(application, profile, label)
        if is_broken:
            raise ConfigFormatError("broken")
        return found

    async def end(self, name: str) -> None:
        await super().end(name)
        if name in {"save", "commit", "delete"} and self.hides_success:
            raise BackendUnavailableError("no answer to the write")


@dataclass(eq=False)
class Client:
    """A reader that sends its entity tag."""

    path: str
    tag: str = ""
    value: Value = ()
    since: int = 0
    """The first state that it may have seen."""


@dataclass(eq=False)
class Watcher:
    """A held request."""

    path: str
    value: Value
    task: "asyncio.Task[Reply]"


_MODULES = ("feed", "feed_group", "feeds", "live_documents")


class Live(RuleBasedStateMachine):
    """One server process, and everything around it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.patches = [
            mock.patch(f"pyfly.config_server.live.{name}.time", self.clock) for name in _MODULES
        ]
        for patch in self.patches:
            patch.start()
        self.runner = asyncio.Runner()
        self.store = Store()
        assert isinstance(self.store.wrapped, InMemoryConfigBackend)
        self.behind = self.store.wrapped
        self.app = Application(self.store, live=SELDOM)
        self.states: list[State] = [{}]
        self.times = [0.0]
        self.noticed = 0
        """The state that the server knows at least, if the store can be reached."""
        self.numbers = 0
        self.clients: list[Client] = []
        self.watchers: list[Watcher] = []
        self.composing: tuple[str, int, Any, asyncio.Task[Reply]] | None = None

    def teardown(self) -> None:
        if self.composing is not None:
            self.composing[2].open()
        self.run(self.app.aclose())
        self.run(asyncio.gather(*(one.task for one in self.watchers), return_exceptions=True))
        self.runner.close()
        for patch in self.patches:
            patch.stop()

    def run(self, work: Any) -> Any:
        async def run() -> Any:
            async with asyncio.timeout(10):
                return await work

        return self.runner.run(run())

    # --- the store ----------------------------------------------------------------------------

    @property
    def latest(self) -> int:
        return len(self.states) - 1

    def changed(self, key: ConfigKey, number: int | None) -> None:
        state = {one: found for one, found in self.states[-1].items() if one != key}
        self.states.append(state if number is None else state | {key: number})
        self.times.append(self.clock.added)

    def next_bundle(self, key: ConfigKey) -> ConfigSource:
        self.numbers += 1
        return bundle(
            key.application, key.profile, key.label, first=self.numbers, last=self.numbers
        )

    @initialize()
    def begin(self) -> None:
        self.write_behind(KEYS[0])
        for path in DOCUMENTS:
            self.read(path)

    @rule(key=st.sampled_from(KEYS))
    def write_behind(self, key: ConfigKey) -> None:
        self.run(self.behind.save(self.next_bundle(key)))
        self.store.broken.discard(key)
        self.changed(key, self.numbers)

    @rule(key=st.sampled_from(KEYS))
    def remove_behind(self, key: ConfigKey) -> None:
        self.run(self.behind.delete(key, expected=ANY))
        self.store.broken.discard(key)
        self.changed(key, None)

    @rule(key=st.sampled_from(KEYS))
    def break_behind(self, key: ConfigKey) -> None:
        self.run(self.behind.save(self.next_bundle(key)))
        self.store.broken.add(key)
        self.changed(key, BROKEN)

    @rule(key=st.sampled_from(KEYS), removes=st.booleans(), hides=st.booleans())
    def write(self, key: ConfigKey, *, removes: bool, hides: bool) -> None:
        """Write through the server. The outcome may be unknown to it."""
        bundles, reachable = self.app.server.bundles, not self.store.errors
        self.store.hides_success = hides
        source = self.next_bundle(key)
        try:
            self.run(bundles.delete(key, expected=ANY) if removes else bundles.save(source))
        except ConfigError:
            assert hides or not reachable
        self.store.hides_success = False
        if reachable:
            self.store.broken.discard(key)
            self.changed(key, None if removes else self.numbers)
            self.settle()
            for path, keys in DOCUMENTS.items():
                if key in keys:
                    self.check(self.ask(path), path, self.latest)

    # --- time and faults ----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, STALENESS // 2, STALENESS + 1]))
    def wait(self, seconds: int) -> None:
        self.clock.added += seconds

    @rule()
    def look(self) -> None:
        """Do what the feed does twice in `max_staleness`."""
        self.run(self.app.look())
        if not self.store.errors:
            self.noticed = self.latest
        self.settle()

    @rule()
    def take_away(self) -> None:
        self.store.errors["*"] = BackendUnavailableError("the store is away")

    @precondition(lambda self: bool(self.store.errors))
    @rule()
    def bring_back(self) -> None:
        del self.store.errors["*"]
        self.look()

    # --- readers ------------------------------------------------------------------------------

    def first_state(self) -> int:
        """Return the first state that an answer without a mark may come from now."""
        old = [n for n, when in enumerate(self.times) if when <= self.clock.added - STALENESS]
        return max([self.noticed, *old])

    def values(self, path: str, first: int) -> list[Value]:
        return [value_in(state, path) for state in self.states[first:]]

    @property
    def has_faults(self) -> bool:
        """True if the server may know of a fault, which may be repaired already."""
        was_broken = any(BROKEN in one.values() for one in self.states[self.first_state() :])
        live, now = self.app.live, time.monotonic()
        pauses = any(  # after a failure that no look has noticed
            isinstance(one.error, BackendUnavailableError) and one.retry_at > now
            for one in live.answers.cache
        )
        return bool(self.store.errors) or was_broken or live.feeds.is_down or pauses

    def ask(self, path: str, **headers: str) -> Reply:
        may_fail = self.has_faults
        reply: Reply = self.run(self.app.get(path, **headers))
        if reply.is_stale or reply.status == 503:
            assert may_fail or self.has_faults
        return reply

    def check(self, reply: Reply, path: str, first: int) -> None:
        """Check an answer against the states from `first` on."""
        if reply.status == 503:
            return
        value = value_of(reply)
        assert value in self.values(path, 0 if reply.is_stale else first)

    @rule(path=st.sampled_from([*DOCUMENTS]))
    def read(self, path: str) -> None:
        first = self.first_state()
        self.check(self.ask(path), path, first)

    @rule(path=st.sampled_from([*DOCUMENTS]))
    def read_fresh(self, path: str) -> None:
        self.check(self.ask(path, cache_control="no-cache"), path, self.latest)

    @rule(path=st.sampled_from([*DOCUMENTS]))
    def arrive(self, path: str) -> None:
        self.clients.append(Client(path))
        self.clients = self.clients[-4:]

    @precondition(lambda self: bool(self.clients))
    @rule(place=st.integers(0, 3))
    def read_again(self, place: int) -> None:
        """A client with its entity tag never goes back, unless the answer is marked."""
        client = self.clients[place % len(self.clients)]
        headers = {"if_none_match": client.tag} if client.tag else {}
        reply = self.ask(client.path, **headers)
        if reply.status == 503 or reply.is_stale:
            return
        value = client.value if reply.status == 304 else value_of(reply)
        values = self.values(client.path, client.since)
        assert value in values
        client.since += values.index(value)
        client.value = value
        client.tag = reply.tag if b"etag" in reply.headers else client.tag

    @rule(path=st.sampled_from([*DOCUMENTS]))
    def come_from_another_process(self, path: str) -> None:
        """A client that another process told the latest state is not led back."""
        reply = self.ask(path, if_none_match='"of-another-process"')
        self.check(reply, path, self.latest)

    # --- compositions that take their time ------------------------------------------------------

    @precondition(lambda self: self.composing is None and not self.store.errors)
    @rule(path=st.sampled_from([*DOCUMENTS]))
    def begin_slowly(self, path: str) -> None:
        """Begin to read; what was read is held back if something has to be read at all."""
        self.look()  # so that nothing else is composed now
        gate, first = self.store.hold("fetch", after=True), self.first_state()

        async def begin() -> "asyncio.Task[Reply]":
            task = asyncio.create_task(self.app.get(path, cache_control="no-cache"))
            reached = asyncio.create_task(gate.reached.wait())
            await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
            reached.cancel()
            return task

        task = self.run(begin())
        self.store.late_gates.pop("fetch")
        self.composing = (path, first, gate, task)
        # others do not wait for it after a change, whatever has changed
        self.run(self.behind.save(bundle("unrelated", first=1, last=1)))
        self.look()

    @precondition(lambda self: self.composing is not None)
    @rule()
    def end_slowly(self) -> None:
        assert self.composing is not None
        path, first, gate, task = self.composing
        gate.open()
        self.check(self.run(task), path, first)
        self.composing = None
        self.settle()

    # --- watchers -----------------------------------------------------------------------------

    @rule(path=st.sampled_from([*DOCUMENTS]))
    def watch(self, path: str) -> None:
        reply = self.ask(path)
        if reply.status != 200 or len(self.watchers) > 8:
            return

        async def hold() -> "asyncio.Task[Reply]":
            return self.app.hold(path, reply.tag)

        self.watchers.append(Watcher(path, value_of(reply), self.run(hold())))
        self.settle()

    def settle(self) -> None:
        """Let the server do what is due, and look at the watchers."""
        self.run(self._settle())
        waiting: list[Watcher] = []
        for one in self.watchers:
            if not one.task.done():
                waiting.append(one)
                continue
            reply = one.task.result()
            assert reply.status != 304, "a wake without a change"
            assert reply.status in {503, 404, 500} or value_of(reply) != one.value
        self.watchers = waiting

    async def _settle(self) -> None:
        live, held = self.app.live, int(self.composing is not None)
        quiet = 0
        while quiet < 20:
            await asyncio.sleep(0)
            is_busy = live.watching._due or len(live.answers._flights._running) > held
            quiet = 0 if is_busy else quiet + 1

    @invariant()
    def no_change_is_missed(self) -> None:
        """What is known to have changed has ended its waits, or is tried again in a moment."""
        if self.noticed != self.latest or self.app.live.feeds.is_down or self.composing:
            return
        live = self.app.live
        tried_again = [
            entry.request
            for entry in live.answers.cache
            if isinstance(entry.error, BackendUnavailableError)
        ]
        late = sum(
            not one.task.done() and value_in(self.states[-1], one.path) not in {one.value, 500}
            for one in self.watchers
        )
        assert late <= sum(len(live.watching._waiters.get(one, ())) for one in tried_again)

    async def _all_answered(self) -> None:
        """Return when each request that was woken is answered, which may take a thread."""
        await self._settle()
        deadline = time.perf_counter() + PATIENCE
        while self.app.live.watching.count != sum(not one.task.done() for one in self.watchers):
            if time.perf_counter() > deadline:
                return
            await asyncio.sleep(0)

    @invariant()
    def nothing_leaks(self) -> None:
        watching = self.app.live.watching
        self.run(self._all_answered())
        assert watching.count == sum(not one.task.done() for one in self.watchers)
        assert watching.count == sum(len(one) for one in watching._waiters.values())


@pytest.mark.slow
def test_answers_of_one_process() -> None:
    class Case(Live.TestCase):
        settings = settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            report_multiple_bugs=False,
            phases=[Phase.reuse, Phase.generate],
        )

    Case().runTest()
