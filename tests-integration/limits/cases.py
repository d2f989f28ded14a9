"""The table: the most expensive legal and illegal requests for every route, format and header."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from .bundles import BUNDLES, FILES, MEGABYTE, as_json

HEAD_BYTES: Final = 60_000
"""Close below what the server takes as a head."""
TOKEN: Final = "limits"
_BYTES: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a request may cost."""

    loop_seconds: float = 0.25
    cpu_seconds: float = 1.0
    megabytes: float = 64.0


ORDINARY: Final = Budget()
COLD: Final = Budget(cpu_seconds=5.0)
"""For texts that are read for the first time, and for RSA; never on the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request."""

    name: str
    target: str
    statuses: frozenset[int]
    """With which it may be answered."""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)
    budget: Budget = ORDINARY

    def __str__(self) -> str:
        return self.name

    def encode(self) -> bytes:
        """Return the request as bytes; the connection ends with the answer."""
        headers = {
            "Host": "localhost",
            "Connection": "close",
            "Authorization": f"Bearer {TOKEN}",
            **self.headers,
        }
        if self.body or self.method in {"PUT", "POST"}:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


def _filled(unit: str, *, end: str = "") -> str:
    return unit * ((HEAD_BYTES - len(end)) // len(unit)) + end


# --- what every store is asked, in this order ---------------------------------------------------

_SUFFIXES: Final = ("json", "yml", "properties")
_V2: Final = "application/vnd.spring-cloud.config-server.v2+json"


_SELECTED: Final = ",".join(f"section{n}.key{n},items%5B{n}%5D" for n in range(32))
"""As many names of keys as allowed; the first elements of keys do not decide."""


def saves() -> Iterator[Case]:
    """Yield a save of each of the largest bundles, as JSON."""
    for name, make in BUNDLES.items():
        yield Case(
            name=f"save {name}",
            method="PUT",
            target=f"/config/_bundles/{name}/default/main",
            headers={"If-None-Match": "*", "Content-Type": "application/json"},
            body=as_json(make()),
            statuses=frozenset({201}),
        )


def reads() -> Iterator[Case]:
    """Yield requests for what `saves` has stored, in every form there is."""
    for name in BUNDLES:
        fine = frozenset({200, 500} if name == "swelling" else {200})
        yield Case(name=f"document {name}", target=f"/config/{name}/default", statuses=fine)
        yield Case(
            name=f"document {name} with origins",
            target=f"/config/{name}/default",
            headers={"Accept": _V2},
            statuses=fine,
        )
        for suffix in _SUFFIXES:
            flattened = frozenset({400, 500}) if name == "swelling" else frozenset({200})
            yield Case(
                name=f"{suffix} {name}",
                target=f"/config/{name}-default.{suffix}",
                statuses=flattened,
            )
        yield Case(
            name=f"bundle {name}",
            target=f"/config/_bundles/{name}/default/main",
            statuses=frozenset({200}),
        )
    for name in ("many", "wide", "deep"):
        for target in (f"/config/{name}/default", f"/config/{name}-default.json"):
            yield Case(
                name=f"selected keys of {target}",
                target=f"{target}?keys={_SELECTED}",
                statuses=frozenset({200}),
            )
    profiles = ",".join(f"p{n}" for n in range(31))
    yield Case(
        name="document of as many lookups as allowed",
        target=f"/config/many,wide,long/{profiles}/main,main",
        statuses=frozenset({200, 400, 500}),
    )
    yield Case(
        name="document of everything",
        target=f"/config/{','.join(BUNDLES)}/default",
        statuses=frozenset({500}),
    )
    yield Case(
        name="json of everything",
        target=f"/config/{','.join(BUNDLES)}-default.json",
        statuses=frozenset({500}),
    )


LEGAL: Final = (*saves(), *reads())


# --- a bundle that was stored very often --------------------------------------------------------

VERSIONS: Final = 20_000
"""How many versions the bundle `often` has in a database."""
_OFTEN: Final = "/config/_bundles/often/default/main/history"
_MIDDLE: Final = base64.urlsafe_b64encode(b"version\n10000").decode().rstrip("=")

HISTORIES: Final = tuple(
    Case(name=name, target=target, statuses=frozenset({200}))
    for name, target in {
        "history": _OFTEN,
        "history as long as allowed": f"{_OFTEN}?limit=1000",
        "history from the middle": f"{_OFTEN}?limit=1000&cursor={_MIDDLE}",
        "oldest version": f"{_OFTEN}/1",
    }.items()
)


# --- files that were not written through the server ---------------------------------------------


def _file_reads() -> Iterator[Case]:
    for file_name in FILES:
        stem, _, suffix = file_name.rpartition(".")
        name = f"{suffix}-{stem.removesuffix('-default')}"
        fine = frozenset({200, 500})
        yield Case(
            name=f"first document of {name}",
            target=f"/config/{name}/default",
            statuses=fine,
            budget=COLD,
        )
        yield Case(
            name=f"json of {name}",
            target=f"/config/{name}-default.json",
            statuses=fine | {400},
            budget=COLD if suffix != "properties" else ORDINARY,
        )
        yield Case(
            name=f"save over {name}",
            method="PUT",
            target=f"/config/_bundles/{name}/default/main",
            headers={"If-Match": "*", "Content-Type": "application/json"},
            body=b'{"a": 1}',
            statuses=frozenset({200, 409}),
            budget=COLD,
        )
    for charset in ("punycode", "utf-16", "gb18030", "idna", "utf-7", "unicode-escape"):
        yield Case(
            name=f"plain file as {charset}",
            target="/config/x/default/main/plain.txt",
            headers={"Accept-Charset": charset},
            statuses=frozenset({200, 500}),
        )
    for name in ("braces.txt", "dollars.txt", "large.bin"):
        yield Case(
            name=f"plain file {name}",
            target=f"/config/x/default/main/{name}",
            statuses=frozenset({200, 400, 500}),
        )
    yield Case(
        name="document of 1,000 values encrypted with RSA",
        target="/config/secrets/default",
        statuses=frozenset({200}),
        budget=COLD,
    )
    yield Case(
        name="document of more values encrypted with RSA",
        target="/config/moresecrets/default",
        statuses=frozenset({500}),
        budget=COLD,
    )
    yield Case(
        name="plain file large.bin as bytes",
        target="/config/x/default/main/large.bin",
        headers={"Accept": _BYTES},
        statuses=frozenset({200}),
    )


FILE_READS: Final = tuple(_file_reads())

SECRETS: Final = {"secrets": 1_000, "moresecrets": 1_001}
"""Applications, and how many values of theirs are encrypted with RSA: all that may be, and more."""

PLAIN_FILES: Final = {
    "plain.txt": b"\xc3\xa9x" * (MEGABYTE // 3),
    "braces.txt": b"${" * (MEGABYTE // 2),
    "dollars.txt": b"${a}" * (MEGABYTE // 4),
    "large.bin": b"x" * (10 * MEGABYTE),
}


# --- requests that nobody should send -----------------------------------------------------------

_HEADERS: Final = {
    "Accept": ("a/b,", "application/json;q=0.5,", "a/b;" + "c=d;" * 100 + ",", "*/*,", ";", "a/*+"),
    "Accept-Charset": ("punycode,", "utf-16;q=0.1,", "x,"),
    "Accept-Encoding": ("gzip,",),
    "Authorization": ("Basic ", "Bearer ", "=", "YTpi"),
    "Content-Encoding": ("gzip,",),
    "Content-Type": ("application/json;", "a/b;charset=x;", '"'),
    "Cookie": ("a=b;",),
    "Forwarded": ("for=1,",),
    "Host": ("a", "a.", "[", ":"),
    "If-Match": ('"x",', '"', "W/"),
    "If-Modified-Since": ("Fri, ", "9", "31 Dec 9", "(", ":"),
    "If-None-Match": ('"x",', '"', "W/", '""'),
    "If-Range": ('"x"',),
    "If-Unmodified-Since": ("9",),
    "Origin": ("http://a", "null"),
    "Prefer": ("wait=9,", "wait=" + "9" * 100 + ";"),
    "Range": ("bytes=0-1,", "0-,"),
    "Referer": ("/",),
    "Sec-Fetch-Site": ("cross-site",),
    "Transfer-Encoding": ("gzip,",),
    "X-Config-State": ("x",),
    "X-Config-Token": ("x",),
    "X-Forwarded-For": ("1.1.1.1,",),
}
_ANY: Final = frozenset({200, 304, 400, 401, 403, 404, 405, 406, 411, 412, 413, 414, 415, 421, 422})
_TOO_LARGE: Final = _ANY | {428, 431, 501}

_PATHS: Final = {
    "dashes and dots": "/config/" + "-" * 16_000 + "." * 16_000,
    "60 KB of dashes and dots": "/config/" + "-" * 30_000 + "." * 30_000,
    "dots and json": "/config/" + ".json" * 12_000,
    "slashes": "/config" + "/" * HEAD_BYTES,
    "segments": "/config" + "/a" * 30_000,
    "escapes": "/config/" + "%2D" * 20_000,
    "broken escapes": "/config/" + "%" * HEAD_BYTES,
    "commas": "/config/" + "," * 30_000 + "/" + "," * 29_000,
    "slash marks": "/config/x/y/" + "(_)" * 19_000,
    "file names": "/config/x/" + "a.yml-" * 10_000,
    "path of a plain file": "/config/x/y/z/" + "a-" * 30_000,
    "application": "/config/_bundles/" + "a" * HEAD_BYTES + "/default/main",
    "version": "/config/_bundles/a/default/main/history/" + "9" * HEAD_BYTES,
    "applications x profiles x labels": (
        f"/config/{','.join(f'a{n}' for n in range(32))}"
        f"/{','.join(f'p{n}' for n in range(32))}/{','.join(f'l{n}' for n in range(32))}"
    ),
    "plain file in as many places": (
        f"/config/{','.join(f'a{n}' for n in range(32))}"
        f"/{','.join(f'p{n}' for n in range(32))}/{','.join(f'l{n}' for n in range(32))}/x.txt"
    ),
    "outside": "/" + "a" * HEAD_BYTES,
    "query of ampersands": "/config/a/default?" + "&" * HEAD_BYTES,
    "query of pairs": "/config/a-default.json?" + "a=b&" * 15_000,
    "query of one name": "/config/a-default.json?" + "resolvePlaceholders=true&" * 2_300,
    "query of names": "/config/many/default?keys=" + "a.b," * 2_000,
    "query of brackets": "/config/many-default.json?keys=" + "[" * 8_000,
    "query of escapes": "/config/_bundles?cursor=" + "%41" * 19_000,
    "cursor": "/config/_bundles?cursor=" + "A" * 50_000,
    "limit": "/config/_bundles?limit=" + "9" * HEAD_BYTES,
    "listing": "/config/_bundles?limit=1000",
    "openapi": "/config/_openapi.json",
    "history": "/config/_bundles/many/default/main/history",
    "public key": "/config/key",
    "public key by name": "/config/key/many/default",
    "state of encryption": "/config/encrypt/status",
    "health": "/health/ready",
    "actuator": "/actuator/health",
}


def _spread_keys() -> bytes:
    """Return 379 KB whose flat keys would be gigabytes: leaves below long names, nested deeply."""
    leaves = b"{" + b",".join(b'"k%d":1' % n for n in range(15_000)) + b"}"
    names = [b"%02d" % n + b"x" * 3_998 for n in range(60)]
    return b"".join(b'{"%s":' % name for name in names) + leaves + b"}" * 60


_BODIES: Final = {
    "leaves below nested long keys": _spread_keys(),
    "brackets": b"[" * MEGABYTE,
    "braces": b'{"a":' * (MEGABYTE // 5),
    "digits": b'{"a":' + b"9" * (MEGABYTE - 6) + b"}",
    "one key twice": b"{" + b'"a":1,' * 170_000 + b'"b":1}',
    "more properties than allowed": (
        b"{" + b",".join(b'"k%d":1' % n for n in range(80_000)) + b"}"
    ),
    "escapes": b'{"a":"' + b"\\u0041" * 170_000 + b'"}',
    "half characters": b'{"a":"' + b"\\ud800" * 170_000 + b'"}',
    "more than allowed": b'{"a":"' + b"x" * (3 * MEGABYTE) + b'"}',
    "no text": b"\xff" * MEGABYTE,
    "index": b'{"a[99999999]": 1}',
    "colliding": b"{"
    + b",".join(b'"a%d.b":1,"a%d":{"b":1}' % (n, n) for n in range(20_000))
    + b"}",
}


def _attacks() -> Iterator[Case]:
    for name, target in _PATHS.items():
        yield Case(name=f"path: {name}", target=target, statuses=_TOO_LARGE)
        yield Case(name=f"OPTIONS {name}", method="OPTIONS", target=target, statuses=_TOO_LARGE)
    for header, units in _HEADERS.items():
        for unit in units:
            for target in ("/config/many/default", "/config/x/default/main/plain.txt"):
                yield Case(
                    name=f"header {header}: {unit[:20]} for {target}",
                    target=target,
                    headers={header: _filled(unit)},
                    statuses=_TOO_LARGE,
                )
    yield Case(
        name="headers without end",
        target="/config/many/default",
        headers={f"X-{n}": "" for n in range(9_000)},
        statuses=_TOO_LARGE,
    )
    for name, body in _BODIES.items():
        for media_type in ("application/json", "application/yaml"):
            yield Case(
                name=f"save {name} as {media_type}",
                method="PUT",
                target="/config/_bundles/attack/default/main",
                headers={"If-None-Match": "*", "Content-Type": media_type},
                body=body,
                statuses=_TOO_LARGE | {201},
                budget=COLD,
            )
    for file_name, content in FILES.items():
        yield Case(
            name=f"save the text {file_name}",
            method="PUT",
            target="/config/_bundles/text/default/main",
            headers={"If-None-Match": "*", "Content-Type": _media_type(file_name)},
            body=content,
            statuses=_TOO_LARGE | {201},
            budget=COLD,
        )
    for route in ("encrypt", "decrypt", "encrypt/x/default", "decrypt/x/default"):
        for unit in (b"x", b"=", b"%41", b"{cipher}", b"{key:a}", b"AQ=="):
            yield Case(
                name=f"{route} {unit.decode()}",
                method="POST",
                target=f"/config/{route}",
                headers={"Content-Type": "text/plain"},
                body=unit * (1_000_000 // len(unit)),
                statuses=_TOO_LARGE,
            )
    yield Case(
        name="rollback",
        method="POST",
        target="/config/_bundles/many/default/main/rollback",
        headers={"If-Match": "*", "Content-Type": "application/json"},
        body=b'{"version": "' + b"9" * 1_000_000 + b'"}',
        statuses=_TOO_LARGE,
    )


def _media_type(file_name: str) -> str:
    return "application/json" if file_name.endswith(".json") else "application/yaml"


ATTACKS: Final = tuple(_attacks())
