"""The client against a server that answers whatever a test tells it to, over real sockets."""

import base64
import gzip
import hashlib
import json
import math
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from pyfly.config_client import (
    ConfigClient,
    ConfigClientError,
    InvalidPayloadError,
    ServerRejectedError,
    ServerUnreachableError,
    SyncConfigClient,
)
from pyfly.config_client._fetch import Revalidation
from pyfly.config_client._httpx import translate
from pyfly.config_client._requests import Credentials
from pyfly.config_client.testing import FakeConfigServer
from pyfly.config_client.transport import HttpxTransport
from pyfly.config_core import InvalidConfigKeyError

pytestmark = pytest.mark.anyio

ScriptedServer = Any
Fetch = Callable[..., Any]

DOCUMENT: dict[str, Any] = {
    "name": "orders",
    "profiles": ["prod"],
    "label": None,
    "version": None,
    "state": None,
    "propertySources": [
        {"name": "main/orders-prod.yaml", "source": {"db.url": "marker-value", "hosts[0]": "c"}},
        {"name": "main/application-default.yaml", "source": {"hosts[0]": "a", "hosts[1]": "b"}},
    ],
}
MERGED = {"db.url": "marker-value", "hosts[0]": "c"}


async def test_the_merged_properties_equal_a_plain_dict(
    server: ScriptedServer, fetch: Fetch
) -> None:
    server.answer_json(DOCUMENT)
    properties = await fetch()
    assert properties == MERGED
    assert properties == MERGED
    assert dict(properties) == MERGED
    assert (properties["db.url"], len(properties), list(properties)) == (
        "marker-value",
        2,
        ["db.url", "hosts[0]"],
    )
    assert (properties.name, properties.profiles, properties.label) == ("orders", ("prod",), None)
    assert "marker" not in repr(properties)
    with pytest.raises(TypeError):
        properties["a"] = 1


@pytest.mark.parametrize(
    ("how", "path"),
    [
        ({}, "/config/orders/prod"),
        ({"profile": "prod,eu"}, "/config/orders/prod,eu"),
        ({"profile": ["prod", "eu"]}, "/config/orders/prod,eu"),
        ({"label": "feature/x"}, "/config/orders/prod/feature(_)x"),
        ({"label": "main,rel"}, "/config/orders/prod/main,rel"),
        ({"base_path": ""}, "/orders/prod"),
        ({"base_path": "/a/b"}, "/a/b/orders/prod"),
        ({"application": "team/orders"}, "/config/team(_)orders/prod"),
    ],
)
async def test_the_request_is_the_one_of_the_contract(
    server: ScriptedServer, fetch: Fetch, how: Any, path: str
) -> None:
    profiles = how.get("profile", "prod")
    joined = profiles if isinstance(profiles, str) else ",".join(profiles)
    document = DOCUMENT | {"name": how.get("application", "orders"), "profiles": [joined]}
    server.answer_json(document)
    await fetch(**how)
    (request,) = server.requests
    lines = request.lower().split("\r\n")
    assert request.startswith(f"GET {path} HTTP/1.1\r\n")
    v2 = "application/vnd.spring-cloud.config-server.v2+json"
    assert f"accept: {v2}, application/json;q=0.9" in lines
    assert "accept-encoding: identity" in lines
    assert not [line for line in lines if line.startswith("authorization")]


@pytest.mark.parametrize(
    ("how", "user_info", "sent"),
    [
        ({"username": "u", "password": "p:w"}, "", b"u:p:w"),
        ({"password": "p"}, "", b"user:p"),
        ({}, "a%40b:c%2Fd@", b"a@b:c/d"),
        ({"password": "wins"}, "a:b@", b"a:wins"),
        ({"username": "wins"}, "a:b@", b"wins:b"),
    ],
)
async def test_basic_credentials(
    server: ScriptedServer, fetch: Fetch, how: Any, user_info: str, sent: bytes
) -> None:
    server.answer_json(DOCUMENT)
    await fetch(server_url=server.url.replace("http://", f"http://{user_info}"), **how)
    assert f"Basic {base64.b64encode(sent).decode()}\r\n" in server.requests[0]


async def test_a_bearer_token(server: ScriptedServer, fetch: Fetch) -> None:
    server.answer_json(DOCUMENT)
    await fetch(token="t0k3n")
    assert "Bearer t0k3n\r\n" in server.requests[0]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("401 Unauthorized", "credential is missing or wrong"),
        ("403 Forbidden", "does not allow"),
        ("404 Not Found", "label does not exist"),
        ("500 Internal Server Error", "log of the server"),
        ("302 Found", "redirects are not followed"),
        ("204 No Content", "log of the server"),
    ],
)
async def test_another_status_is_an_error_that_advises(
    server: ScriptedServer, fetch: Fetch, status: str, advice: str
) -> None:
    code = int(status[:3])
    body = b"" if code == 204 else json.dumps({"status": code}).encode()
    server.answer_json(body, f"Location: {server.url}/elsewhere", status=status)
    with pytest.raises(ServerRejectedError, match=advice) as caught:
        await fetch(server_url=server.url.replace("http://", "http://u:marker-pw@"))
    assert caught.value.status == code
    assert caught.value.problem == (None if code == 204 else {"status": code})
    assert "marker-pw" not in str(caught.value) + repr(caught.value)
    assert len(server.requests) == 1


def changed(**fields: Any) -> bytes:
    return json.dumps(DOCUMENT | fields).encode()


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"<html>marker-value</html>", ["Content-Type: text/html"], "not JSON"),
        (b"", ["Content-Type: application/json"], "no body"),
        (b"{", ["Content-Type: application/json"], "line 1, column 2"),
        (
            b'{"a": 1, "a": 2}',
            ["Content-Type: application/json"],
            "a key twice",
        ),
        (b'{"a": NaN}', ["Content-Type: application/json"], "not JSON"),
        (b"\xff\xfe", ["Content-Type: application/json"], "not JSON"),
        (b"[" * 100_000, ["Content-Type: application/json"], "nested too deeply"),
        (b"[]", ["Content-Type: application/json"], "not an object"),
        (changed(name="billing"), ["Content-Type: application/json"], "is for 'billing'"),
        (changed(profiles=["dev"]), ["Content-Type: application/json"], "were not requested"),
        (changed(propertySources=[]), ["Content-Type: application/json"], "nothing is stored"),
        (changed(propertySources={}), ["Content-Type: application/json"], "propertySources"),
        (
            changed(),
            ["Content-Type: application/json", "Content-Digest: sha-256=:AAAA:"],
            "Content-Digest",
        ),
        (
            changed(),
            ["Content-Type: application/json", "Content-Digest: md5=:AAAA:"],
            "Content-Digest",
        ),
        (
            changed(),
            ["Content-Type: application/json", "Content-Digest: sha-256=:!:"],
            "Content-Digest",
        ),
        (
            gzip.compress(changed(), mtime=0),  # the name of the test
            ["Content-Type: application/json", "Content-Encoding: gzip"],
            "content encoding",
        ),
        (b"x" * 9_000_000, ["Content-Type: application/json"], "larger than 8,388,608"),
    ],
)
async def test_another_payload_is_refused(
    server: ScriptedServer, fetch: Fetch, body: bytes, headers: list[str], said: str
) -> None:
    server.answer(body, *headers)
    with pytest.raises(InvalidPayloadError, match=said) as caught:
        await fetch()
    assert "marker-value" not in str(caught.value)


async def test_nothing_stored_is_accepted_on_demand(server: ScriptedServer, fetch: Fetch) -> None:
    server.answer_json(changed(propertySources=[]))
    assert await fetch(allow_empty=True) == {}


async def test_a_right_digest_is_accepted(server: ScriptedServer, fetch: Fetch) -> None:
    body = changed()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    server.answer_json(body, f"Content-Digest: md5=:AAAA:, sha-256=:{digest}:", length=False)
    assert await fetch() == MERGED


async def test_a_cut_body_is_never_configuration(server: ScriptedServer, fetch: Fetch) -> None:
    body = changed()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    server.answer_json(body, f"Content-Digest: sha-256=:{digest}:")
    server.chunks[0] = server.chunks[0][:-20]
    with pytest.raises(ServerUnreachableError):
        await fetch()
    server.answer_json(body[:-20], f"Content-Digest: sha-256=:{digest}:", length=False)
    with pytest.raises(InvalidPayloadError, match="Content-Digest"):
        await fetch()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["headers", "body"])
async def test_a_dripping_answer_ends_at_the_deadline(
    server: ScriptedServer, fetch: Fetch, part: str
) -> None:
    server.answer_json(changed())
    whole = server.chunks[0]
    start = 0 if part == "headers" else whole.index(b"\r\n\r\n") + 4
    server.chunks = [whole[:start], *(bytes([byte]) for byte in whole[start:])]
    server.pause = 0.1
    started = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=r"within 0\.7 s"):
        await fetch(timeout=0.7)
    assert time.monotonic() - started < 10  # far from the minute that the drip would take


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-"])
async def test_no_http_is_an_unreachable_server(
    server: ScriptedServer, fetch: Fetch, answer: bytes
) -> None:
    server.chunks = [answer]
    with pytest.raises(ServerUnreachableError):
        await fetch()


async def test_a_refused_connection_is_an_unreachable_server(fetch: Fetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ServerUnreachableError, match="check that the server is running"):
        await fetch(server_url=f"http://127.0.0.1:{port}")


async def test_proxies_of_the_environment_are_not_used(
    server: ScriptedServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answer_json(DOCUMENT)
    assert await fetch() == MERGED


async def test_a_transport_of_somebody_else_is_used_and_left_open() -> None:
    class Transport(httpx.AsyncBaseTransport):
        closed = False

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            assert str(request.url) == "http://config/config/orders/prod"
            return httpx.Response(200, json=DOCUMENT)

        async def aclose(self) -> None:
            self.closed = True

    transport = Transport()
    client = ConfigClient(
        server_url="http://config",
        application="orders",
        profile="prod",
        transport=HttpxTransport(transport),
    )
    assert await client.fetch() == MERGED
    assert not transport.closed


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"application": "../x"}, InvalidConfigKeyError),
        ({"profile": "a,,b"}, InvalidConfigKeyError),
        ({"label": "a b"}, InvalidConfigKeyError),
        ({"server_url": "config:8888"}, ValueError),
        ({"server_url": "http://config/?x=1"}, ValueError),
        ({"base_path": "config"}, ValueError),
        ({"base_path": "/config/"}, ValueError),
        ({"username": "u", "password": "p", "token": "t"}, ValueError),
        ({"username": "u"}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": math.nan}, ValueError),
        ({"timeout": math.inf}, ValueError),
        ({"timeout": 86_401}, ValueError),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_at_once(how: Any, kind: Any) -> None:
    arguments: Any = {"server_url": "http://config:8888", "application": "orders"} | how
    for client in (ConfigClient, SyncConfigClient):
        with pytest.raises(kind):
            client(**arguments)


def test_no_credential_shows_in_a_representation() -> None:
    url = "http://user:marker-pw@config:8888"
    client = ConfigClient(server_url=url, application="orders")
    assert repr(client) == "ConfigClient('http://config:8888/config/orders/default')"
    assert "marker-pw" not in repr(vars(client))


def test_no_value_inside_a_client_shows_a_secret() -> None:
    url = "http://user:marker-pw@config:8888"
    client = SyncConfigClient(server_url=url, application="orders", profile="prod")
    with FakeConfigServer() as server:
        server.put("orders", "prod", {"key": "marker-value", "other": "${key}"})
        properties = client.fetch()
        job, loaded = client._session.job(), client._session.in_use
    values = (job, job.requests, client.config.servers, loaded, loaded.snapshot)
    for one in (
        *values,
        properties._merged,
        Revalidation(loaded=loaded),
        Credentials(token="marker"),
    ):
        assert "marker" not in repr(one)


def every(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from every(child)


def test_every_exception_of_httpx_has_a_place_in_our_tree() -> None:
    roots = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
    known = {kind for root in roots for kind in every(root)}
    public = {
        kind
        for kind in vars(httpx).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert public - known == {httpx.CookieConflict}  # no cookies are kept
    for kind in known:
        error: Any = kind.__new__(kind)
        assert isinstance(translate(error, error, "http://config"), ConfigClientError)
