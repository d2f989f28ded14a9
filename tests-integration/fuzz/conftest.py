"""Requests made of the OpenAPI document, and bytes made of nothing; the same for the same seed."""

import base64
import json
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

SEED = int(os.environ.get("PYFLY_PROOF_SEED", "1"))
REQUESTS = int(os.environ.get("PYFLY_PROOF_REQUESTS", "1000"))

NAMES = (
    *("orders", "application", "inventory", "orders,billing", "a-b", "feature(_)x", "x.y", "A@1+2"),
    *("..", "%2e%2e", ".", "-", "_x", "a%2Fb", "a%2fb", "%5c", "%00", "%zz", "%", "(_)", "a,,b"),
    *("%C3%BC", "%FF", "a b", "a%20b", "#", "a;b", "x" * 129, ",".join(["n"] * 33), "key"),
    *(",".join(f"n{number}" for number in range(32)), "encrypt", "actuator", "_bundles", "a:b"),
)
PROFILES = ("prod", "default", "eu", "dev,prod", "-", "a,", "p(_)x", "x" * 65, "%2D", "prod-eu")
LABELS = (
    "main",
    "main",
    "release-1.4",
    "main,release-1.4",
    "feature%2Fx",
    "feature(_)x",
    "nowhere",
    "..",
)
PATHS = (
    "nginx.conf",
    "large.txt",
    "a/b.txt",
    "no%20file",
    "../x",
    ".env",
    "x.yml",
    "a//b",
    "a%2Fb",
)
EXTENSIONS = ("json", "yml", "yaml", "properties", "txt", "")
VERSIONS = ("1", "x", "none", "%00", "9" * 40)

VALUES = {
    "application": NAMES,
    "name": NAMES,
    "profile": PROFILES,
    "profiles": PROFILES,
    "label": LABELS,
    "path": PATHS,
    "extension": EXTENSIONS,
    "version": VERSIONS,
}
"""What the parameters of a path may be; the first three can stand in any."""

QUERIES = (
    *(
        "",
        "useDefaultLabel",
        "resolvePlaceholders=false",
        "resolvePlaceholders=maybe",
        "keys=db,feature.*",
        "keys=a,,b",
        "keys=m%5Ba,b%5D",
        "&&&",
        "%zz",
    ),
    *("limit=1", "limit=0", "limit=" + "9" * 400, "limit=000000100" + "0" * 4_400, "cursor=x"),
    *("application=orders&profile=prod&label=main", "label=..", "cursor=&cursor=", "a=b;c=d"),
    *("cursor=" + base64.b64encode(b"[[],[],[]]").decode(), "x=" + "y" * 9_000),
)

HEADERS: Mapping[str, Sequence[str]] = {
    "Accept": (
        *("*/*", "application/json", "application/vnd.spring-cloud.config-server.v2+json"),
        *("text/plain", "application/octet-stream", "image/png", "*/*;q=0", ",,,", "a/b;q=x"),
        *("text/*;q=0.5, */*;q=0.1", "application/*", "*," * 500, "text/" + "x" * 500, '"'),
    ),
    "Accept-Charset": ("utf-8", "iso-8859-1", "utf-16", "punycode", "idna", ",", "hex", "x" * 900),
    "If-None-Match": ("*", '"x"', 'W/"x"', "x", '""', '"a",' * 300, "\x80"),
    "If-Match": ("*", '"x"', 'W/"x"', "x", '"%zz"', '"a", "b"'),
    "If-Modified-Since": (
        *("Fri, 31 Dec 9999999999 23:59:59 GMT", "Mon, 01 Jan 2024 00:00:00 GMT", "x", "0"),
        *("Mon, 01 Jan 0000 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 -9999", "Mon, 01 Jan"),
    ),
    "Content-Type": (
        *("application/json", "application/yaml", "text/plain", "application/json; charset=utf-16"),
        *("application/x-www-form-urlencoded", "text/plain; charset=hex", ";", "x" * 300),
        *("application/merge-patch+json", "application/json-patch+json"),
    ),
    "Content-Encoding": ("identity", "gzip", "x"),
    "Authorization": ("Bearer t", "Bearer t", "Bearer t", "Bearer x", "Basic eDp5", "Basic %", ""),
    "Host": (
        "localhost",
        "127.0.0.1:80",
        "evil.example",
        "",
        "[::1]",
        "a b",
        "localhost,localhost",
    ),
    "Origin": ("null", "http://localhost", "http://evil.example", "\x80"),
    "Sec-Fetch-Site": ("none", "cross-site", "same-origin"),
    "X-Config-Token": ("x",),
    "X-Config-State": ("x",),
    "Cookie": ("a=b",),
    "Range": ("bytes=0-1", "bytes=x"),
    "Expect": ("100-continue",),
}

BODIES = (
    *(
        b"{}",
        b'{"a": 1, "b": [{"c": "x"}]}',
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b"{",
        b'{"a": 1}',
        b"a: 1",
        b"a: [",
        b"a: &a [*a]",
    ),
    *(
        b'{"version": "x"}',
        b'{"version": 1}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a.b": 1, "a": {"b": 1}}',
    ),
    *(b'{"a": "${a}"}', b'{"a": "${b}", "b": "${a}"}', b'{"a": "{cipher}x"}', b"\xff\xfe{}", b"\0"),
    *(
        b"[" * 3_000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b'{"a": ' + b"9" * 5_000 + b"}",
        b"x" * 70_000,
    ),
    *(b'{"spring.config.activate.on-profile": "("}', b'{"a[0]": 1, "a[999999]": 2}', b"%" * 50),
    *(b'{"a": {"b": 1}, "a[0]": 1, "a": 2}', b"!!python/object:os.system {}", b"--- 1\n--- 2\n"),
    *(
        b"a: 2001-12-14\nb: !!binary x\nc: 0o17\n",
        b"mark",
        b"AQB" * 40,
        b"{cipher}{key:x}AQ",
        b"x" * 1_048_577,
    ),
)

PATCHES = (
    b'[{"op": "add", "path": "/a", "value": {"b": [1]}}]',
    b'[{"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/a"}]',
    b'[{"op": "move", "from": "/a", "path": "/a/b"}]',
    b'[{"op": "replace", "path": "", "value": []}]',
    b'[{"op": "remove", "path": ""}]',
    b'[{"op": "add", "path": "/a~2", "value": 1}]',
    b"[" + b",".join([b'{"op": "copy", "from": "", "path": "/x"}'] * 60) + b"]",
    b"[" + b",".join([b'{"op": "add", "path": "/l", "value": []}'] * 1_001) + b"]",
    b'{"a": null, "b": {"c": null}}',
)


@dataclass(frozen=True, kw_only=True)
class Generated:
    """One request, and what the document says it may be answered with, where that is known."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)
    documented: frozenset[int] = frozenset()

    @property
    def raw(self) -> bytes:
        """The request on the wire."""
        head = [f"{self.method} {self.target} HTTP/1.1", *(f"{k}: {v}" for k, v in self.headers)]
        if self.body:
            head.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*head, "", ""]).encode("latin-1", "replace") + self.body


class Maker:
    """Makes requests from an OpenAPI document.

    Args:
        document: As the server gives it.
        chance: Where every choice comes from.
    """

    def __init__(self, document: Mapping[str, Any], chance: random.Random) -> None:
        self._chance = chance
        self._base = document["servers"][0]["url"].rstrip("/")
        self._operations = [
            (template, method.upper(), operation)
            for template, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def requests(self, count: int) -> Iterator[Generated]:
        """Yield so many requests, a tenth of them of no operation."""
        for _ in range(count):
            yield self._anything() if self._chance.random() < 0.1 else self._of_an_operation()

    def _of_an_operation(self) -> Generated:
        template, method, operation = self._chance.choice(self._operations)
        plain = self._chance.random() < 0.5
        path = re.sub(r"\{(\w+)\}", lambda found: self._segment(found[1], plain=plain), template)
        if self._chance.random() < 0.15:
            method, operation = self._chance.choice(["HEAD", "OPTIONS", "TRACE", "PATCH", "X"]), {}
        writes = method in {"PUT", "PATCH", "POST"}
        bodies = BODIES[:2] if plain and self._chance.random() < 0.5 else BODIES
        if method == "PATCH":
            bodies = (*PATCHES, *bodies)
        body = self._chance.choice(bodies) if writes or self._chance.random() < 0.02 else b""
        known = frozenset(int(status) for status in operation.get("responses", ()))
        return Generated(
            method=method,
            target=self._base + path + self._query(),
            headers=self._headers(method, writes=writes or method == "DELETE"),
            body=body,
            documented=known if plain else frozenset(),
        )

    def _anything(self) -> Generated:
        chance = self._chance
        length = chance.choice([0, 1, 5, 30, 300])
        text = quote(chance.randbytes(length), safe="/%-._~,:;()+=&?")
        start = chance.choice(["/", self._base, self._base + "/", "/health/", "//", "*"])
        return Generated(
            method=chance.choice(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "Q"]),
            target=start + text,
            headers=self._headers("", writes=chance.random() < 0.5),
            body=b"",
        )

    def _segment(self, name: str, *, plain: bool) -> str:
        values = VALUES[name]
        return self._chance.choice(values[:3] if plain else values)

    def _query(self) -> str:
        return "?" + self._chance.choice(QUERIES) if self._chance.random() < 0.4 else ""

    def _headers(self, method: str, *, writes: bool) -> list[tuple[str, str]]:
        chance = self._chance
        usual = {"Host": "localhost", "Authorization": "Bearer t"}
        if writes:
            usual["Content-Type"] = chance.choice(
                HEADERS["Content-Type"][-2:] if method == "PATCH" else HEADERS["Content-Type"][:2]
            )
            usual[chance.choice(["If-Match", "If-None-Match"])] = "*"
        pairs = [pair for pair in usual.items() if chance.random() < 0.97]
        for _ in range(chance.choice([0, 0, 1, 1, 2, 5])):
            name = chance.choice([*HEADERS])
            pairs.append((name, chance.choice(HEADERS[name])))
        return pairs


def nonsense(chance: random.Random, count: int) -> Iterator[bytes]:
    """Yield bytes that resemble requests more or less."""
    pieces = (
        *(
            b"GET ",
            b"PUT ",
            b"/config/a/b",
            b" HTTP/1.1\r\n",
            b"Host: localhost\r\n",
            b"\r\n",
            b"\n",
        ),
        *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(
            b"0\r\n\r\n",
            b"5\r\nhello\r\n",
            b"\0",
            b"\xff\xfe",
            b" ",
            b":",
            b"PRI * HTTP/2.0\r\n\r\n",
        ),
        *(
            b"\x16\x03\x01\x02\x00\x01",
            b"Upgrade: websocket\r\nConnection: upgrade\r\n",
            b"X" * 9_000,
        ),
        *(b"Connection: keep-alive\r\n", b"ffffffffffffffff\r\n", b"Content-Length: 9" + b"9" * 30),
    )
    for _ in range(count):
        parts = [chance.choice(pieces) for _ in range(chance.randrange(1, 12))]
        if chance.random() < 0.3:
            parts.insert(chance.randrange(len(parts)), chance.randbytes(chance.randrange(1, 200)))
        yield b"".join(parts)


@pytest.fixture
def make_requests() -> Any:
    """Return requests for an OpenAPI document."""

    def make(document: bytes, count: int) -> list[Generated]:
        return [*Maker(json.loads(document), random.Random(SEED)).requests(count)]

    return make


@pytest.fixture
def make_nonsense() -> Any:
    return lambda count: [*nonsense(random.Random(SEED), count)]


@pytest.fixture
def request_count() -> int:
    """How many of a kind; the proof of the same name sets it higher."""
    return REQUESTS
