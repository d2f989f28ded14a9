"""Cipher texts and keys made and read by other programs: OpenSSL, and Java's keytool."""

import base64
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import EncryptionKeys, KeyRing, KeyStoreFile, open_keys

pytestmark = pytest.mark.external


@pytest.fixture(scope="module")
def aes_key(run: Callable[..., bytes]) -> Callable[[str], str]:
    def derive(password: str) -> str:
        options = ("digest:SHA1", f"pass:{password}", "hexsalt:deadbeef", "iter:1024")
        named = [part for option in options for part in ("-kdfopt", option)]
        return run("openssl", "kdf", "-keylen", 32, *named, "-binary", "PBKDF2").hex()

    return derive


def ring(key_store: KeyStoreFile, alias: str = "k1", **how: Any) -> KeyRing:
    return open_keys(EncryptionKeys(default=replace(key_store, alias=alias, **how)))


@pytest.mark.case(80)
@pytest.mark.parametrize("text", ["mysecret", "", "pässwörd ☃", "x" * 5000])
def test_openssl_decrypts_what_a_password_encrypted_and_encrypts_what_it_decrypts(
    run: Callable[..., bytes], aes_key: Callable[[str], str], text: str
) -> None:
    ours = open_keys(EncryptionKeys(default="foo"))
    body = bytes.fromhex(ours.encrypt(text))
    key = ("-K", aes_key("foo"))
    decrypt = ("enc", "-d", "-aes-256-cbc", *key, "-iv", body[:16].hex())
    assert run("openssl", *decrypt, given=body[16:]).decode() == text
    iv = "00112233445566778899aabbccddeeff"
    theirs = run("openssl", "enc", "-aes-256-cbc", *key, "-iv", iv, given=text.encode())
    assert ours.decrypt(iv + theirs.hex()) == text


@pytest.mark.case(86, 87)
@pytest.mark.parametrize(("algorithm", "mode"), [("DEFAULT", "pkcs1"), ("OAEP", "oaep")])
def test_openssl_opens_the_layers_of_what_rsa_encrypted(
    run: Callable[..., bytes],
    aes_key: Callable[[str], str],
    key_store: KeyStoreFile,
    tmp_path: Path,
    algorithm: str,
    mode: str,
) -> None:
    pem = tmp_path / "k1.pem"
    password = f"pass:{key_store.password}"
    given = ("-in", key_store.location, "-passin", password, "-nodes", "-nocerts")
    every = run("openssl", "pkcs12", *given).decode()
    first = every[every.index("friendlyName: k1") :]
    pem.write_text(first[first.index("-----BEGIN") :].partition("-----END")[0], encoding="utf-8")
    with pem.open("a", encoding="utf-8") as file:
        file.write("-----END PRIVATE KEY-----\n")
    data = base64.b64decode(ring(key_store, algorithm=algorithm).encrypt("abc"), validate=True)
    length = int.from_bytes(data[:2], "big")
    assert (length, len(data)) == (256, 290)
    padding = ("-pkeyopt", f"rsa_padding_mode:{mode}")
    wrapped = data[2 : 2 + length]
    secret = run("openssl", "pkeyutl", "-decrypt", "-inkey", pem, *padding, given=wrapped)
    assert len(secret) == 16
    body = data[2 + length :]
    key = ("-K", aes_key(secret.hex()))
    clear = run(
        *("openssl", "enc", "-d", "-aes-256-cbc", *key, "-iv", body[:16].hex()), given=body[16:]
    )
    assert clear == b"abc"


@pytest.mark.case(88, 89)
def test_every_key_of_a_store_has_its_name(key_store: KeyStoreFile) -> None:
    first = ring(key_store)
    second = ring(key_store, "k2")
    assert second.decrypt(first.encrypt("{key:K2}pw")) == "pw"
    assert second.decrypt(first.encrypt("{key:k1}pw")) == "pw"
    assert first.decrypt(first.encrypt(f"{{key:k2}}{{secret:{key_store.password}}}pw")) == "pw"
    assert first.decrypt(ring(key_store, "lone").encrypt("pw")) == "pw"
    assert ring(key_store, "lone").default.public_key == first.default.public_key
    assert second.default.public_key != first.default.public_key


@pytest.mark.case(86)
def test_openssh_reads_the_public_key(
    run: Callable[..., bytes], key_store: KeyStoreFile, tmp_path: Path
) -> None:
    shown = tmp_path / "k1.pub"
    shown.write_text(f"{ring(key_store).default.public_key}\n", encoding="utf-8")
    assert run("ssh-keygen", "-l", "-f", shown).startswith(b"2048 SHA256:")


@pytest.mark.case(89)
def test_keys_are_exchanged_while_the_server_serves(
    start_server: Callable[..., Any], key_store: KeyStoreFile, tmp_path: Path
) -> None:
    """Values of the old key, of the new one by its name, and of the new default are served."""
    settings = {
        "ENCRYPT_KEY_STORE_LOCATION": key_store.location.as_uri().replace("file://", "file:"),
        "ENCRYPT_KEY_STORE_PASSWORD": key_store.password,
    }
    (tmp_path / "main").mkdir()
    old = start_server(tmp_path, ENCRYPT_KEY_STORE_ALIAS="k1", **settings)
    assert "encryption    configured" in old.output()

    def encrypt(server: Any, text: str) -> str:
        request = urllib.request.Request(f"{server.url}/config/encrypt", text.encode())
        request.add_header("Content-Type", "text/plain")
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    values = {"old": encrypt(old, "{key:k1}one"), "new": encrypt(old, "{key:k2}two")}
    new = start_server(tmp_path, ENCRYPT_KEY_STORE_ALIAS="k2", **settings)
    values["default"] = encrypt(new, "three")
    lines = [f"{key}: '{{cipher}}{value}'\n" for key, value in values.items()]
    (tmp_path / "main" / "orders-default.yaml").write_text("".join(lines), encoding="utf-8")
    with urllib.request.urlopen(f"{new.url}/config/orders-default.properties") as answer:
        assert answer.read().decode() == "old: one\nnew: two\ndefault: three"


def test_a_key_that_cannot_be_used_stops_the_server(
    start_server: Callable[..., Any], key_store: KeyStoreFile, tmp_path: Path
) -> None:
    settings = {
        "ENCRYPT_KEY_STORE_LOCATION": str(key_store.location),
        "ENCRYPT_KEY_STORE_ALIAS": "k1",
    }
    with pytest.raises(RuntimeError, match="or the password is wrong") as caught:
        start_server(tmp_path, ENCRYPT_KEY_STORE_PASSWORD="marker", **settings)
    assert "marker" not in str(caught.value)
