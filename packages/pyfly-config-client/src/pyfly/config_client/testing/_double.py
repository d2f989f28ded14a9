"""The server in memory, its scripted faults, and clients for it."""

import asyncio
import base64
import contextlib
import difflib
import hashlib
import json
from collections.abc import Coroutine, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar, get_args
from urllib.parse import urlsplit

from pyfly.config_client._client import ConfigClient, SyncConfigClient
from pyfly.config_client._loading.answer import Answer
from pyfly.config_client._loading.effects import Send
from pyfly.config_client._setup import doubles
from pyfly.config_client.errors import ServerUnreachableError
from pyfly.config_core import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    FlatValue,
    JsonValue,
    copy_properties,
    flatten,
)

# The one place where the client's package imports the server's.
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Controller,
    HttpRequest,
    InMemoryConfigBackend,
)

T = TypeVar("T")

Fault: TypeAlias = Literal["down", "slow", "torn", "stale", "401"]
"""Refuses connections; answers too late; breaks off; repeats what it said; wants a credential."""

_OVERRIDES: Final = "overrides"
_CONDITION: Final = "If-None-Match"
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_UNAUTHORIZED: Final = 401


class ConfigServerDouble:
    """A configuration server without a network; a context manager.

    Inside of the block every client without a transport of its own asks it, whatever address
    that client was given; the base path is `/config`, as it is by default.
    """

    url: Final = "http://config-server.invalid"

    def __init__(self) -> None:
        self.requests: Final[list[str]] = []
        """The addresses that clients have asked for, the newest last."""
        self._stored = InMemoryConfigBackend()
        self._overrides: dict[str, FlatValue] = {}
        self._fault: Fault | None = None
        self._said: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        doubles.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        doubles.remove(self)

    def put(
        self,
        application: str,
        profile: str,
        properties: Mapping[str, JsonValue],
        *,
        label: str = DEFAULT_LABEL,
    ) -> None:
        """Store a bundle, replacing what is there."""
        source = ConfigSource(
            application=application, profile=profile, label=label, properties=properties
        )
        _finish(self._stored.save(source))

    @contextlib.contextmanager
    def override(self, properties: Mapping[str, object]) -> Generator[None]:
        """Let these properties outrank everything stored, for every application.

        Values keep their types, as stored ones do.

        Raises:
            ConfigFormatError: The tree is too deep, too large, or of other types than JSON has.
        """
        before = self._overrides
        self._overrides = before | flatten(copy_properties(properties))
        try:
            yield
        finally:
            self._overrides = before

    @contextlib.contextmanager
    def fault(self, kind: Fault) -> Generator[None]:
        """Fail in one way; see `Fault`. Clients see it at once: nobody waits or repeats.

        Raises:
            ValueError: There is no such fault.
        """
        _check_fault(kind)
        before, self._fault = self._fault, kind
        try:
            yield
        finally:
            self._fault = before

    def client(
        self, application: str, profile: str = DEFAULT_PROFILE, **arguments: Any
    ) -> SyncConfigClient:
        """Return a client of this server, which does not repeat what fails."""
        return SyncConfigClient(**self._arguments(application, profile, arguments))

    def async_client(
        self, application: str, profile: str = DEFAULT_PROFILE, **arguments: Any
    ) -> ConfigClient:
        """Return the same for asyncio."""
        return ConfigClient(**self._arguments(application, profile, arguments))

    def answer(self, send: Send) -> Answer:
        """Answer a request at once, or fail as told."""
        url = send.request.url
        self.requests.append(url)
        if self._fault == "down":
            host = urlsplit(url).netloc
            raise ServerUnreachableError(
                f"{url}: connection refused by {host}; is the server running there?"
            )
        if self._fault == "slow":
            raise ServerUnreachableError(f"{url}: no whole answer within {send.timeout:.2g} s")
        if self._fault == "401":
            return Answer(status=_UNAUTHORIZED, headers={}, body=b"")
        if self._fault == "stale" and url in self._said:
            return self._said[url]
        answer = self._ask(url, send)
        if answer.status == _OK:
            self._said[url] = answer
        if self._fault == "torn":
            half = answer.body[: len(answer.body) // 2]
            return Answer(status=answer.status, headers=answer.headers, body=half)
        return answer

    def _ask(self, url: str, send: Send) -> Answer:
        controller = Controller(ConfigServer(self._stored), auth=None)
        headers = {**send.request.headers, **send.headers}
        known = headers.pop(_CONDITION, None) if self._overrides else None
        request = HttpRequest(
            method="GET",
            raw_path=urlsplit(url).path.encode(),
            headers=[(name.lower().encode(), value.encode()) for name, value in headers.items()],
        )
        done = _finish(controller.handle(request))
        named = {name.decode(): value.decode() for name, value in done.headers}
        answer = Answer(status=done.status, headers=named, body=done.body)
        if not self._overrides or answer.status != _OK:
            return answer
        answer = _overridden(answer, self._overrides)
        if answer.headers["etag"] == known:
            return Answer(status=_NOT_MODIFIED, headers=answer.headers, body=b"")
        return answer

    def _arguments(
        self, application: str, profile: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        names = {"server_url": self.url, "application": application, "profile": profile}
        return {**names, "attempts": 1, **arguments}


def _overridden(answer: Answer, overrides: Mapping[str, FlatValue]) -> Answer:
    """Return a document with one more source, above all others."""
    document = json.loads(answer.body)
    document["propertySources"].insert(0, {"name": _OVERRIDES, "source": dict(overrides)})
    body = json.dumps(document).encode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    headers = dict(answer.headers) | {"content-digest": f"sha-256=:{digest}:"}
    headers |= {"content-length": str(len(body)), "etag": f'"{digest}"'}
    return Answer(status=answer.status, headers=headers, body=body)


def _check_fault(kind: str) -> None:
    known = get_args(Fault)
    if kind not in known:
        close = difflib.get_close_matches(kind, known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"there is no fault {kind!r}, only {', '.join(known)}{hint}")


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine, also where an event loop runs; nothing here waits."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
