"""A configuration server in memory, for the tests of programs that use a client.

There is no port: requests go straight to the controller of the server, which comes with
`pyfly-config-core`. Nothing waits, except requests of watchers, which are held until something
changes. While a `FakeConfigServer` is active it replaces
`ClientConfig.make_transport`, so clients that the tested program makes by itself use it, too.
Neither the client nor the program needs code for that. A replaced method reaches every thread,
event loop and existing client; a context variable would reach only the contexts that were
created after it was set.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar, get_args
from urllib.parse import urlsplit

from pyfly.config_client._client import ConfigClient, SyncConfigClient
from pyfly.config_client._config import ClientConfig
from pyfly.config_client._live_values import refresh_live_values
from pyfly.config_client.errors import ServerUnreachableError, closest, late_response
from pyfly.config_client.transport import Exchange, HttpRequest, HttpResponse, Transport
from pyfly.config_core import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    FlatValue,
    JsonValue,
    copy_properties,
    flatten,
)

# The only module of the client that imports the server.
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    InMemoryConfigBackend,
)
from pyfly.config_server import HttpRequest as ServerRequest

__all__ = ["FakeConfigServer", "Fault"]

T = TypeVar("T")

Fault: TypeAlias = Literal["down", "slow", "torn", "stale", "401"]
"""`down`: refuses connections. `slow`: responds after the timeout. `torn`: sends half of the body.
`stale`: repeats its last response, marked, as a server whose store is down. `401`: requires a
credential."""

_SEAM: Final = "make_transport"
"""The method that is replaced; `ClientConfig.make_transport` documents that."""
_OVERRIDES: Final = "overrides"
_CONDITION: Final = "If-None-Match"
_STALE: Final = "60"
"""The seconds in the responses of a server that cannot read its store."""
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_UNAUTHORIZED: Final = 401

_active: Final["list[FakeConfigServer]"] = []
_make_transport: Final[Callable[[ClientConfig], Transport]] = ClientConfig.make_transport


def _make_fake_transport(config: ClientConfig) -> Transport:
    """Stand in for `ClientConfig.make_transport`: the newest active fake answers."""
    newest = _active[-1:]  # another thread may end the last one at any moment
    return newest[0] if newest and config.transport is None else _make_transport(config)


class _FakeExchange:
    """An exchange that sends nothing: the fake answers at once, or holds the request."""

    def __init__(self, held: "_HeldRequests", request: HttpRequest) -> None:
        self._held = held
        self._request = request
        self._news: Future[bool] | None = None
        self._aborted = False

    def run(self) -> HttpResponse:
        """Return the response, or raise the error of a fault."""
        request = self._request
        until = time.monotonic() + _wait_of(request)
        response, self._news = self._held.begin(request)
        while self._news is not None and not self._aborted:
            try:
                look = self._news.result(max(until - time.monotonic(), 0.0))
            except TimeoutError:
                break
            finally:
                self._held.forget(self._news)
            response, self._news = self._held.begin(request, hold=look)
        if self._aborted:
            raise ServerUnreachableError(f"{request.url}: the exchange was ended")
        return response

    def abort(self) -> None:
        """End a wait."""
        self._aborted = True
        if self._news is not None:
            _tell(self._news, look=False)


class _HeldRequests:
    """The requests of watchers that are held.

    Every one has a future. Its result is true if the request is to be held on unless its response
    is another one now, and false if it is to be answered.
    """

    def __init__(self, respond: Callable[[HttpRequest], HttpResponse]) -> None:
        self._respond = respond
        self._all: set[Future[bool]] = set()
        self._lock = threading.Lock()

    def begin(
        self, request: HttpRequest, *, hold: bool = True
    ) -> tuple[HttpResponse, Future[bool] | None]:
        """Return the response of now, and the future if the request is held."""
        news: Future[bool] = Future()
        with self._lock:
            self._all.add(news)  # first, so that no change is missed
        try:
            response = self._respond(request)
        except BaseException:
            self.forget(news)
            raise
        is_stale = "x-config-stale" in response.headers  # a test must not wait to see that
        if hold and response.status == _NOT_MODIFIED and _wait_of(request) and not is_stale:
            return response, news
        self.forget(news)
        return response, None

    def forget(self, news: Future[bool]) -> None:
        """Hold a request no longer."""
        with self._lock:
            self._all.discard(news)

    def tell(self, *, look: bool) -> None:
        """Look at the responses again, or end all waits."""
        with self._lock:
            found = tuple(self._all)
        for one in found:
            _tell(one, look=look)


def _tell(news: Future[bool], *, look: bool) -> None:
    with contextlib.suppress(InvalidStateError):  # it was told already
        news.set_result(look)


def _wait_of(request: HttpRequest) -> float:
    """Return the seconds that a request may be held."""
    preference = request.headers.get("Prefer", "")
    return float(preference.removeprefix("wait=") or 0) if _CONDITION in request.headers else 0.0


class FakeConfigServer:
    """A configuration server without a network; a context manager, and a `Transport`.

    Inside the block it answers every client that has no transport of its own, whatever address
    that client was given. The base path is `/config`, the default. Of several active fakes, the
    one that was entered last answers.
    """

    url: Final = "http://config-server.invalid"
    in_memory = True
    tells_changes = True
    """Live values need no watcher: they have followed a change when the call that made it ends."""

    def __init__(self) -> None:
        self.requests: Final[list[str]] = []
        """The addresses that clients requested, the newest last."""
        self._stored = InMemoryConfigBackend()
        self._overrides: dict[str, FlatValue] = {}
        self._fault: Fault | None = None
        self._last: dict[str, HttpResponse] = {}
        self._held = _HeldRequests(self._respond)

    def __enter__(self) -> Self:
        _active.append(self)
        setattr(ClientConfig, _SEAM, _make_fake_transport)
        for one in _active:  # its watchers ask this server from now on
            one.end_waits()
        refresh_live_values()
        return self

    def __exit__(self, *_: object) -> None:
        newest = max(place for place, one in enumerate(_active) if one is self)
        del _active[newest]  # an outer block of the same server goes on
        if not _active:
            setattr(ClientConfig, _SEAM, _make_transport)
        self.end_waits()
        refresh_live_values()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the response to a request, or raise the error of a fault; see `Transport`."""
        self.requests.append(request.url)
        response, news = self._held.begin(request)
        until = time.monotonic() + _wait_of(request)
        while news is not None:
            try:
                async with asyncio.timeout(max(until - time.monotonic(), 0.0)):
                    look = await asyncio.wrap_future(news)
            except TimeoutError:
                break
            finally:
                self._held.forget(news)
            response, news = self._held.begin(request, hold=look)
        return response

    def start(self, request: HttpRequest) -> Exchange:
        """Return an exchange for a request; see `Transport`."""
        self.requests.append(request.url)
        return _FakeExchange(self._held, request)

    def end_waits(self) -> None:
        """Answer all requests of watchers that are held, as a server does after their wait."""
        self._held.tell(look=False)

    def put(
        self,
        application: str,
        profile: str,
        properties: Mapping[str, JsonValue],
        *,
        label: str = DEFAULT_LABEL,
    ) -> None:
        """Store a bundle. Replaces the stored one."""
        source = ConfigSource(
            application=application, profile=profile, label=label, properties=properties
        )
        _finish(self._stored.save(source))
        self._changed()

    @contextlib.contextmanager
    def override(self, properties: Mapping[str, object]) -> Generator[None]:
        """Inside the block, these properties take precedence over all stored ones.

        They apply to every application. Values keep their types.

        Raises:
            ConfigFormatError: The tree is too deep, too large, or of other types than JSON has.
        """
        before = self._overrides
        self._overrides = before | flatten(copy_properties(properties))
        try:
            self._changed()
            yield
        finally:
            self._overrides = before
            self._changed()

    @contextlib.contextmanager
    def fault(self, kind: Fault) -> Generator[None]:
        """Inside the block, fail in one way; see `Fault`. Clients do not repeat a fetch.

        The waits of watchers end where the block begins and where it ends.

        Raises:
            ValueError: There is no such fault.
        """
        _check_fault(kind)
        before, self._fault = self._fault, kind
        self.end_waits()
        try:
            yield
        finally:
            self._fault = before
            self.end_waits()
            refresh_live_values()

    def client(
        self, application: str, profile: str = DEFAULT_PROFILE, **arguments: Any
    ) -> SyncConfigClient:
        """Return a client of this server that makes one attempt; also outside the block."""
        return SyncConfigClient(**self._arguments(application, profile, arguments))

    def async_client(
        self, application: str, profile: str = DEFAULT_PROFILE, **arguments: Any
    ) -> ConfigClient:
        """Return a client of this server that makes one attempt, for asyncio; see `client`."""
        return ConfigClient(**self._arguments(application, profile, arguments))

    def _changed(self) -> None:
        self._held.tell(look=True)
        refresh_live_values()

    def _respond(self, request: HttpRequest) -> HttpResponse:
        """Return the response of now, or raise the error of a fault."""
        url = request.url
        if self._fault == "down":
            host = urlsplit(url).netloc
            raise ServerUnreachableError(
                f"{url}: connection refused by {host}; check that the server is running"
            )
        if self._fault == "slow":
            raise late_response(url, request.timeout)
        if self._fault == "401":
            return HttpResponse(status=_UNAUTHORIZED, headers={}, body=b"")
        is_stale = self._fault == "stale"
        response = self._last[url] if is_stale and url in self._last else self._ask(request)
        if response.status == _OK:
            self._last[url] = response
        if self._fault == "torn":
            half = response.body[: len(response.body) // 2]
            return HttpResponse(status=response.status, headers=response.headers, body=half)
        more = {"x-config-stale": _STALE} if is_stale else {}
        if "Prefer" in request.headers:
            more["preference-applied"] = request.headers["Prefer"]
        is_known = response.headers.get("etag") == request.headers.get(_CONDITION, "")
        return HttpResponse(
            status=_NOT_MODIFIED if is_known else response.status,
            headers={**response.headers, **more},
            body=b"" if is_known else response.body,
        )

    def _ask(self, request: HttpRequest) -> HttpResponse:
        """Return the whole response to a request without a condition."""
        url = urlsplit(request.url)
        response = _ask(self._stored, url.path, url.query, request.headers)
        if not self._overrides or response.status != _OK:
            return response
        overrides = self._overrides
        if url.query:
            overrides = _selected(overrides, url.query)
        return _overridden(response, overrides)

    def _arguments(
        self, application: str, profile: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        names = {"server_url": self.url, "application": application, "profile": profile}
        return {**names, "attempts": 1, "transport": self, **arguments}


def _ask(
    stored: InMemoryConfigBackend, path: str, query: str, headers: Mapping[str, str]
) -> HttpResponse:
    asked = ServerRequest(
        method="GET",
        raw_path=path.encode(),
        query=query.encode(),
        headers=[
            (name.lower().encode(), value.encode())
            for name, value in headers.items()
            if name != _CONDITION
        ],
    )
    done = _finish(Controller(ConfigServer(stored), auth=None).handle(asked))
    return HttpResponse(
        status=done.status,
        headers={name.decode(): value.decode() for name, value in done.headers},
        body=done.body,
    )


def _selected(properties: Mapping[str, FlatValue], query: str) -> dict[str, FlatValue]:
    """Return the properties that a query selects, as the server does it."""
    stored = InMemoryConfigBackend()
    source = ConfigSource(application=_OVERRIDES, profile=DEFAULT_PROFILE, properties=properties)
    _finish(stored.save(source))
    response = _ask(stored, f"/config/{_OVERRIDES}/{DEFAULT_PROFILE}", query, {})
    found: dict[str, FlatValue] = json.loads(response.body)["propertySources"][0]["source"]
    return found


def _overridden(response: HttpResponse, overrides: Mapping[str, FlatValue]) -> HttpResponse:
    """Return a response whose document has one more source, above all others."""
    document = json.loads(response.body)
    document["propertySources"].insert(0, {"name": _OVERRIDES, "source": dict(overrides)})
    body = json.dumps(document).encode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    headers = dict(response.headers) | {"content-digest": f"sha-256=:{digest}:"}
    headers |= {"content-length": str(len(body)), "etag": f'"{digest}"'}
    return HttpResponse(status=response.status, headers=headers, body=body)


def _check_fault(kind: str) -> None:
    kinds = get_args(Fault)
    if kind not in kinds:
        near = closest(kind, kinds)
        hint = f"; did you mean {near!r}?" if near else ""
        raise ValueError(f"unknown fault {kind!r}; the faults are {', '.join(kinds)}{hint}")


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine, also if an event loop runs in this thread."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
