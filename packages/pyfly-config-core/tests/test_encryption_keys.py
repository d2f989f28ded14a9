"""A text that was meant as a key, or as the name of one, is never used as a password."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)

from pyfly.config_core import EncryptionKeyError
from pyfly.config_server import EncryptionKeys, KeyStoreFile, open_keys

PRIVATE = rsa.generate_private_key(65_537, 2048)
PLAIN = NoEncryption()
PKCS1 = PrivateFormat.TraditionalOpenSSL
SECRET = BestAvailableEncryption(b"x")


def pem(form: PrivateFormat = PrivateFormat.PKCS8, secret: object = PLAIN) -> str:
    return PRIVATE.private_bytes(Encoding.PEM, form, secret).decode()  # type: ignore[arg-type]


def public(form: PublicFormat) -> str:
    return PRIVATE.public_key().public_bytes(Encoding.PEM, form).decode()


def body(form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return "\n".join(pem(form).splitlines()[1:-1])


def elliptic(form: PrivateFormat) -> str:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, form, PLAIN).decode()


UNUSABLE = {
    "truncated": (pem()[:-40], "PEM is not complete"),
    "first-line-only": ("-----BEGIN RSA PRIVATE KEY-----", "PEM is not complete"),
    "last-line-only": (pem().splitlines()[-1], "PEM is not complete"),
    "two-labels": (pem().replace("END PRIVATE", "END RSA PRIVATE"), "PEM is not complete"),
    "a-line-lost": ("".join(pem().splitlines(keepends=True)[:4] + pem().splitlines()[5:]), "damag"),
    "nothing-inside": ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "damaged"),
    "not-ascii": (pem().replace("MII", "MÄI", 1), "does not hold base64"),
    "encrypted-pkcs8": (pem(secret=SECRET), "has a password, which is not supported"),
    "encrypted-pkcs1": (pem(PKCS1, SECRET), "has a password, which is not supported"),
    "openssh": (pem(PrivateFormat.OpenSSH), "ssh-keygen -p -m PEM"),
    "public": (public(PublicFormat.SubjectPublicKeyInfo), "a public key cannot decrypt"),
    "public-pkcs1": (public(PublicFormat.PKCS1), "a public key cannot decrypt"),
    "elliptic": (elliptic(PKCS1), "only RSA keys can encrypt"),
    "elliptic-pkcs8": (elliptic(PrivateFormat.PKCS8), "only RSA keys can encrypt"),
    "base64-of-a-pem": (base64.b64encode(pem().encode()).decode(), "a PEM in base64"),
    "base64-of-a-pem-behind-a-blank": (" " + base64.b64encode(pem().encode()).decode(), "base64"),
    "base64-of-a-pem-in-lines": (base64.encodebytes(b"\n" + pem().encode()).decode(), "in base64"),
    "without-first-and-last-line": (body(), "put '-----BEGIN PRIVATE KEY-----' before it"),
    "without-those-in-one-line": (body(PKCS1).replace("\n", ""), "lacks its first and last"),
    "small-letters": (pem().lower(), "PEM is not complete"),
    "putty": ("PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n", "in the format of PuTTY"),
    "blank": (" \n", "a key is empty or blank"),
    "certificate": ("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----", "public key"),
}


@pytest.mark.parametrize("text", [*UNUSABLE])
def test_a_pem_that_is_no_usable_rsa_key_is_refused_with_the_reason(text: str) -> None:
    key, said = UNUSABLE[text]
    with pytest.raises(EncryptionKeyError, match=said) as caught:
        open_keys(EncryptionKeys(default=key))
    assert key.splitlines()[1:2] == [] or key.splitlines()[1] not in str(caught.value)
    with pytest.raises(EncryptionKeyError, match=f"key 'a'.*{said}"):
        open_keys(EncryptionKeys(default="a password", named={"a": key}))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(pem(), id="pkcs8"),
        pytest.param(pem(PKCS1), id="pkcs1"),
        pytest.param(pem().replace("\n", ""), id="no-breaks"),
        pytest.param(pem().replace("\n", "\r\n"), id="crlf"),
        pytest.param(pem().replace("\n", "\\n"), id="escaped-lf"),
        pytest.param(pem().replace("\n", "\\r\\n"), id="escaped-crlf"),
        pytest.param(" \n" + pem() + "\n", id="blanks-around"),
        pytest.param(f"-----BEGIN PRIVATE KEY-----\n{body()}\n-----END PRIVATE KEY-----", id="end"),
        pytest.param(
            f"-----BEGIN PRIVATE KEY-----\n{body(PKCS1)}\n-----END PRIVATE KEY-----",
            id="pkcs1-named-pkcs8",
        ),
        pytest.param(
            "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n" + pem(),
            id="behind-a-certificate",
        ),
    ],
)
def test_an_rsa_key_may_have_any_line_breaks(text: str) -> None:
    ring = open_keys(EncryptionKeys(default=text))
    assert ring.default.public_key is not None
    assert ring.decrypt(ring.encrypt("secret")) == "secret"


def test_the_name_of_a_file_is_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.pem").write_text(pem(), encoding="utf-8")
    for name in (
        "server.pem",
        "./server.pem",
        f"{tmp_path}/server.pem",
        f"file:{tmp_path}/server.pem",
        f"{tmp_path}/not-mounted-yet",
        "elsewhere/server.pem",
        "file:keys.p12",
    ):
        with pytest.raises(EncryptionKeyError, match="this is the name of a file"):
            open_keys(EncryptionKeys(default=name))
        with pytest.raises(EncryptionKeyError, match="key 'a': this is the name of a file"):
            open_keys(EncryptionKeys(default="a password", named={"a": name}))


def test_the_name_of_a_file_that_must_not_be_seen_is_no_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def is_file(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", is_file)  # tests may run as root, who sees everything
    with pytest.raises(EncryptionKeyError, match="this is the name of a file"):
        open_keys(EncryptionKeys(default="closed/key"))


@pytest.mark.parametrize(
    "password",
    [
        "foo",
        "/oGTq8x+1cBzrHmTqg==",
        "/oGTq8x/1cBzrHmTqg==",
        "a/b",
        "correct horse.battery",
        "my PRIVATE KEY",
        "-----",
        "x" * 10_000,
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
        base64.b64encode(b"0\x82" + bytes(300)).decode(),
        "a\nb",
        "a\0b",
        "~",
        ".",
        "/",
        "".join(map(chr, range(32, 127))),
    ],
)
def test_any_other_text_is_a_password(password: str) -> None:
    ring = open_keys(EncryptionKeys(default=password))
    assert ring.decrypt(ring.encrypt("secret")) == "secret"
    assert ring.default.public_key is None


@pytest.mark.parametrize("salt", ["", "xyz", "abc", "de ad", "0xdeadbeef", "ä"])
def test_a_salt_that_is_not_hexadecimal_is_refused_also_when_the_key_needs_none(salt: str) -> None:
    for key in ("foo", pem()):
        with pytest.raises(EncryptionKeyError, match="the salt must consist of hexadecimal"):
            open_keys(EncryptionKeys(default=key, salt=salt))


def test_the_salt_of_a_key_store_must_not_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "keys.p12"
    data = pkcs12.serialize_key_and_certificates(
        b"a", PRIVATE, None, None, BestAvailableEncryption(b"p")
    )
    path.write_bytes(data)
    assert open_keys(
        EncryptionKeys(default=KeyStoreFile(location=path, password="p", alias="a"))
    ).default.public_key
    with pytest.raises(EncryptionKeyError, match="the salt of RSA is empty"):
        open_keys(
            EncryptionKeys(default=KeyStoreFile(location=path, password="p", alias="a", salt=""))
        )
