"""The live layer answers any request as the server without it, from memory too."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_stores import SELDOM, ControlledStore, bundle

from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    HostPolicy,
    HttpError,
    HttpRequest,
    InMemoryConfigBackend,
    LiveOptions,
    Principal,
    Right,
    Rule,
    SharedCredential,
)
from pyfly.config_server.http import hot_path
from pyfly.config_server.http.authentication import unauthorized

Header = tuple[bytes, bytes]
_TAG = b"<tag>"
"""Stands for the entity tag of the answer."""


# --- servers ----------------------------------------------------------------------------------


class Tokens:
    """Grants the rights that a token names: `Bearer read files`. Any other header is refused."""

    scheme = "bearer"

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        words = (authorization or b"").split()
        if not words or words[0] != b"Bearer":
            return None
        try:
            rights = frozenset(Right(word.decode("latin-1")) for word in words[1:])
        except ValueError:
            return None
        return Principal(name="token", rules=tuple(Rule.everything({right}) for right in rights))

    async def authenticate(self, request: HttpRequest) -> Principal:
        principal = self.principal_of(request.header(b"authorization"))
        if principal is None:
            raise unauthorized(b"Bearer")
        return principal


class Password:
    """Looks at another header, so only `authenticate` knows."""

    scheme = "basic"

    async def authenticate(self, request: HttpRequest) -> Principal:
        if request.header(b"x-password") != b"p":
            raise HttpError(401, "unauthorized")
        return Principal(name=None, rules=(Rule.everything({Right.READ}),))


POLICIES: dict[str, dict[str, Any]] = {
    "open": {"auth": None},
    "hosts": {"auth": None, "hosts": HostPolicy(allowed=frozenset({"config.example"}))},
    "bearer": {"auth": SharedCredential.bearer("t")},
    "basic": {"auth": SharedCredential.basic(username="u", password="p")},
    "tokens": {"auth": Tokens(), "hosts": HostPolicy()},
    "password": {"auth": Password()},
}


async def stored(store: InMemoryConfigBackend) -> None:
    properties: dict[str, Any] = {"db.url": "${host}/é", "db.size": 1, "host": "h", "a": True}
    await store.save(bundle(**properties))
    await store.save(bundle("application", "-", n=1))
    await store.save(bundle("or_ders", "prod", "a/b", n=1))
    store.put_resource("main", "nginx.conf", b"server ${host};")
    store.put_resource("main", "dir/logo.bin", bytes(range(256)))


class Pair:
    """The same server with and without the live layer."""

    def __init__(self, policy: str, live: LiveOptions = SELDOM) -> None:
        store = InMemoryConfigBackend()
        self.runner = asyncio.Runner()
        self.runner.run(stored(store))
        server = ConfigServer(store)
        self.live = ConfigServerApp(server, live=live, **POLICIES[policy])
        self.plain = ConfigServerApp(server, live=None, **POLICIES[policy])

    def close(self) -> None:
        self.runner.run(self.live.aclose())
        self.runner.close()

    def check(self, head: "Head") -> None:
        self.runner.run(self._check(head))

    async def _check(self, head: "Head") -> None:
        known = await _ask(self.plain, head.scope(_TAG))
        tag = dict(known[1]).get(b"etag", b'"none"')
        scope = head.scope(tag)
        expected = await _ask(self.plain, scope)
        for _ in range(3):
            assert await _ask(self.live, scope) == expected, scope


async def _ask(app: ConfigServerApp, scope: dict[str, Any]) -> tuple[int, list[Header], bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *bodies = sent
    body = b"".join(message["body"] for message in bodies)
    headers = [field for field in start["headers"] if field[0] != b"x-request-id"]
    return start["status"], headers, re.sub(rb'"timestamp":"[^"]*"', b"", body)


# --- requests ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """The head of a request."""

    method: str = "GET"
    path: bytes = b"/config/orders/prod"
    query: bytes = b""
    headers: list[Header] = field(default_factory=list[Header])
    root_path: str = ""
    shows_root: bool = True
    is_raw: bool = True

    def scope(self, tag: bytes) -> dict[str, Any]:
        shown = self.root_path.encode() + self.path if self.shows_root else self.path
        scope: dict[str, Any] = {
            "type": "http",
            "method": self.method,
            "path": shown.decode("latin-1"),
            "root_path": self.root_path,
            "query_string": self.query,
            "headers": [(name, value.replace(_TAG, tag)) for name, value in self.headers],
        }
        return scope | ({"raw_path": shown} if self.is_raw else {})


def _basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


PATHS = [
    b"/config/orders/prod",
    b"/config/orders/prod/main",
    b"/config/orders/prod,eu/main",
    b"/config/orders,billing/prod",
    b"/config/or%5fders/prod/a(_)b",
    b"/config/or%5fders/prod/a%2Fb",
    b"/config/orders-prod.json",
    b"/config/orders-prod.yml",
    b"/config/main/orders-prod.properties",
    b"/config/orders/prod/main/nginx.conf",
    b"/config/orders/prod/main/dir/logo.bin",
    b"/config/orders/prod/nginx.conf?useDefaultLabel",
    b"/config/orders/prod/absent",
    b"/config/orders/prod/main/absent.txt",
    b"/config/nobody/prod",
    b"/config/orders/..",
    b"/config/orders/pro%",
    b"/config/orders/-",
    b"/config/_bundles",
    b"/config/_openapi.json",
    b"/config",
    b"/other",
    b"config/orders/prod",
]
HEADERS: dict[bytes, list[bytes]] = {
    b"accept": [
        b"*/*",
        b"application/json",
        b"application/vnd.spring-cloud.config-server.v2+json",
        b"text/plain",
        b"text/html, */*;q=0.1",
        b"application/octet-stream",
        b"application/json;q=0",
        b"",
        b"nonsense",
    ],
    b"accept-charset": [b"utf-8", b"iso-8859-1", b"latin9,*", b""],
    b"authorization": [
        b"Bearer t",
        b"bearer  t",
        b"Bearer x",
        b"Bearer read",
        b"Bearer files",
        b"Bearer read files",
        b"Bearer",
        _basic("u:p"),
        _basic("u:x"),
        b"Basic \xff",
        b"",
    ],
    b"x-password": [b"p", b"x"],
    b"host": [b"localhost", b"127.0.0.1:80", b"config.example", b"evil.example", b"", b"a b"],
    b"origin": [b"http://localhost", b"https://evil.example", b"null"],
    b"sec-fetch-site": [b"same-origin", b"cross-site"],
    b"prefer": [b"wait=0", b"respond-async", b"wait=x"],
    b"cache-control": [b"no-cache", b"max-age=0", b"No-Cache, x"],
    b"if-none-match": [
        _TAG,
        b"W/" + _TAG,
        b'"x", ' + _TAG,
        b"*",
        b" " + _TAG,
        b'"x"',
        _TAG + b", ",
        b"x",
        b"",
    ],
    b"if-modified-since": [
        b"Mon, 01 Jan 2001 00:00:00 GMT",
        b"Mon, 01 Jan 2096 00:00:00 GMT",
        b"x",
    ],
    b"range": [b"bytes=0-1"],
    b"if-match": [b'"x"'],
    b"x-forwarded-for": [b"10.0.0.1"],
}


QUERIES = [
    b"keys=db.*",
    b"keys=",
    b"resolvePlaceholders=false",
    b"resolvePlaceholders=maybe",
    b"useDefaultLabel",
    b"x=1",
    b"%",
]


def _cased(header: Header) -> st.SearchStrategy[Header]:
    name, value = header
    return st.sampled_from([name, name, name, name.title(), name.upper()]).map(
        lambda cased: (cased, value)
    )


@st.composite
def _escaped(draw: st.DrawFn, path: bytes) -> bytes:
    """Return the path with one more escape, which need not change its meaning."""
    place = draw(st.integers(0, len(path) - 1))
    return path[:place] + b"%%%02X" % path[place] + path[place + 1 :]


_header = st.sampled_from(
    [(name, value) for name, values in HEADERS.items() for value in values]
).flatmap(_cased)
GOOD: dict[str, list[Header]] = {
    "open": [],
    "hosts": [(b"host", b"localhost")],
    "bearer": [(b"authorization", b"Bearer t")],
    "basic": [(b"authorization", _basic("u:p"))],
    "tokens": [(b"host", b"localhost"), (b"authorization", b"Bearer read files")],
    "password": [(b"x-password", b"p")],
}
"""The headers of an accepted request, by policy."""
_path = st.sampled_from([*PATHS[:11] * 3, *PATHS])


def _heads(policy: str) -> st.SearchStrategy[Head]:
    base = st.sampled_from([GOOD[policy], GOOD[policy], GOOD[policy], []])
    return st.builds(
        Head,
        method=st.sampled_from([*["GET"] * 12, "HEAD", "OPTIONS", "POST", "get"]),
        path=_path | _path.flatmap(_escaped),
        query=st.sampled_from([*[b""] * 6, *QUERIES]),
        headers=st.tuples(base, st.lists(_header, max_size=3)).map(
            lambda parts: [one for part in parts for one in part]
        ),
        root_path=st.sampled_from(["", "", "", "/outer", "/con"]),
        shows_root=st.booleans(),
        is_raw=st.sampled_from([True, True, True, False]),
    )


Opened = Callable[..., Pair]


@pytest.fixture
def opened() -> Iterator[Opened]:
    pairs: list[Pair] = []

    def opened(policy: str, live: LiveOptions = SELDOM) -> Pair:
        pairs.append(Pair(policy, live))
        return pairs[-1]

    yield opened
    for pair in pairs:
        pair.close()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyfly.config_server.live.feed_group._LOOK_SECONDS", 60.0)
    monkeypatch.setattr("pyfly.config_server.live.feed_group._FRESH_SECONDS", 60.0)


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.slow
def test_any_request_has_the_same_answer_with_and_without_the_live_layer(
    policy: str, opened: Opened
) -> None:
    pair = opened(policy)

    @settings(max_examples=60)
    @given(st.lists(_heads(policy), min_size=1, max_size=8))
    def check(heads: list[Head]) -> None:
        for head in heads:
            pair.check(head)

    check()
    hot = pair.live._hot
    assert hot is not None
    assert bool(hot._responses) is hot._is_usable


@pytest.mark.slow
def test_each_header_decides_as_without_the_live_layer(policy: str, opened: Opened) -> None:
    """The same request without the header, or with another value, was answered before."""
    pair, base = opened(policy), GOOD[policy]
    pair.check(Head(headers=base))
    for name, values in HEADERS.items():
        others = [one for one in base if one[0] != name]
        for value in values:
            pair.check(Head(headers=[*others, (name, value)]))
            pair.check(Head(headers=[*others, (name.title(), value)]))
            pair.check(Head(headers=[*base, (name, value)]))
        pair.check(Head(headers=others))


def test_a_second_request_is_answered_without_the_controller(opened: Opened) -> None:
    """The comparison above would prove nothing if the hot path never answered."""
    pair = opened("bearer")
    handled = pair.live.live
    assert handled is not None
    head = Head(headers=[(b"authorization", b"Bearer t"), (b"accept", b"*/*")])
    pair.check(head)

    async def handle(request: HttpRequest) -> Any:
        raise AssertionError(f"the controller was asked: {request}")

    pair.live._handle = handle
    status, headers, body = pair.runner.run(_ask(pair.live, head.scope(_TAG)))
    assert (status, json.loads(body)["name"]) == (200, "orders")
    tagged = Head(headers=[*head.headers, (b"if-none-match", dict(headers)[b"etag"])])
    assert pair.runner.run(_ask(pair.live, tagged.scope(_TAG)))[0] == 304


@pytest.mark.parametrize(
    ("path", "right", "others"),
    [
        (b"/config/orders/prod", b"read", []),
        (b"/config/orders-prod.yml", b"read", []),
        (b"/config/orders/prod/main/nginx.conf", b"files read", [b"files", b"read"]),
    ],
)
def test_a_ready_answer_is_for_those_with_the_right(
    path: bytes, right: bytes, others: list[bytes], opened: Opened
) -> None:
    pair = opened("tokens")

    def ask(credential: bytes) -> int:
        headers = [(b"host", b"localhost"), (b"authorization", credential)]
        scope = Head(path=path, headers=headers).scope(_TAG)
        return pair.runner.run(_ask(pair.live, scope))[0]

    rights = [one.value.encode() for one in Right]
    for _ in range(2):
        assert ask(b"Bearer " + right) == 200
        assert ask(b"Bearer " + b" ".join(rights)) == 200
        for other in [b"", *others, *(one for one in rights if one not in right.split())]:
            assert ask(b"Bearer " + other) == 403
        assert ask(b"Bearer nothing") == 401
        assert ask(b"Basic " + right) == 401


def test_rights_that_are_taken_away_count_at_once(opened: Opened) -> None:
    pair = opened("tokens")
    scope = Head(headers=[(b"host", b"localhost"), (b"authorization", b"Bearer read")]).scope(_TAG)
    for _ in range(2):
        assert pair.runner.run(_ask(pair.live, scope))[0] == 200
    tokens = POLICIES["tokens"]["auth"]
    tokens.principal_of = lambda _: None
    try:
        assert pair.runner.run(_ask(pair.live, scope))[0] == 401
    finally:
        del tokens.principal_of


def test_ready_requests_are_few_and_hold_no_dropped_answers(
    monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    monkeypatch.setattr(hot_path, "_MAX_REQUESTS", 20)
    pair = opened("open", LiveOptions(max_staleness=1_000, cache_bytes=20_000))
    for number in range(100):
        scope = Head(path=b"/config/orders/prod,p%d" % number).scope(_TAG)
        for _ in range(2):
            assert pair.runner.run(_ask(pair.live, scope))[0] == 200
    hot, live = pair.live._hot, pair.live.live
    assert hot is not None
    assert live is not None
    kept = [ready.entry() for ready in hot._responses.values()]
    assert len(kept) == 20
    assert {id(one) for one in kept if one is not None} <= {id(one) for one in live.answers.cache}
    assert any(one is None for one in kept)
    assert {*hot._granted} <= {*hot._responses.values()}
    assert hot._grants == sum(map(len, hot._granted.values())) > 0


def test_only_credentials_that_were_accepted_are_kept(opened: Opened) -> None:
    pair = opened("bearer")
    right, wrong = (Head(headers=[(b"authorization", b"Bearer " + one)]) for one in (b"t", b"no"))

    async def answers() -> list[bytes | None]:
        assert (await _ask(pair.live, right.scope(_TAG)))[0] == 200
        known = [pair.live.recognize(one.scope(_TAG)) for one in (right, wrong)]
        return [None if one is None else pair.live.answer_now(one) for one in known]

    accepted, refused = pair.runner.run(answers())
    assert accepted
    assert refused is None
    hot = pair.live._hot
    assert hot is not None
    assert [*hot._credentials] == [b"Bearer t"]


def test_a_store_may_be_looked_at_seldom() -> None:
    """A guard for this file: with the options here nothing expires while it runs."""
    store = ControlledStore()
    app = ConfigServerApp(ConfigServer(store), auth=None, live=SELDOM)
    with asyncio.Runner() as runner:
        for _ in range(5):
            runner.run(_ask(app, Head().scope(_TAG)))
        assert store.calls["changes_since"] == 1
        runner.run(app.aclose())
