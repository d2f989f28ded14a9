"""Issuers of tokens, their keys, and tokens that they sign."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

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


@contextlib.contextmanager
def serve_issuer() -> Generator[IssuerServer]:
    """Serve an issuer while the context lasts."""
    served = IssuerServer()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
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
