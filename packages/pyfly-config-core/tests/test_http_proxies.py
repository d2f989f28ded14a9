"""What a trusted proxy says about its clients: addresses and identities, and who is refused."""

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from live_stores import DEADLINE, SELDOM, Reply, bundle, until

from pyfly.config_server import (
    AccessFileAuthenticator,
    Authenticator,
    AuthenticatorGroup,
    ConfigServer,
    ConfigServerApp,
    Controller,
    FollowedAccessFile,
    HealthSettings,
    HttpError,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
    ProxyPolicy,
    RequestNotes,
    SharedCredential,
    SlowedAuthenticator,
)
from pyfly.config_server.access.tokens import digest_of, make_token
from pyfly.config_server.audit import Audit, AuditEvent

pytestmark = pytest.mark.anyio

Header = tuple[bytes, bytes]
PROXY, ELSEWHERE, CLIENT = "10.1.2.3", "192.0.2.9", "198.51.100.7"
POLICY = ProxyPolicy(
    trusted=("10.1.0.0/16", "127.0.0.1", "fd00::/8"), identity_header="X-Client-Subject"
)
ORDERS, BILLING, GONE = "CN=orders,OU=shop", "CN=billing,OU=shop", "CN=gone"
TOKEN = make_token()
ACCESS = f"""
[principals.orders]
identities = ["{ORDERS}", "/OU=shop/CN=orders"]
rules = [{{ rights = ["read"], on = "orders/*/*" }}]
tokens = [{{ id = "1", sha256 = "{digest_of(TOKEN.encode()).hex()}" }}]

[principals.billing]
identities = ["{BILLING}"]
rules = [{{ rights = ["read", "write"], on = "billing/*/*" }}]

[principals.gone]
active = false
identities = ["{GONE}"]
rules = [{{ rights = ["read"], on = "*/*/*" }}]

[principals.ended]
expires = 2020-01-01T00:00:00Z
identities = ["CN=ended"]
rules = [{{ rights = ["read"], on = "*/*/*" }}]
"""


def subject(text: str) -> Header:
    return b"X-Client-Subject", text.encode("latin-1")


def forwarded(text: str) -> Header:
    return b"X-Forwarded-For", text.encode("latin-1")


def sent(*headers: Header, client: str | None = PROXY, **options: Any) -> HttpRequest:
    path = options.pop("path", b"/config/orders/prod")
    method = options.pop("method", "GET")
    return HttpRequest(method=method, raw_path=path, headers=headers, client=client, **options)


def resolve(request: HttpRequest, policy: ProxyPolicy = POLICY) -> HttpRequest:
    found, refusal = policy.resolve(request)
    assert (refusal and refusal.status) == policy.status(request)
    if refusal is not None:
        assert found.identity is None
        raise refusal
    return found


# --- what is believed ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "values", "client"),
    [
        (PROXY, [CLIENT], CLIENT),
        (PROXY, [f"6.6.6.6, {CLIENT}"], CLIENT),
        (PROXY, [f"6.6.6.6,{CLIENT} , 10.1.9.9,10.1.0.1"], CLIENT),
        (PROXY, ["6.6.6.6", CLIENT, "10.1.9.9"], CLIENT),
        (PROXY, ["10.1.0.1, 10.1.0.2"], "10.1.0.1"),
        (PROXY, [f"garbage, 10.1.0.1\t, {CLIENT}"], CLIENT),
        (PROXY, [f"{CLIENT}:4711"], CLIENT),
        (PROXY, ["[2001:db8::1]:4711"], "2001:db8::1"),
        (PROXY, ["2001:DB8:0::1"], "2001:db8::1"),
        (PROXY, [f"::ffff:{CLIENT}"], CLIENT),
        (PROXY, [f"{CLIENT}, fd00::5, [fd00::6]"], CLIENT),
        ("::ffff:10.1.2.3", [CLIENT], CLIENT),
        ("fd12::1", [CLIENT], CLIENT),
        ("127.0.0.1", [CLIENT], CLIENT),
        (PROXY, [", ".join([CLIENT, *["10.1.0.1"] * 31])], CLIENT),
        (PROXY, ["x," * 20_000 + CLIENT], CLIENT),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(
    peer: str, values: Sequence[str], client: str
) -> None:
    found = resolve(sent(*map(forwarded, values), client=peer))
    assert (found.client, found.identity) == (client, None)


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "unknown", "_hidden", "unix:", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.4:x"),
        *(f"{CLIENT},", f"{CLIENT}, unknown", "1.2.3.4:123456", "[::1", "fe80::1%eth0"),
        *("999.1.1.1", "\xb2.1.1.1", '"1.2.3.4"', "for=1.2.3.4", f"{CLIENT}\x00"),
        ", ".join([CLIENT, *["10.1.0.1"] * 33]),
    ],
)
def test_what_a_proxy_sends_as_addresses_must_be_addresses(value: str) -> None:
    with pytest.raises(HttpError) as caught:
        resolve(sent(forwarded(value)))
    assert (caught.value.status, caught.value.code) == (400, "invalid-forwarded-for")


def test_without_these_headers_nothing_changes() -> None:
    for client in (PROXY, ELSEWHERE, None, "a.name"):
        request = sent((b"Forwarded", b"for=6.6.6.6"), client=client)
        assert resolve(request) is request


@pytest.mark.parametrize("client", [ELSEWHERE, "10.2.0.1", "::ffff:10.2.0.1", "", None, "a.name"])
@pytest.mark.parametrize("header", [subject(ORDERS), subject(""), forwarded(CLIENT), forwarded("")])
def test_from_anybody_else_such_a_header_is_refused(client: str | None, header: Header) -> None:
    for name in (header[0], header[0].lower(), header[0].upper()):
        with pytest.raises(HttpError, match="from trusted proxies only") as caught:
            resolve(sent((name, header[1]), client=client))
        assert (caught.value.status, caught.value.code) == (400, "untrusted-proxy")
        assert header[0].decode() in str(caught.value)


def test_an_identity_is_what_the_proxy_sends_and_the_address_too() -> None:
    found = resolve(sent(subject(f" {ORDERS}\t"), forwarded(CLIENT)))
    assert (found.client, found.identity) == (CLIENT, ORDERS)
    found = resolve(sent(subject("")))  # as a proxy sends without a certificate
    assert (found.client, found.identity) == (PROXY, None)
    escaped = r"CN=a,O=Foo\, Inc"
    assert resolve(sent(subject(escaped))).identity == escaped
    longest = "CN=" + "a" * 1021
    assert resolve(sent(subject(longest))).identity == longest


@pytest.mark.parametrize(
    "value",
    [
        *("CN=a\x00", "CN=a\x01b", "CN=a\tb", "CN=a\x7f", "CN=\xe9", "CN=a\x80", "a" * 1025),
        *(f"{ORDERS}, {BILLING}", r"O=Foo\\, Inc", "CN=a, CN=b", ", CN=a", "a\r\nb"),
    ],
)
def test_a_malformed_identity_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(HttpError) as caught:
        resolve(sent(subject(value)))
    assert (caught.value.status, caught.value.code) == (400, "invalid-identity")
    assert value not in str(caught.value)


def test_an_identity_comes_once_and_alone() -> None:
    for pair in ([ORDERS, ORDERS], [ORDERS, ""], ["", BILLING]):
        with pytest.raises(HttpError, match="send X-Client-Subject once"):
            resolve(sent(*map(subject, pair)))
    for credential in (f"Bearer {TOKEN}".encode(), b""):
        with pytest.raises(HttpError, match="either X-Client-Subject or Authorization") as caught:
            resolve(sent(subject(ORDERS), (b"Authorization", credential)))
        assert caught.value.code == "ambiguous-credential"
    found = resolve(sent(subject(""), (b"Authorization", b"Bearer x")))
    assert found.identity is None


def test_without_an_identity_header_it_is_a_header_like_others() -> None:
    policy = ProxyPolicy(trusted=[PROXY])
    for client in (PROXY, ELSEWHERE):
        assert resolve(sent(subject(ORDERS), client=client), policy).identity is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trusted": ()}, "name the address of a proxy"),
        ({"trusted": ["proxy.example"]}, "'proxy.example' is not an address or a network"),
        ({"trusted": ["10.0.0.1/8"]}, "without bits behind the prefix"),
        ({"trusted": [""]}, "'' is not an address"),
        ({"trusted": ["0.0.0.0/0"]}, "everybody would be trusted"),
        ({"trusted": ["10.0.0.1", "::/0"]}, "everybody would be trusted"),
        ({"trusted": ["::ffff:0:0/96"]}, "everybody would be trusted"),
        ({"trusted": ["::ffff:0.0.0.0/96"]}, "everybody would be trusted"),
        ({"trusted": ["fe80::1%eth0"]}, "without a zone"),
        ({"trusted": ["fe80::%eth0/64"]}, "without a zone"),
        ({"identity_header": ""}, "give a name"),
        ({"identity_header": "X Subject"}, "give a name"),
        ({"identity_header": "X_Subject"}, "give a name"),
        ({"identity_header": "a" * 65}, "give a name"),
        ({"identity_header": "Authorization"}, "Authorization has another meaning"),
        ({"identity_header": "x-forwarded-for"}, "has another meaning"),
        ({"identity_header": "If-None-Match"}, "has another meaning"),
        ({"identity_header": "X-Request-Id"}, "has another meaning"),
        ({"identity_header": "Proxy-Authorization"}, "has another meaning"),
        ({"identity_header": "traceparent"}, "has another meaning"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(options: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"trusted": [PROXY], **options}
    with pytest.raises(ValueError, match=said):
        ProxyPolicy(**given)


@pytest.mark.parametrize("network", ["::ffff:10.1.2.3", "::ffff:10.1.0.0/112", "::ffff:a01:0/112"])
def test_a_network_of_mapped_addresses_is_that_of_ipv4(network: str) -> None:
    policy = ProxyPolicy(trusted=[network])
    for peer in (PROXY, f"::ffff:{PROXY}"):
        assert resolve(sent(forwarded(CLIENT), client=peer), policy).client == CLIENT
    assert policy.status(sent(forwarded(CLIENT), client="10.2.2.3")) == 400


# --- who signs in ------------------------------------------------------------------------


class Sink:
    """Keeps events in a list."""

    problem = None

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def note(self, event: AuditEvent) -> None:
        self.events.append(event)

    async def keep(self, event: AuditEvent) -> None:
        self.note(event)

    async def aclose(self) -> None:
        pass


@pytest.fixture
def auth(tmp_path: Path) -> Authenticator:
    path = tmp_path / "access.toml"
    path.write_text(ACCESS, encoding="utf-8")
    path.chmod(0o600)
    principals = AccessFileAuthenticator(FollowedAccessFile(path))
    group = AuthenticatorGroup(SharedCredential.bearer("shared"), principals)

    async def sleep(seconds: float) -> None:
        del seconds

    return SlowedAuthenticator(group, sleep=sleep)


async def stored() -> InMemoryConfigBackend:
    store = InMemoryConfigBackend()
    for application in ("orders", "billing"):
        await store.save(bundle(application, "prod", n=application))
    return store


@pytest.fixture
def sink() -> Sink:
    return Sink()


async def answer(auth: Authenticator, request: HttpRequest, sink: Sink | None = None) -> Any:
    controller = Controller(
        ConfigServer(await stored()),
        auth=auth,
        health=HealthSettings(),
        proxies=POLICY,
        audit=None if sink is None else Audit(sink),
    )
    return await controller.handle(request)


def names(sink: Sink, *fields: str) -> list[tuple[object, ...]]:
    return [tuple(getattr(event, one) for one in fields) for event in sink.events]


async def test_an_identity_signs_in_as_its_principal(auth: Authenticator) -> None:
    for identity, name in (
        (ORDERS, "orders"),
        ("/OU=shop/CN=orders", "orders"),
        (BILLING, "billing"),
    ):
        notes = RequestNotes()
        request = sent(subject(identity), forwarded(CLIENT), path=b"/config/_whoami", notes=notes)
        response: HttpResponse = await answer(auth, request)
        assert response.status == 200
        assert json.loads(response.body)["name"] == name
        assert (notes.principal, notes.client) == (name, CLIENT)
    assert (await answer(auth, sent(subject(ORDERS)))).status == 200
    assert (await answer(auth, sent(subject(BILLING)))).status == 403


@pytest.mark.parametrize(
    "identity",
    ["CN=other", "orders", "CN=Orders,OU=shop", ORDERS + " x", "CN=orders", GONE, "CN=ended"],
)
async def test_any_other_identity_is_unauthorized(
    auth: Authenticator, sink: Sink, caplog: pytest.LogCaptureFixture, identity: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = await answer(auth, sent(subject(identity), forwarded(CLIENT)), sink)
    assert response.status == 401
    assert f"failed sign-in from {CLIENT} with an identity" in caplog.messages
    assert identity not in json.loads(response.body).get("message", "")
    assert identity not in caplog.text
    assert names(sink, "operation", "status", "credential", "client", "principal") == [
        ("signIn", 401, "identity", CLIENT, None)
    ]


async def test_without_an_identity_a_proxy_passes_other_credentials_on(auth: Authenticator) -> None:
    for header in (
        (b"authorization", f"Bearer {TOKEN}".encode()),
        (b"authorization", b"Bearer shared"),
    ):
        assert (await answer(auth, sent(header, forwarded(CLIENT)))).status == 200
        assert (await answer(auth, sent(header, subject("")))).status == 200
        assert (await answer(auth, sent(header, client=ELSEWHERE))).status == 200
    assert (await answer(auth, sent(forwarded(CLIENT)))).status == 401


PATHS = (
    *(b"/config/orders/prod", b"/config/orders-prod.yml", b"/config/_whoami", b"/config/_bundles"),
    *(b"/config/_openapi.json", b"/config/none/such/route/at/all", b"/config", b"/elsewhere"),
    *(b"/metrics", b"/monitor", b"/config/pro%"),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
async def test_every_route_refuses_what_an_untrusted_sender_says(
    auth: Authenticator, path: bytes, method: str
) -> None:
    right = (b"authorization", b"Bearer shared")
    for header in (subject(ORDERS), forwarded(CLIENT)):
        for headers in ([header], [header, right]):
            request = sent(*headers, client=ELSEWHERE, path=path, method=method)
            response = await answer(auth, request)
            assert response.status == 400, headers
            assert method == "HEAD" or b"from trusted proxies only" in response.body


@pytest.mark.parametrize("path", [b"/health/live", b"/health/ready", b"/actuator/health"])
async def test_health_does_not_ask(auth: Authenticator, path: bytes) -> None:
    for client in (PROXY, ELSEWHERE):
        response = await answer(
            auth, sent(subject("\x00"), forwarded("x"), client=client, path=path)
        )
        assert response.status in {200, 503}


async def test_a_forged_identity_is_recorded_with_its_sender(
    auth: Authenticator, sink: Sink
) -> None:
    response = await answer(auth, sent(subject(ORDERS), client=ELSEWHERE), sink)
    assert response.status == 400
    await answer(auth, sent(forwarded(CLIENT), client=ELSEWHERE), sink)  # names nobody
    both = (subject(ORDERS), (b"authorization", b"Bearer x"), forwarded(CLIENT))
    assert (await answer(auth, sent(*both), sink)).status == 400
    await answer(auth, sent(subject(BILLING), path=b"/config/orders/prod"), sink)
    assert names(sink, "operation", "result", "status", "credential", "client", "principal") == [
        ("signIn", "refused", 400, "identity", ELSEWHERE, None),
        ("signIn", "refused", 400, "identity", CLIENT, None),
        ("environment", "refused", 403, None, PROXY, "billing"),
    ]


async def test_failures_count_for_the_client_and_not_for_its_proxy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    auth = SlowedAuthenticator(SharedCredential.bearer("right"), sleep=sleep, clock=lambda: 0.0)
    wrong = (b"authorization", b"Bearer wrong")
    for _ in range(7):
        assert (await answer(auth, sent(wrong, forwarded(CLIENT)))).status == 401
    assert waited == [0.1, 0.2]
    assert (await answer(auth, sent(wrong, forwarded("203.0.113.1")))).status == 401
    assert waited == [0.1, 0.2]
    assert caplog.messages == [
        f"failed sign-in from {CLIENT} with a token",
        "failed sign-in from 203.0.113.1 with a token",
    ]


# --- answers from memory -----------------------------------------------------------------


def scope_of(
    *headers: Header, path: str = "/config/orders/prod", client: str = PROXY
) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in headers],
        "client": (client, 4711),
    }


async def ask(
    app: ConfigServerApp, *headers: Header, path: str = "/config/orders/prod", client: str = PROXY
) -> Reply:
    messages: list[Any] = []
    answered = asyncio.Event()

    async def receive() -> Any:
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    try:
        await app(scope_of(*headers, path=path, client=client), receive, send)
    finally:
        answered.set()
    return Reply(messages)


async def status(app: ConfigServerApp, *headers: Header, **options: str) -> int:
    return (await ask(app, *headers, **options)).status


async def test_a_ready_answer_never_goes_to_another_identity(auth: Authenticator) -> None:
    app = ConfigServerApp(ConfigServer(await stored()), auth=auth, live=SELDOM, proxies=POLICY)
    token = (b"authorization", f"Bearer {TOKEN}".encode())
    async with app:
        assert app.live is not None
        expected = (await ask(app, token)).body
        assert b'"n":"orders"' in expected
        assert (await ask(app, token)).body == expected
        hits = app.live.counters.hits
        assert (await ask(app, token)).body == expected
        assert app.live.counters.hits == hits + 1  # it is answered in front of the controller
        # a server that knows requests again by their bytes asks for all but these
        assert app.recognize(scope_of(token)) is not None
        for header in (subject(ORDERS), subject(""), forwarded(CLIENT)):
            assert app.recognize(scope_of(token, header)) is None
            assert app.recognize(scope_of(header)) is None
        for _ in range(10):
            for headers in ([subject(ORDERS)], [token], [token, forwarded(CLIENT)]):
                assert (await ask(app, *headers)).body == expected
            assert await status(app, subject(BILLING)) == 403
            assert await status(app) == 401
            assert await status(app, subject("CN=other")) == 401
            assert await status(app, token, subject(BILLING)) == 400
            assert await status(app, subject(ORDERS), subject(BILLING)) == 400
            for client in (ELSEWHERE, "10.2.0.1"):
                assert await status(app, subject(ORDERS), client=client) == 400
                assert await status(app, token, subject(ORDERS), client=client) == 400
                assert await status(app, token, forwarded(CLIENT), client=client) == 400
                assert (await ask(app, token, client=client)).body == expected
            assert await status(app, subject(BILLING), path="/config/billing/prod") == 200
            assert await status(app, subject(ORDERS), path="/config/billing/prod") == 403


@pytest.mark.slow
async def test_a_request_of_an_identity_is_held_and_decided_again(
    auth: Authenticator, tmp_path: Path
) -> None:
    app = ConfigServerApp(ConfigServer(await stored()), auth=auth, live=SELDOM, proxies=POLICY)
    async with app, asyncio.timeout(DEADLINE):
        assert app.live is not None
        watching = app.live.watching
        tag = (await ask(app, subject(ORDERS))).headers[b"etag"]
        waiting = ((b"if-none-match", tag), (b"prefer", b"wait=300"))
        assert await status(app, subject(BILLING), *waiting) == 403
        held = asyncio.create_task(ask(app, subject(ORDERS), *waiting))
        await until(lambda: watching.count == 1)
        file = tmp_path / "access.toml"
        file.write_text(ACCESS.replace("orders/*/*", "orders-eu/*/*"), encoding="utf-8")
        while await status(app, subject(ORDERS)) != 403:  # noqa: ASYNC110 - the file is followed
            await asyncio.sleep(0.05)
        app.release()
        assert (await held).status == 403
