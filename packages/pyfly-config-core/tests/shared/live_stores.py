"""A store whose calls a test controls, and helpers for the tests of the live layer."""

import asyncio
import builtins
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from pyfly.config_core import DEFAULT_LABEL, BackendUnavailableError
from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    ConfigSource,
    InMemoryConfigBackend,
    LiveOptions,
)
from pyfly.config_server.live import LiveDocuments
from pyfly.config_server.storage import (
    ConfigBackend,
    SupportsBatchFetch,
    SupportsChangeHints,
    WrapperBackend,
)

A = TypeVar("A")

DEADLINE = 30.0
SELDOM = LiveOptions(max_staleness=1_000)
"""The store is looked at when a test says so."""


class Gate:
    """Holds calls until the test opens it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def pass_through(self) -> None:
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


class ControlledStore(WrapperBackend):
    """A store whose calls can be held, counted, and made to fail; by default without hints."""

    def __init__(
        self,
        backend: ConfigBackend | None = None,
        *,
        lacking: tuple[type, ...] = (SupportsChangeHints,),
    ) -> None:
        super().__init__(backend or InMemoryConfigBackend())
        self.lacking = {*lacking, SupportsBatchFetch}  # `fetch` is the one way to read
        self.calls: Counter[str] = Counter()
        self.errors: dict[str, Exception] = {}
        self.gates: dict[str, Gate] = {}
        self.late_gates: dict[str, Gate] = {}

    def ability(self, kind: type[A]) -> A | None:
        found = super().ability(kind)
        return None if found is None or kind in self.lacking else cast("A", _Calls(self, found))

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        await self.begin("fetch")
        found = await self.wrapped.fetch(application, profile, label)
        await self.end("fetch")
        return found

    async def save(self, source: ConfigSource) -> None:
        await self.begin("save")
        await self.wrapped.save(source)
        await self.end("save")

    async def list(self) -> builtins.list[ConfigSource]:
        await self.begin("list")
        return await self.wrapped.list()

    async def begin(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.gates:
            await self.gates[name].pass_through()
        error = self.errors.get(name) or self.errors.get("*")
        if error is not None:
            raise error

    async def end(self, name: str) -> None:
        if name in self.late_gates:
            await self.late_gates[name].pass_through()

    def hold(self, name: str, *, after: bool = False) -> Gate:
        """Hold calls before the store is asked, or when it has answered."""
        gate = Gate()
        (self.late_gates if after else self.gates)[name] = gate
        return gate

    def release(self, name: str) -> None:
        """Let held and later calls pass."""
        for gates in (self.gates, self.late_gates):
            gate = gates.pop(name, None)
            if gate is not None:
                gate.open()

    def take_away(self) -> None:
        self.errors["*"] = BackendUnavailableError("the store is away")

    def bring_back(self) -> None:
        del self.errors["*"]


class _Calls:
    """Passes the calls of one ability through the controls of a store."""

    def __init__(self, store: ControlledStore, found: object) -> None:
        self._store = store
        self._found = found

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._found, name)
        if name in {"keys", "resources", "hints", "aclose"}:
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._store.begin(name)
            result = await method(*arguments, **named)
            await self._store.end(name)
            return result

        return call


class Reply:
    """The response to one request."""

    def __init__(self, messages: list[Any]) -> None:
        self.status: int = messages[0]["status"]
        self.headers: dict[bytes, bytes] = dict(messages[0]["headers"])
        self.body: bytes = b"".join(message["body"] for message in messages[1:])

    @property
    def tag(self) -> str:
        return self.headers[b"etag"].decode()

    @property
    def is_stale(self) -> bool:
        return b"x-config-stale" in self.headers

    @property
    def sources(self) -> list[dict[str, Any]]:
        return [one["source"] for one in json.loads(self.body)["propertySources"]]


class Application:
    """A server with its live layer, asked over ASGI."""

    def __init__(
        self, *backends: ConfigBackend, live: LiveOptions | None = SELDOM, **options: Any
    ) -> None:
        self.server = ConfigServer(*backends, **options)
        self.app = ConfigServerApp(self.server, auth=None, live=live)

    @property
    def live(self) -> LiveDocuments:
        assert self.app.live is not None
        return self.app.live

    async def get(self, target: str, **headers: str) -> Reply:
        return await ask(self.app, target, **headers)

    def hold(
        self, target: str, tag: str, *, wait: int = 300, receive: Any = None
    ) -> "asyncio.Task[Reply]":
        """Return the task of a request that waits for a change."""
        headers = {"if_none_match": tag, "prefer": f"wait={wait}"}
        return asyncio.create_task(ask(self.app, target, receive=receive, **headers))

    async def held(self, number: int = 1) -> None:
        """Return when so many requests are held."""
        await until(lambda: self.live.watching.count == number)

    async def look(self) -> None:
        """Return after a look at all stores that begins now."""
        await self.live.feeds.look(fresh=True)

    async def aclose(self) -> None:
        await self.app.aclose()


async def ask(app: Any, target: str, *, receive: Any = None, **headers: str) -> Reply:
    path, _, query = target.partition("?")
    sent: list[Any] = []
    answered = asyncio.Event()

    async def stay() -> Any:
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }
    try:
        await app(scope, receive or stay, send)
    finally:
        answered.set()
    return Reply(sent)


def bundle(
    application: str = "orders", profile: str = "prod", label: str = "main", **properties: Any
) -> ConfigSource:
    return ConfigSource(
        application=application, profile=profile, label=label, properties=properties
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - nobody announces this condition
            await asyncio.sleep(0.001)


async def soon(work: Coroutine[Any, Any, A] | asyncio.Future[A]) -> A:
    """Return the result, which takes no long time unless something is wrong."""
    async with asyncio.timeout(DEADLINE):
        return await work
