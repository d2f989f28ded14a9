"""Signing in with JSON Web Tokens of an issuer that publishes its keys over HTTP."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from token_issuers import (
    EC,
    ISS,
    KEYS,
    OTHER_RSA,
    RSA,
    SUB,
    IssuerServer,
    access_text,
    claims,
    joined,
    key_set,
    part,
    rsa_key,
    serve_issuer,
    signed,
    token,
)

from pyfly.config_core import WebTokensNotInstalledError
from pyfly.config_server import AccessFileAuthenticator, FollowedAccessFile
from pyfly.config_server.access import followed_file, issued_tokens
from pyfly.config_server.access.tokens import make_token

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer() -> Iterator[IssuerServer]:
    with serve_issuer() as served:
        yield served


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
