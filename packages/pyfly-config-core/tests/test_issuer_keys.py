"""The keys of an issuer: how they are fetched or read, and which of them count."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from token_issuers import (
    EC,
    ISS,
    KEYS,
    OTHER_RSA,
    RSA,
    IssuerServer,
    ec_key,
    key_set,
    part,
    rsa_key,
    serve_issuer,
    token,
)

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.access import key_sources
from pyfly.config_server.access.issued_tokens import load_keys
from pyfly.config_server.access.issuers import Issuer
from pyfly.config_server.access.key_sources import IssuerKeysError
from pyfly.config_server.access.web_keys import parse_keys
from pyfly.config_server.access.web_tokens import WebTokenError, read_token

_LINE = b"\r\n"


@pytest.fixture
def issuer() -> Iterator[IssuerServer]:
    with serve_issuer() as served:
        yield served


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


def test_the_bearer_token_of_a_key_url_is_read_for_each_fetch(
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
