"""Signing in with JSON Web Tokens of an issuer that publishes its keys over HTTP."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from pyfly.config_core import ConfigFormatError, WebTokensNotInstalledError
from pyfly.config_server import AccessFileAuthenticator, FollowedAccessFile
from pyfly.config_server.access import followed_file, issued_tokens, key_sources
from pyfly.config_server.access.issued_tokens import load_keys
from pyfly.config_server.access.issuers import Issuer
from pyfly.config_server.access.key_sources import IssuerKeysError
from pyfly.config_server.access.tokens import make_token
from pyfly.config_server.access.web_keys import parse_keys
from pyfly.config_server.access.web_tokens import WebTokenError, read_token

pytestmark = pytest.mark.anyio

_LINE = b"\r\n"
ISS = "https://issuer.example"
SUB = "system:serviceaccount:shop:orders"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def rsa_key(key: rsa.RSAPrivateKey, kid: str | None = "r1", **more: object) -> dict[str, Any]:
    document = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**document, **({} if kid is None else {"kid": kid}), **more}


def ec_key(key: ec.EllipticCurvePrivateKey, kid: str) -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


KEYS = key_set(rsa_key(RSA), ec_key(EC, "e1"))


def claims(**changed: object) -> dict[str, Any]:
    now = int(time.time())
    values: dict[str, object] = {
        "iss": ISS,
        "aud": ["pyfly-config"],
        "sub": SUB,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in (values | changed).items() if value is not None}


def token(
    payload: dict[str, Any] | bytes | None = None,
    *,
    key: Any = RSA,
    algorithm: str = "RS256",
    **header: object,
) -> str:
    body = claims() if payload is None else payload
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {name: value for name, value in ({"kid": "r1"} | header).items() if value is not None}
    return jwt.api_jws.encode(data, key, algorithm=algorithm, headers=headers)


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def joined(*parts: bytes | str) -> str:
    """Return a token of these texts; bytes are encoded."""
    return ".".join(part(one) if isinstance(one, bytes) else one for one in parts)


def signed(header: bytes, payload: bytes) -> str:
    """Return a token with exactly these texts and the right signature."""
    text = joined(header, payload)
    algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
    return f"{text}.{part(algorithm.sign(text.encode(), RSA))}"


class IssuerServer:
    """An issuer on loopback; what it answers can be changed."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, KEYS)
        self.asked: list[str | None] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.headers.get("authorization"))
                status, headers, body = issuer.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as there
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"


@pytest.fixture
def issuer() -> Iterator[IssuerServer]:
    served = IssuerServer()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def access_text(url: str, *, more: str = "", algorithms: str = "") -> str:
    return f"""
[issuers.cluster]
issuer = "{ISS}"
audiences = ["pyfly-config", "second"]
keys-url = "{url}"
{algorithms}

[principals.orders]
rules = [{{ rights = ["read"], on = "orders/*/*" }}]
subjects = [{{ issuer = "cluster", claims = {{ sub = "{SUB}" }} }}]

[principals.operators]
rules = [{{ rights = ["operate"], on = "*/*/*" }}]
subjects = [
    {{ issuer = "cluster", claims = {{ groups = "ops" }} }},
    {{ issuer = "cluster", claims = {{ realm = {{ roles = "ops" }}, verified = true }} }},
]
{more}
"""


def write(path: Path, text: str) -> None:
    other = path.with_suffix(".new")
    other.write_text(text, encoding="utf-8")
    other.chmod(0o600)
    other.replace(path)


def bearer(text: str) -> bytes:
    return f"Bearer {text}".encode()


def name_of(auth: AccessFileAuthenticator, text: str) -> str | None:
    principal = auth.principal_of(bearer(text))
    return None if principal is None else principal.name


async def eventually(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110 - other tasks change it
            await asyncio.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path, issuer: IssuerServer) -> Path:
    path = tmp_path / "access.toml"
    write(path, access_text(issuer.url))
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued_tokens, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(followed_file, "LOOK_SECONDS", 0.01)


@pytest.fixture
async def auth(path: Path) -> AsyncIterator[AccessFileAuthenticator]:
    auth = AccessFileAuthenticator(FollowedAccessFile(path))
    auth.start()
    good = token()
    await eventually(lambda: name_of(auth, good) == "orders")
    yield auth
    await auth.aclose()


async def test_a_token_signs_in_as_the_principal_that_its_claims_fit(
    auth: AccessFileAuthenticator,
) -> None:
    now = int(time.time())
    accepted = {
        token(): "orders",
        token(key=EC, algorithm="ES256", kid="e1"): "orders",
        token(claims(aud="second")): "orders",
        token(claims(exp=now - 30)): "orders",  # clocks differ
        token(claims(nbf=now + 30, iat=None)): "orders",
        token(claims(groups=["ops"])): "orders",  # the first principal of the file
        token(claims(sub="x", groups=["dev", "ops"])): "operators",
        token(claims(sub="x", groups="ops")): "operators",
        token(claims(sub=None, realm={"roles": ["ops"]}, verified=True)): "operators",
    }
    assert {text: name_of(auth, text) for text in accepted} == accepted


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": "other"},
        {"sub": [SUB]},
        {"sub": "x", "groups": ["ops2"]},
        {"sub": "x", "groups": {"ops": True}},
        {"sub": "x", "realm": {"roles": ["ops"]}},
        {"sub": "x", "realm": {"roles": ["ops"]}, "verified": 1},
        {"sub": "x", "realm": {"roles": ["ops"]}, "verified": "true"},
        {"sub": "x", "realm": "roles", "verified": True},
    ],
)
async def test_claims_that_fit_no_principal_are_refused(
    auth: AccessFileAuthenticator, changed: dict[str, object]
) -> None:
    assert name_of(auth, token(claims(**changed))) is None


def attacks() -> dict[str, str]:
    now = int(time.time())
    plain = json.dumps(claims()).encode()
    good = token()
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = joined(b'{"alg":"HS256","kid":"r1"}', plain)
    mac = hmac.digest(pem, confused.encode(), hashlib.sha256)
    header = b'{"alg":"RS256","kid":"r1"}'
    head, body, signature = good.split(".")
    return {
        "alg none": joined(b'{"alg":"none"}', plain, ""),
        "alg none with a signature": joined(b'{"alg":"none","kid":"r1"}', plain, signature),
        "HS256 with the public key": f"{confused}.{part(mac)}",
        "an algorithm that is not the issuer's": token(algorithm="RS512"),
        "a key of another type": token(key=EC, algorithm="ES256"),
        "a signature of another key": token(key=OTHER_RSA),
        "changed claims": joined(header, json.dumps(claims(jti="x")).encode(), signature),
        "changed header": f"{part(header + b' ')}.{body}.{signature}",
        "expired": token(claims(exp=now - 61)),
        "not yet": token(claims(nbf=now + 70)),
        "issued later": token(claims(iat=now + 70)),
        "another audience": token(claims(aud="other")),
        "audience as a part": token(claims(aud="pyfly")),
        "no audience": token(claims(aud=None)),
        "another issuer": token(claims(iss=f"{ISS}/")),
        "issuers": token(claims(iss=[ISS])),
        "no issuer": token(claims(iss=None)),
        "an unknown key": token(kid="r2"),
        "no key id where there are two keys": token(kid=None),
        "a key id that is no text": signed(b'{"alg":"RS256","kid":["r1"]}', plain),
        "huge": token(claims(jti="x" * 8192)),
        "a claim twice": signed(header, plain[:-1] + b',"sub":"%s"}' % SUB.encode()),
        "a claim twice, deeper": signed(header, plain[:-1] + b',"a":{"b":1,"b":2}}'),
        "a header member twice": signed(b'{"alg":"none","alg":"RS256","kid":"r1"}', plain),
        "critical members": signed(b'{"alg":"RS256","kid":"r1","crit":["exp"],"exp":1}', plain),
        "no end": token(claims(exp=None)),
        "end as text": token(claims(exp=str(now + 60))),
        "end as float": token(claims(exp=now + 60.5)),
        "end as true": token(claims(exp=True)),
        "end far away": token(claims(exp=now + 367 * 86_400)),
        "end of 5,000 digits": signed(
            header,
            json.dumps(claims(exp=0)).encode().replace(b'"exp": 0', b'"exp": ' + b"9" * 5000),
        ),
        "end is infinite": signed(
            header, json.dumps(claims(exp=0)).encode().replace(b'"exp": 0', b'"exp": Infinity')
        ),
        "times as text": token(claims(nbf=str(now))),
        "deep": signed(header, b"[" * 4000),
        "no object": signed(header, b"[]"),
        "no UTF-8": signed(header, b'{"\xff":1}'),
        "padding": good + "=",
        "a space": good.replace(".", ". ", 1),
        "no signature": f"{head}.{body}.",
        "encrypted": "a.b.c.d.e",
        "dots": "..",
    }


async def test_attacks_are_refused(auth: AccessFileAuthenticator) -> None:
    tokens = attacks()
    found = {attack: [name_of(auth, text) for _ in range(2)] for attack, text in tokens.items()}
    assert found == {attack: [None, None] for attack in tokens}
    assert name_of(auth, token()) == "orders"  # all else is right


async def test_the_principal_is_one_object_and_a_known_token_is_not_verified_again(
    auth: AccessFileAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, text = auth.principal_of(bearer(token())), token(claims(jti="a"))
    assert first is not None
    assert auth.principal_of(bearer(text)) is first
    basic = b"Basic " + base64.b64encode(f"orders:{text}".encode())
    wrong = b"Basic " + base64.b64encode(f"operators:{text}".encode())
    monkeypatch.setattr(issued_tokens, "read_token", None)  # it cannot be read again
    assert auth.principal_of(bearer(text)) is first
    assert auth.principal_of(basic) is first
    assert auth.principal_of(wrong) is None


async def test_a_known_token_is_refused_after_its_end(
    auth: AccessFileAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = int(time.time()) + 100
    text = token(claims(exp=end))
    assert name_of(auth, text) == "orders"
    grant = auth._issued.find(text.encode(), now=time.time())
    assert grant is not None
    assert grant.until == end
    lasting = auth._issued.find(token().encode(), now=1000.0 + time.time())
    assert lasting is not None
    assert lasting.until < time.time() + 1301


async def test_the_tokens_that_are_remembered_are_few(
    auth: AccessFileAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issued_tokens, "_MAX_FOUND", 3)
    for number in range(9):
        assert name_of(auth, token(claims(jti=str(number)))) == "orders"
        assert name_of(auth, token(kid=f"x{number}")) is None
    assert len(auth._issued._found) <= 3


async def test_a_deactivated_principal_is_refused_and_no_other_takes_its_place(
    auth: AccessFileAuthenticator, path: Path, issuer: IssuerServer
) -> None:
    text = token(claims(groups=["ops"]))
    assert name_of(auth, text) == "orders"
    write(
        path,
        access_text(issuer.url).replace(
            "[principals.orders]", "[principals.orders]\nactive = false"
        ),
    )
    await eventually(lambda: name_of(auth, text) is None)
    assert name_of(auth, token(claims(sub="x", groups=["ops"]))) == "operators"
    assert len(issuer.asked) == 1  # the issuer is the same


async def test_a_new_key_set_is_fetched_for_an_unknown_key_and_the_old_key_counts_no_more(
    auth: AccessFileAuthenticator, issuer: IssuerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = token(), token(key=OTHER_RSA, kid="r2")
    assert name_of(auth, old) == "orders"
    issuer.answer = (200, {}, key_set(rsa_key(OTHER_RSA, "r2")))
    for _ in range(50):
        assert name_of(auth, new) is None
        await asyncio.sleep(0.002)
    assert len(issuer.asked) == 1  # not again within 30 s
    monkeypatch.setattr(issued_tokens, "_AGAIN_SECONDS", 0.0)
    await eventually(lambda: name_of(auth, new) == "orders")
    assert len(issuer.asked) > 1  # each request for the unknown key asks, without the pause
    assert name_of(auth, old) is None  # this asks again, for the old key


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, {}, b""), "the answer is 503"),
        ((302, {"Location": "/keys"}, b""), "redirects are not followed"),
        ((200, {}, b'{"keys": []}'), "has no key"),
        ((200, {}, b"<html>"), "is not JSON"),
        ((200, {}, b'{"keys": [' + b" " * 300_000 + b"]}"), "262,144 bytes"),
        ((200, {}, key_set(*[rsa_key(RSA, str(n)) for n in range(65)])), "64 keys"),
        ((200, {}, key_set(rsa_key(RSA), rsa_key(OTHER_RSA))), "the id of another key"),
    ],
)
async def test_keys_stay_when_others_cannot_be_fetched(
    auth: AccessFileAuthenticator,
    issuer: IssuerServer,
    answer: tuple[int, dict[str, str], bytes],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = token()
    monkeypatch.setattr(issued_tokens, "_AGAIN_SECONDS", 0.0)
    issuer.answer = answer
    assert name_of(auth, token(kid="r9")) is None
    await eventually(lambda: auth.problem is not None)
    assert reason in str(auth.problem)
    await eventually(lambda: len(issuer.asked) > 3)
    assert name_of(auth, good) == "orders"
    errors = [one.message for one in caplog.records if one.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "the keys before stay in force" in errors[0]
    issuer.answer = (200, {}, KEYS)
    await eventually(lambda: auth.problem is None)
    assert name_of(auth, good) == "orders"


async def test_keys_that_cannot_be_fetched_for_a_day_are_given_up(
    auth: AccessFileAuthenticator,
    issuer: IssuerServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = token()
    assert name_of(auth, good) == "orders"
    monkeypatch.setattr(issued_tokens, "_AGAIN_SECONDS", 0.0)
    issuer.answer = (200, {}, key_set())
    assert name_of(auth, token(kid="r9")) is None
    await eventually(lambda: auth.problem is not None)
    assert name_of(auth, good) == "orders"
    monkeypatch.setattr(issued_tokens, "_KEPT_SECONDS", 0.0)  # the day is over
    await eventually(lambda: name_of(auth, good) is None)
    errors = [one.message for one in caplog.records if one.levelno == logging.ERROR]
    assert [one.rpartition("; ")[2] for one in errors] == [
        "the keys before stay in force for a day",
        "its tokens are refused",
    ]
    issuer.answer = (200, {}, KEYS)
    await eventually(lambda: name_of(auth, good) == "orders")


@pytest.fixture
def drip() -> Iterator[Callable[[bytes], str]]:
    """Return a function that starts a server which sends some bytes, then spaces without end."""
    with contextlib.ExitStack() as stack:

        def start(head: bytes) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(head)
                        while True:
                            connection.sendall(b" ")
                            time.sleep(0.05)

            threading.Thread(target=serve, daemon=True).start()
            return f"127.0.0.1:{listener.getsockname()[1]}"

        yield start


@pytest.mark.parametrize(
    ("scheme", "head"),
    [
        ("http", b"HTTP/1.1 200 OK\r\nX: "),
        ("http", b"HTTP/1.1 200 OK\r\n\r\n" + KEYS),
        ("https", b"\x16\x03\x03\x40\x00"),  # the beginning of a handshake
    ],
    ids=["headers", "body", "handshake"],
)
def test_an_answer_that_drips_is_given_up(
    drip: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch, scheme: str, head: bytes
) -> None:
    monkeypatch.setattr(key_sources, "FETCH_SECONDS", 0.3)
    url = f"{scheme}://{drip(head)}/keys"
    issuer = Issuer(name="x", issuer=ISS, audiences=("a",), keys_url=url)
    with pytest.raises(IssuerKeysError, match="the answer takes too long"):
        key_sources.read_key_set(issuer)
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]


def test_a_proxy_that_drips_is_given_up(
    drip: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sources, "FETCH_SECONDS", 0.3)
    monkeypatch.setenv("https_proxy", f"http://{drip(b'HTTP/1.1 200 OK' + _LINE + b'X: ')}")
    monkeypatch.setenv("no_proxy", "")
    issuer = Issuer(name="x", issuer=ISS, audiences=("a",), keys_url="https://keys.example/keys")
    with pytest.raises(IssuerKeysError, match="the answer takes too long"):
        key_sources.read_key_set(issuer)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://keys.example/keys", b"keys.example:443"),
        ("https://keys.example:8443/keys", b"keys.example:8443"),
        ("https://[2001:db8::1]/keys", b"[2001:db8::1]:443"),
        ("https://[2001:db8::1]:8443/keys", b"[2001:db8::1]:8443"),
    ],
)
def test_a_proxy_is_asked_for_the_host_and_may_refuse(
    monkeypatch: pytest.MonkeyPatch, url: str, authority: bytes
) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                asked.extend(iter(stream.readline, _LINE))
                stream.write(b"HTTP/1.1 407 No" + _LINE * 2)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://user:pass@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        issuer = Issuer(name="x", issuer=ISS, audiences=("a",), keys_url=url)
        with pytest.raises(IssuerKeysError, match=r"keys: the answer of the proxy is 407$"):
            key_sources.read_key_set(issuer)
        thread.join()
    assert asked[:2] == [b"CONNECT %s HTTP/1.1" % authority + _LINE, b"Host: " + authority + _LINE]
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz" in [one.strip() for one in asked]


@pytest.mark.parametrize("key", ["ca-file", "token-file"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"\xff", ""), (b"two\nlines", ""), (b"", "")],
    ids=["missing", "not ASCII", "two", "empty"],
)
def test_an_error_names_the_file_that_it_is_about(
    tmp_path: Path, key: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    files: dict[str, Any] = {key.replace("-", "_"): str(path)}
    url = "https://127.0.0.1:9/keys"
    issuer = Issuer(name="x", issuer=ISS, audiences=("a",), keys_url=url, **files)
    with pytest.raises(IssuerKeysError) as caught:
        key_sources.read_key_set(issuer)
    assert f"{url}: {key} {str(path)!r}: {reason}" in str(caught.value)
    assert "lines" not in str(caught.value)


async def test_a_server_starts_while_its_issuer_is_away(
    path: Path, issuer: IssuerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issued_tokens, "_AGAIN_SECONDS", 0.0)
    issuer.answer = (500, {}, b"")
    auth = AccessFileAuthenticator(FollowedAccessFile(path))
    good = token()
    assert name_of(auth, good) is None
    auth.start()
    await eventually(lambda: auth.problem is not None)
    assert name_of(auth, good) is None
    issuer.answer = (200, {}, KEYS)
    await eventually(lambda: name_of(auth, good) == "orders")
    await auth.aclose()


async def test_issuers_that_a_new_access_file_names_count(path: Path, issuer: IssuerServer) -> None:
    text = access_text(issuer.url)
    write(path, text.replace(ISS, "https://other.example"))
    auth = AccessFileAuthenticator(FollowedAccessFile(path))
    auth.start()
    good = token()
    await eventually(lambda: len(issuer.asked) == 1)
    assert name_of(auth, good) is None
    write(path, text)
    await eventually(lambda: name_of(auth, good) == "orders")
    write(path, "[principals.a]\n")
    await eventually(lambda: name_of(auth, good) is None)
    await auth.aclose()


async def test_the_bearer_token_of_a_key_url_is_read_for_each_fetch(
    tmp_path: Path, issuer: IssuerServer
) -> None:
    secret = tmp_path / "token"
    one = Issuer(
        name="c", issuer=ISS, audiences=("a",), keys_url=issuer.url, token_file=str(secret)
    )
    with pytest.raises(IssuerKeysError, match="No such file"):
        load_keys(one)
    for text in ("first\n", "second"):
        secret.write_text(text, encoding="utf-8")
        assert len(load_keys(one)) == 2
    issuer.answer = (302, {"Location": issuer.url}, b"")
    with pytest.raises(IssuerKeysError, match=r"302; redirects are not followed"):
        load_keys(one)
    assert issuer.asked == ["Bearer first", "Bearer second", "Bearer second"]


def test_the_certificate_of_a_key_url_is_checked(
    issuer: IssuerServer, make_certificate: Callable[..., Any]
) -> None:
    own, other = make_certificate("own"), make_certificate("other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.path, own.key)
    issuer.server.socket = context.wrap_socket(issuer.server.socket, server_side=True)
    url = issuer.url.replace("http:", "https:")

    def load(ca: Path) -> int:
        made = Issuer(name="c", issuer=ISS, audiences=("a",), keys_url=url, ca_file=str(ca))
        return len(load_keys(made))

    assert load(own.path) == 2
    with pytest.raises(IssuerKeysError, match="CERTIFICATE_VERIFY_FAILED"):
        load(other.path)
    with pytest.raises(IssuerKeysError, match="No such file"):
        load(own.path.with_suffix(".missing"))


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    one = Issuer(name="c", issuer=ISS, audiences=("a",), keys_file=str(file))
    with pytest.raises(IssuerKeysError, match=r"issuer c from .*keys\.json: No such file"):
        load_keys(one)
    file.write_bytes(KEYS)
    assert len(load_keys(one)) == 2
    file.write_bytes(KEYS + b" " * 300_000)
    with pytest.raises(IssuerKeysError, match="262,144 bytes"):
        load_keys(one)


WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (rsa_key(WEAK), "2048 to 8192 bits, not 1024"),
        (rsa_key(RSA, use="enc"), "not for signatures"),
        (rsa_key(RSA, key_ops=["encrypt"]), "not for signatures"),
        (rsa_key(RSA, alg="ES256"), "does not fit"),
        (rsa_key(RSA, e=part(b"\x01" + bytes(8) + b"\x01")), "exponent is too large"),
        (rsa_key(RSA, kid=None) | {"kid": 1}, "its id is no text"),
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "r1"}, "is not RSA"),
        ({"kty": "RSA", "kid": "r1"}, "a member is missing"),
        (ec_key(ec.generate_private_key(ec.SECP256K1()), "e"), "its curve is not"),
        (ec_key(EC, "e1") | {"x": part(bytes(32))}, "its members are no key"),
        ("text", "is not RSA"),
    ],
)
def test_a_key_that_is_weak_or_for_something_else_is_left_out(
    key: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(parse_keys(key_set(key, rsa_key(RSA, "good")), "keys.json")) == 1
    assert reason in caplog.text
    with pytest.raises(ConfigFormatError, match="has no key that can verify a token"):
        parse_keys(key_set(key), "keys.json")


def test_a_token_without_a_key_id_is_verified_by_the_only_key() -> None:
    one = Issuer(name="c", issuer=ISS, audiences=("pyfly-config",))
    keys = parse_keys(key_set(rsa_key(RSA, None)), "keys.json")
    keys.verify(read_token(token(kid=None).encode()), one)
    with pytest.raises(WebTokenError):
        keys.verify(read_token(token(kid=None, key=OTHER_RSA).encode()), one)
    with pytest.raises(WebTokenError):
        keys.verify(read_token(token().encode()), one)


def test_without_the_library_an_access_file_with_issuers_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = FollowedAccessFile(path)
    monkeypatch.delitem(sys.modules, "pyfly.config_server.access.web_keys", raising=False)
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(WebTokensNotInstalledError, match=r"pip install 'pyfly-config-core\[oidc"):
        AccessFileAuthenticator(file)


async def test_tokens_of_the_access_file_count_beside_those_of_an_issuer(
    path: Path, issuer: IssuerServer, auth: AccessFileAuthenticator
) -> None:
    secret = make_token()
    digest = hashlib.sha256(secret.encode()).hexdigest()
    more = f"[principals.person]\ntokens = [{{id = 'a', sha256 = '{digest}'}}]"
    write(path, access_text(issuer.url, more=more))
    await eventually(lambda: name_of(auth, secret) == "person")
    assert name_of(auth, token()) == "orders"
