"""Cipher texts in Spring's formats: published vectors, key stores, documents."""

import base64
import datetime as dt
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_public_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from pyfly.config_core import (
    CipherError,
    ConfigFormatError,
    EncryptionKeyError,
    EncryptionNotInstalledError,
    PropertySource,
)
from pyfly.config_server import Encryption, EncryptionKeys, KeyStoreFile, open_keys
from pyfly.config_server.encryption import ciphers
from pyfly.config_server.encryption.prefix import split_prefix

SALT = bytes.fromhex("deadbeef")
IV = bytes(range(16))
SAMPLE = "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"
PUBLISHED = [
    ("foo", "deadbeef", "mysecret", "92c516ebbdf9aecbb68f22247c57812d", False),
    ("foo", "deadbeef", "mysecret", "fdc41993d7ef8139c1fb48bc2472d95a8cf4f469ee7397e8", True),
    ("foo", "deadbeef", "", "3acaaace06530635c3f765eaff9e85bd", False),
    ("s3cr3t-key", "4567890a12345678", "pässwörd ☃", "0978f998b9a2fee694f7708f0dc98c17", False),
    (
        "s3cr3t-key",
        "4567890a12345678",
        "pässwörd ☃",
        "7292262ceb869b2aed3c70d939e8e9fc9bb285e66e51e815ecc25d21ff03",
        True,
    ),
]


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.fixture(scope="module")
def pem(private: rsa.RSAPrivateKey) -> str:
    traditional = PrivateFormat.TraditionalOpenSSL
    return private.private_bytes(Encoding.PEM, traditional, NoEncryption()).decode()


@pytest.fixture(scope="module")
def store(private: rsa.RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key store with the key `Mine` and the certificate `theirs`."""
    own, other = certificate(private), certificate(rsa.generate_private_key(65_537, 2048))
    data = pkcs12.serialize_key_and_certificates(
        b"Mine",
        private,
        own,
        [pkcs12.PKCS12Certificate(other, b"theirs")],
        BestAvailableEncryption(b"open sesame"),
    )
    path = tmp_path_factory.mktemp("keys") / "keys.p12"
    path.write_bytes(data)
    return path


def certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2050))
        .sign(key, hashes.SHA256())
    )


@pytest.mark.case(80)
@pytest.mark.parametrize(("key", "salt", "text", "sealed", "strong"), PUBLISHED)
def test_the_published_vectors(key: str, salt: str, text: str, sealed: str, strong: bool) -> None:
    aes = ciphers.derive_key(key, bytes.fromhex(salt))
    seal, unseal = ciphers.seal, ciphers.unseal
    if strong:
        seal, unseal = ciphers.seal_strong, ciphers.unseal_strong
    assert seal(aes, IV, text.encode()).hex() == IV.hex() + sealed
    assert unseal(aes, IV + bytes.fromhex(sealed)).decode() == text


@pytest.mark.case(80)
def test_the_keys_of_passwords() -> None:
    foo = ciphers.derive_key("foo", SALT).hex()
    assert foo == "9510efc11b571875b214f62311a089c455e98b93cd3d2e203f16d13b88c71a78"
    umlaut = ciphers.derive_key("schlüssel", SALT).hex()
    assert umlaut == "78fd1936522e13a3f3f8fcb7a820ee36ffb4bd120e576ff93beee2f49c9f858f"


@pytest.mark.case(80)
def test_the_sample_of_the_reference_and_that_no_two_cipher_texts_are_equal() -> None:
    ring = open_keys(EncryptionKeys(default="foo"))
    assert ring.decrypt(SAMPLE) == ring.decrypt(SAMPLE.upper()) == "mysecret"
    assert ring.decrypt("{cipher}" + SAMPLE) == "mysecret"
    one, other = ring.encrypt("mysecret"), ring.encrypt("mysecret")
    assert one != other
    assert ring.decrypt(one) == ring.decrypt(other) == "mysecret"


@pytest.mark.case(83)
@pytest.mark.parametrize(
    "text",
    [
        *("", "zz", "ä", "0", "00", SAMPLE[:-2], SAMPLE[:32], SAMPLE + "00" * 16),
        *(f" {SAMPLE}", f"{SAMPLE}\n", f"{SAMPLE[:2]} {SAMPLE[2:]}"),
    ],
)
def test_what_was_not_encrypted_with_this_key_is_refused(text: str) -> None:
    with pytest.raises(CipherError):
        open_keys(EncryptionKeys(default="foo")).decrypt(text)
    with pytest.raises(CipherError):
        open_keys(EncryptionKeys(default="bar")).decrypt(SAMPLE)


@pytest.mark.case(86)
def test_the_inner_vectors_of_rsa() -> None:
    secret = bytes(range(16)).hex()
    aes = ciphers.derive_key(secret, SALT)
    iv = bytes(range(16, 32))
    assert aes.hex() == "0b555054b1b599452a9420c1245edb051b2690c9673d1674356f3cffd4b2fbbd"
    assert ciphers.seal(aes, iv, b"mysecret")[16:].hex() == "e27c78455c293f1286ee0857f3d70e06"
    strong = ciphers.seal_strong(aes, iv, b"mysecret")[16:].hex()
    assert strong == "4d0b625b5078b36123eb66878f170a4d7e0537fe8dc7e072"


@pytest.mark.case(86)
def test_a_pem_is_a_key_with_or_without_its_line_breaks(
    pem: str, private: rsa.RSAPrivateKey
) -> None:
    pkcs8 = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    ring = open_keys(EncryptionKeys(default=pem))
    cipher = ring.encrypt("abc")
    assert cipher.startswith("AQ")
    assert len(base64.b64decode(cipher)) == 290
    for text in (pem, pkcs8, pem.replace("\n", ""), pkcs8.replace("\n", "\\n")):
        assert open_keys(EncryptionKeys(default=text)).decrypt(cipher) == "abc"
    assert ring.decrypt(cipher.rstrip("=")) == "abc"  # as forms leave it
    for broken in ("", "ä", "AQ", "!", cipher[:-8], cipher[4:], SAMPLE):
        with pytest.raises(CipherError):
            ring.decrypt(broken)


@pytest.mark.case(86)
def test_the_public_key_is_one_for_openssh(pem: str, private: rsa.RSAPrivateKey) -> None:
    public = open_keys(EncryptionKeys(default=pem)).default.public_key
    assert public is not None
    assert public.endswith(" application")
    found: Any = load_ssh_public_key(public.encode())
    assert found.public_numbers() == private.public_key().public_numbers()
    assert open_keys(EncryptionKeys(default="foo")).default.public_key is None


@pytest.mark.case(87)
def test_what_is_encrypted_in_one_way_is_not_decrypted_in_another(store: Path) -> None:
    given: dict[str, Any] = {"location": store, "password": "open sesame", "alias": "mine"}
    ways: list[dict[str, Any]] = [
        {},
        {"algorithm": "OAEP"},
        {"strong": True},
        {"salt": "pepper"},
        {"algorithm": "OAEP", "strong": True, "salt": "706570"},
    ]
    rings = [open_keys(EncryptionKeys(default=KeyStoreFile(**given, **way))) for way in ways]
    texts = [ring.encrypt("pässwörd ☃") for ring in rings]
    for number, ring in enumerate(rings):
        for other, text in enumerate(texts):
            if number == other:
                assert ring.decrypt(text) == "pässwörd ☃"
            else:
                with pytest.raises(CipherError):
                    ring.decrypt(text)


@pytest.mark.parametrize(("text", "digits"), [("pepper", "706570706572"), ("de ad", "6465206164")])
def test_a_salt_that_is_no_hexadecimal_stands_for_its_bytes(
    store: Path, text: str, digits: str
) -> None:
    given: dict[str, Any] = {"location": store, "password": "open sesame", "alias": "mine"}
    one, other = (
        open_keys(EncryptionKeys(default=KeyStoreFile(**given, salt=salt)))
        for salt in (text, digits)
    )
    assert other.decrypt(one.encrypt("x")) == "x"


@pytest.mark.case(88)
def test_a_certificate_encrypts_only(store: Path) -> None:
    file = KeyStoreFile(location=store, password="open sesame", alias="theirs")
    ring = open_keys(EncryptionKeys(default=file))
    cipher = ring.encrypt("x")
    with pytest.raises(EncryptionKeyError, match="Server-side decryption is not supported"):
        ring.decrypt(cipher)


@pytest.mark.case(89)
def test_a_prefix_names_the_key_and_is_kept(store: Path) -> None:
    file = KeyStoreFile(location=store, password="open sesame", alias="mine")
    for keys in (
        EncryptionKeys(default="foo", named={"k2": "bar", "k3": "baz"}),
        EncryptionKeys(default=file, named={"k2": "bar"}),
    ):
        ring = open_keys(keys)
        cipher = ring.encrypt("{key:k2}pw")
        assert cipher.startswith("{key:k2}")
        assert ring.decrypt(cipher) == "pw"
        assert ring.decrypt(ring.encrypt("old")) == "old"
        with pytest.raises(CipherError):
            ring.decrypt(cipher.removeprefix("{key:k2}"))
        with pytest.raises(EncryptionKeyError, match="there is no key 'k4'"):
            ring.encrypt("{key:k4}pw")
    named = open_keys(EncryptionKeys(default=file))
    assert named.decrypt(named.encrypt("{key:MINE}pw")) == "pw"
    with pytest.raises(EncryptionKeyError, match="password is wrong"):
        named.encrypt("{key:mine}{secret:other}pw")
    lone = open_keys(EncryptionKeys(default="foo"))  # as Spring's: it has one key, whatever is said
    assert lone.decrypt(lone.encrypt("{key:k2}pw")) == "pw"


@pytest.mark.case(90)
def test_plain_ends_the_prefix() -> None:
    ring = open_keys(EncryptionKeys(default="foo"))
    assert ring.decrypt(ring.encrypt("{plain}{key:x}v")) == "{key:x}v"


@pytest.mark.parametrize(
    ("text", "rest", "pairs"),
    [
        ("{key:a}{secret:b}XX", "XX", {"key": "a", "secret": "b"}),
        ("{name:a}{profiles:b}{key:c}XX", "XX", {"key": "c"}),
        ("te}xt{a:b}", "te}xt{a:b}", {}),
        ("{cipher}XX", "{cipher}XX", {}),
        ("{key:a}{plain}{plain}x", "{plain}x", {"key": "a"}),
        ('{"user":"x"}', '{"user":"x"}', {}),
        ("a{plain}b", "a{plain}b", {}),
        ("{key:}x", "x", {"key": ""}),
        ("", "", {}),
    ],
)
def test_prefixes(text: str, rest: str, pairs: dict[str, str]) -> None:
    found = split_prefix(text)
    assert (found.text, found.pairs) == (rest, pairs)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (EncryptionKeys(default=""), "empty"),
        (EncryptionKeys(default="foo", salt="xyz"), "hexadecimal"),
        (EncryptionKeys(default="ssh-rsa AAAA"), "a public key cannot decrypt"),
        (EncryptionKeys(default="-----BEGIN PUBLIC KEY-----"), "a public key cannot decrypt"),
        (
            EncryptionKeys(default="-----BEGIN RSA PRIVATE KEY-----!-----END RSA PRIVATE KEY-----"),
            "base64",
        ),
        (
            EncryptionKeys(
                default="-----BEGIN RSA PRIVATE KEY-----AAAA-----END RSA PRIVATE KEY-----"
            ),
            "cannot be read",
        ),
        (
            EncryptionKeys(
                default="-----BEGIN ENCRYPTED PRIVATE KEY-----A-----END ENCRYPTED PRIVATE KEY-----"
            ),
            "use a key store",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_explained(keys: EncryptionKeys, said: str) -> None:
    with pytest.raises(EncryptionKeyError, match=said):
        open_keys(keys)
    assert "foo" not in repr(keys)


def test_only_rsa_keys_encrypt() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(EncryptionKeyError, match="only RSA"):
        open_keys(EncryptionKeys(default=pkcs8))


def test_a_key_store_that_cannot_be_used_is_explained(store: Path, tmp_path: Path) -> None:
    jks, other = tmp_path / "keys.jks", tmp_path / "other.p12"
    jks.write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2")
    other.write_bytes(b"no key store")
    for path, password, alias, said in (
        (tmp_path / "nowhere", "x", "x", "cannot read the key store"),
        (jks, "x", "x", "keytool -importkeystore"),
        (other, "x", "x", "not a PKCS#12"),
        (store, "wrong", "mine", "password is wrong"),
        (store, "open sesame", "yours", "it has: mine, theirs"),
    ):
        file = KeyStoreFile(location=path, password=password, alias=alias)
        with pytest.raises(EncryptionKeyError, match=said) as caught:
            open_keys(EncryptionKeys(default=file))
        assert "open sesame" not in repr(file) + str(caught.value)


def source(**values: Any) -> PropertySource:
    return PropertySource(name="s", source=values, origins=dict.fromkeys(values, "1:1"))


@pytest.mark.case(91, 92, 93)
def test_values_of_documents(caplog: pytest.LogCaptureFixture) -> None:
    given = source(pw="{cipher}" + SAMPLE, bad="{cipher}{key:a}00", number=5, plain="p")
    keys = open_keys(EncryptionKeys(default="foo"))
    (found,) = Encryption(keys=keys).decrypt([given], [()])
    expected = [("number", 5), ("plain", "p"), ("pw", "mysecret"), ("invalid.bad", "<n/a>")]
    assert list(found.source.items()) == expected
    assert found.origins == {"number": "1:1", "plain": "1:1"}
    (kept,) = Encryption(keys=keys, prefixes_invalid=False).decrypt([given], [()])
    assert kept.source["bad"] == "{key:a}00"
    (invalid,) = Encryption().decrypt([given], [()])
    assert {"invalid.pw", "invalid.bad"} < invalid.source.keys()
    assert not Encryption(keys=keys, decrypts_documents=False).concerns([given])
    assert not Encryption(keys=keys).concerns([source(a="x{cipher}00", b=1)])
    assert "'bad' cannot be decrypted" in caplog.text
    assert SAMPLE not in caplog.text
    assert "mysecret" not in caplog.text


def test_many_values_that_cannot_be_decrypted_do_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sources = [source(**{f"k{n}": "{cipher}00" for n in range(1_000)}) for _ in range(2)]
    found = Encryption().decrypt(sources, [() for _ in sources])
    assert [len(one.source) for one in found] == [1_000, 1_000]
    assert len(caplog.records) == 11
    assert "s: 'k0' cannot be decrypted: no key is configured" in caplog.text
    assert "1,990 further values of this answer cannot be decrypted" in caplog.text


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.yaml", "a: '{cipher}%s' # {cipher}x\n", "a: 'mysecret' # {cipher}x\n"),
        (
            "a.yml",
            "a: ['{cipher}%s']\n---\nb: '{cipher}%s'\n",
            "a: ['mysecret']\n---\nb: 'mysecret'\n",
        ),
        ("a/b.json", '{"a": {"b": "{cipher}%s"}}', '{"a": {"b": "mysecret"}}'),
        ("a.properties", "a={cipher}%s\nb=x {cipher}%s\n", "a=mysecret\nb=x mysecret\n"),
        ("a.txt", "{cipher}%s", "{cipher}%s"),
        ("a.yaml", "a: 1\n", "a: 1\n"),
    ],
)
def test_values_of_plain_files(path: str, text: str, expected: str) -> None:
    keys = open_keys(EncryptionKeys(default="foo"))
    filled, wanted = (one.replace("%s", SAMPLE) for one in (text, expected))
    assert Encryption(keys=keys).decrypt_resource(path, filled, applications=()) == filled
    switched_on = Encryption(keys=keys, decrypts_resources=True)
    assert switched_on.decrypt_resource(path, filled, applications=()) == wanted
    off = Encryption(keys=keys, decrypts_resources=True, decrypts_documents=False)
    assert off.decrypt_resource(path, filled, applications=()) == filled


def test_a_clear_text_that_holds_a_cipher_text_is_put_in_as_it_is() -> None:
    keys = open_keys(EncryptionKeys(default="foo"))
    inner = "{cipher}" + keys.encrypt("inner")
    outer = "{cipher}" + keys.encrypt(f"<{inner}>")
    decrypted = Encryption(keys=keys, decrypts_resources=True).decrypt_resource(
        "a.properties", f"a={inner}\nb={outer}\nc={inner}\n", applications=()
    )
    assert decrypted == f"a=inner\nb=<{inner}>\nc=inner\n"


def test_a_plain_file_is_decrypted_whole_or_refused() -> None:
    encryption = Encryption(keys=open_keys(EncryptionKeys(default="foo")), decrypts_resources=True)
    with pytest.raises(ConfigFormatError, match=r"^a\.yaml: a value cannot be decrypted"):
        encryption.decrypt_resource("a.yaml", "a: '{cipher}00'\n", applications=())
    with pytest.raises(ConfigFormatError, match=r"^a\.json, line 1"):
        encryption.decrypt_resource("a.json", '{"a": "{cipher}00"', applications=())
    with pytest.raises(ConfigFormatError, match="no key is configured"):
        Encryption(decrypts_resources=True).decrypt_resource(
            "a.yaml", "a: '{cipher}00'\n", applications=()
        )


def test_without_the_libraries_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith(("cryptography", "asn1crypto"))]:
        monkeypatch.delitem(sys.modules, name)
    package = importlib.import_module("pyfly.config_server.encryption")
    for name in ("ciphers", "key_store", "opening"):
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        monkeypatch.delattr(package, name, raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    command = "pip install 'pyfly-config-core\\[encryption\\]'"
    with pytest.raises(EncryptionNotInstalledError, match=command):
        open_keys(EncryptionKeys(default="foo"))
    with pytest.raises(EncryptionNotInstalledError, match=command):
        Encryption().decrypt([source(pw="{cipher}00")], [()])
