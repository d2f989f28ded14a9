"""A server whose answers to every principal are compared with the access matrix."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from access_principals import ONLY_ORDERS, PRINCIPALS, Badges
from access_requests import (
    NAMES,
    ROWS,
    Asked,
    Kind,
    Subject,
    is_allowed,
    may_open,
    requests,
)

from pyfly.config_server import (
    ConfigBackend,
    ConfigServer,
    ConfigServerApp,
    HealthSettings,
    LiveOptions,
)


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Served:
    """A server, asked as an ASGI application."""

    def __init__(self, server: ConfigServer, badges: Badges, live: LiveOptions | None) -> None:
        self.badges = badges
        self.app = ConfigServerApp(server, auth=badges, health=HealthSettings(), live=live)
        self.is_live = live is not None
        self.store = server.bundles.backend
        self.entries = server.bundles.entries

    async def ask(self, principal: str, target: str, method: str = "GET", **headers: str) -> Answer:
        path, _, query = target.partition("?")
        sent: list[Any] = []

        async def receive() -> Any:
            if method == "GET":
                await asyncio.sleep(60)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        fields = {"authorization": f"Bearer {principal}", "host": "localhost", **headers}
        await self.app(
            {
                "type": "http",
                "method": method,
                "path": path,
                "raw_path": path.encode(),
                "root_path": "",
                "query_string": query.encode(),
                "headers": [
                    (name.replace("_", "-").encode(), text.encode())
                    for name, text in fields.items()
                ],
            },
            receive,
            send,
        )
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), body)


@asynccontextmanager
async def served(store: ConfigBackend, *, live: LiveOptions | None) -> AsyncGenerator[Served]:
    """Serve a store, and close it."""
    async with ConfigServer(store) as server:
        asks = Served(server, Badges(), live)
        async with asks.app:
            yield asks


async def wrong_answers(server: Served, kind: Kind, *, is_away: bool = False) -> list[str]:
    """Return every difference from the matrix, as text.

    Args:
        server: The server to ask.
        kind: What is known about its store.
        is_away: True while the store is unavailable: then 503 takes the place of any answer.
    """
    ids = {asked.endpoint.id for asked in requests(kind)}
    assert ids == ROWS.keys(), "each endpoint has a row that says what it decides on"
    wrong: list[str] = []
    for asked in requests(kind):
        method = asked.endpoint.method
        # twice: then an answer of the live layer is ready for whoever may have it
        whole = [await server.ask("admin", asked.target, method) for _ in range(2)][1]
        tag = whole.headers.get(b"etag", b'"x"').decode()
        opens = kind.has_files and whole.status == 200
        for principal in PRINCIPALS:
            allowed = is_allowed(principal, asked, kind) and (
                not opens or may_open(principal, asked)
            )
            asks = _requests(method, tag, allowed=allowed, is_live=server.is_live)
            for verb, headers in asks:
                request = server.ask(principal, asked.target, verb, **headers)
                got = await asyncio.wait_for(request, 30)
                if not _fits(got, kind, asked, allowed=allowed, is_away=is_away):
                    wrong.append(f"{principal}: {verb} {asked.target}: {got.status}")
                wrong += _leaks(principal, asked, got, whole)
    return wrong


def _requests(
    method: str, tag: str, *, allowed: bool, is_live: bool
) -> list[tuple[str, dict[str, str]]]:
    """Return methods and headers: what one may not see, one may neither compare nor wait for."""
    condition = {"if_none_match": tag}
    if method != "GET" or not is_live:
        return [(method, {})]
    if allowed:
        return [("GET", {}), ("GET", condition)]
    return [
        ("GET", {}),
        ("HEAD", {}),
        ("GET", condition),
        ("GET", condition | {"prefer": "wait=60"}),
    ]


def _fits(got: Answer, kind: Kind, asked: Asked, *, allowed: bool, is_away: bool) -> bool:
    if is_away and got.status == 503:
        return True
    if ROWS[asked.endpoint.id][0] in {Subject.DOCUMENT, Subject.FILE} and kind.refuses(asked.names):
        return got.status in {400, 403}
    return (got.status == 403) is not allowed


def _leaks(principal: str, asked: Asked, got: Answer, whole: Answer) -> Iterator[str]:
    """Yield what an answer tells that the principal may not know."""
    told = got.body + repr(got.headers).encode()
    if got.status == 403:
        if b"etag" in got.headers or re.search(rb"canary|x-config", told):
            yield f"{principal}: {asked}: {got}"
        names = {one for names in NAMES for one in names.applications.split(",")}
        for name in names - {"orders", "application"}:
            if name.encode() in got.body and name not in asked.target:
                yield f"{principal}: {asked}: names {name}"
    is_document = ROWS[asked.endpoint.id][0] in {Subject.DOCUMENT, Subject.FILE}
    if got.status == 200 and got.body and is_document and got.body != whole.body:
        yield f"{principal}: {asked}: another document"
    if principal in ONLY_ORDERS and re.search(rb"canary-(billing|orders-service)", told):
        yield f"{principal}: {asked}: {told!r}"
