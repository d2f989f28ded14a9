"""A configuration server in memory, for the tests of programs that use a client.

There is no port and no wait: requests go straight to the controller of the server, which comes
with `pyfly-config-core`. While a `FakeConfigServer` is active it replaces
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
from collections.abc import Callable, Coroutine, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
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
`stale`: repeats its last response. `401`: requires a credential."""

_SEAM: Final = "make_transport"
"""The method that is replaced; `ClientConfig.make_transport` documents that."""
_OVERRIDES: Final = "overrides"
_CONDITION: Final = "If-None-Match"
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
    """An exchange that sends nothing: the fake answers at once."""

    def __init__(self, server: "FakeConfigServer", request: HttpRequest) -> None:
        self._server = server
        self._request = request

    def run(self) -> HttpResponse:
        """Return the response, or raise the error of a fault."""
        return self._server.respond(self._request)

    def abort(self) -> None:
        """Do nothing, because `run` does not wait."""


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

    def __enter__(self) -> Self:
        _active.append(self)
        setattr(ClientConfig, _SEAM, _make_fake_transport)
        refresh_live_values()
        return self

    def __exit__(self, *_: object) -> None:
        newest = max(place for place, one in enumerate(_active) if one is self)
        del _active[newest]  # an outer block of the same server goes on
        if not _active:
            setattr(ClientConfig, _SEAM, _make_transport)
        refresh_live_values()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the response to a request, or raise the error of a fault; see `Transport`."""
        return self.respond(request)

    def start(self, request: HttpRequest) -> Exchange:
        """Return an exchange for a request; see `Transport`."""
        return _FakeExchange(self, request)

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
        refresh_live_values()

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
            refresh_live_values()
            yield
        finally:
            self._overrides = before
            refresh_live_values()

    @contextlib.contextmanager
    def fault(self, kind: Fault) -> Generator[None]:
        """Inside the block, fail in one way; see `Fault`. Clients neither wait nor repeat.

        Raises:
            ValueError: There is no such fault.
        """
        _check_fault(kind)
        before, self._fault = self._fault, kind
        try:
            yield
        finally:
            self._fault = before
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

    def respond(self, request: HttpRequest) -> HttpResponse:
        """Return the response to a request, or raise the error of a fault; never waits."""
        url = request.url
        self.requests.append(url)
        if self._fault == "down":
            host = urlsplit(url).netloc
            raise ServerUnreachableError(
                f"{url}: connection refused by {host}; check that the server is running"
            )
        if self._fault == "slow":
            raise late_response(url, request.timeout)
        if self._fault == "401":
            return HttpResponse(status=_UNAUTHORIZED, headers={}, body=b"")
        if self._fault == "stale" and url in self._last:
            return self._last[url]
        response = self._ask(request)
        if response.status == _OK:
            self._last[url] = response
        if self._fault == "torn":
            half = response.body[: len(response.body) // 2]
            return HttpResponse(status=response.status, headers=response.headers, body=half)
        return response

    def _ask(self, request: HttpRequest) -> HttpResponse:
        controller = Controller(ConfigServer(self._stored), auth=None)
        headers = dict(request.headers)
        known = headers.pop(_CONDITION, None) if self._overrides else None
        asked = ServerRequest(
            method="GET",
            raw_path=urlsplit(request.url).path.encode(),
            headers=[(name.lower().encode(), value.encode()) for name, value in headers.items()],
        )
        done = _finish(controller.handle(asked))
        type_name = {name.decode(): value.decode() for name, value in done.headers}
        response = HttpResponse(status=done.status, headers=type_name, body=done.body)
        if not self._overrides or response.status != _OK:
            return response
        response = _overridden(response, self._overrides)
        if response.headers["etag"] == known:
            return HttpResponse(status=_NOT_MODIFIED, headers=response.headers, body=b"")
        return response

    def _arguments(
        self, application: str, profile: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        names = {"server_url": self.url, "application": application, "profile": profile}
        return {**names, "attempts": 1, "transport": self, **arguments}


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
