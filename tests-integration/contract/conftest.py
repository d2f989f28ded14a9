"""Roots of the contract's fixtures, and two adapters that must behave alike."""

import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from pyfly.config_litestar import ConfigServerPlugin
from pyfly.config_server import (
    ConfigServer,
    ConfigServerApp,
    FilesystemConfigBackend,
    ServerOptions,
    SharedCredential,
)

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def names(self) -> list[str]:
        """The property sources' names without label and suffix, as the contract writes them."""
        return [
            s["name"].removeprefix("main/").removesuffix(".yaml")
            for s in self.json["propertySources"]
        ]


def plain_asgi(server: ConfigServer, auth: SharedCredential | None) -> Asgi:
    """The ASGI application of the core: it needs no framework."""
    return ConfigServerApp(server, auth=auth)


def litestar_asgi(server: ConfigServer, auth: SharedCredential | None) -> Asgi:
    plugin = ConfigServerPlugin(server, auth=auth)
    app: Any = Litestar(plugins=[plugin], openapi_config=None, logging_config=None)
    return app


async def ask_app(
    app: Asgi,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    ends: bool = True,
) -> Answer:
    """Send one request to an ASGI app, with the path untouched and the body in two parts."""
    raw, _, query = path.partition("?")
    sent: list[Any] = []
    half = len(body) // 2
    waiting: list[Any] = [{"type": "http.request", "body": body[:half], "more_body": True}]
    if ends:
        waiting.append({"type": "http.request", "body": body[half:], "more_body": False})

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": decoded(raw),
        "raw_path": raw.encode("latin-1"),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"config")]
        + [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8888),
        "state": {},
    }
    await app(scope, receive, send)
    return Answer(
        status=sent[0]["status"],
        headers={k.decode(): v.decode() for k, v in sent[0]["headers"]},
        body=b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body"),
    )


def decoded(raw: str) -> str:
    """Decode a path as ASGI servers do: bad bytes become U+FFFD."""
    from urllib.parse import unquote  # noqa: PLC0415

    return unquote(raw, errors="replace")


Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture(scope="module", autouse=True)
def entry_points() -> Iterator[None]:
    """Look for the installed stores once: every look reads the names of all distributions."""
    with pytest.MonkeyPatch.context() as patch:
        found = cache(metadata.entry_points)
        patch.setattr("pyfly.config_server.storage.registry.entry_points", found)
        yield


@pytest.fixture(autouse=True)
def patient_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a store a minute, because another process may have the machine."""
    for name in ("feed_group._LOOK_SECONDS", "answers._COMPOSE_SECONDS"):
        monkeypatch.setattr(f"pyfly.config_server.live.{name}", 60.0)


@pytest.fixture(params=["plain", "litestar"])
def serve(request: pytest.FixtureRequest) -> Callable[..., Ask]:
    """Serve a backend through one of the two adapters; the result sends requests."""
    make = plain_asgi if request.param == "plain" else litestar_asgi

    def start(*backends: Any, auth: SharedCredential | None = None, **options: Any) -> Ask:
        own = {name: options.pop(name) for name in ("base_path", "default_label") & options.keys()}
        app = make(ConfigServer(*backends, **own, options=ServerOptions(**options)), auth)

        async def ask(path: str, **how: Any) -> Answer:
            return await ask_app(app, path, **how)

        return ask

    return start


@pytest.fixture
def ask(root: Path, serve: Callable[..., Ask]) -> Ask:
    """Ask a server of the files below `root`, at the base path `/config`."""
    return serve(FilesystemConfigBackend(root))


@pytest.fixture
def write(root: Path) -> Callable[[str, str], Path]:
    """Put a file below the root."""

    def put(name: str, text: str) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written = path.stat().st_mtime - 2
        os.utime(path, (written, written))  # complete for long enough to be read at once
        return path

    return put


@pytest.fixture
def fx_a(write: Callable[[str, str], Path]) -> None:
    """Two applications, two profiles and two more labels."""
    stems = [f"{a}-{p}" for a in ("application", "orders") for p in ("default", "prod", "eu")]
    for stem in [*stems, "billing-default", "billing-prod"]:
        write(f"main/{stem}.yaml", f"who: {stem}\n")
    write("feature/x/orders-default.yaml", "who: feature\n")
    write("rel/orders-default.yaml", "who: rel\n")


@pytest.fixture
def fx_d(write: Callable[[str, str], Path]) -> None:
    """Every type of value."""
    write(
        "main/types-default.yaml",
        """\
int: 8080
oct: 010
exp: 1e3
flt: 1.0
time: 12:30
bool: yes
q: "true"
date: 2001-12-14
nul: null
elist: []
emap: {}
big: 123456789012345678901234567890
list: [a, {b: 1}, [x, y], null]
"dotted.key": v
paths: {"[/p/**]": w, /q: w3}
m: {1: one, off: y}
on: z
""",
    )
