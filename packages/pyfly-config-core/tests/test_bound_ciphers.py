"""Cipher texts that are bound to an application and a key, from the text to the document."""

import base64
import unicodedata
from typing import Any

import pytest

from pyfly.config_core import CipherError, ConfigFormatError, EncryptionKeyError
from pyfly.config_core.bound_ciphers import BoundCiphers, bound_name, is_bound, key_bytes
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Encryption,
    EncryptionKeys,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    ServerOptions,
    open_bound_keys,
    open_keys,
)

pytestmark = pytest.mark.anyio

KEYS = {
    name: base64.b64encode(name.encode().ljust(32, b"-")).decode()
    for name in ("new", "old", "2025")
}
CIPHERS = open_bound_keys(KEYS)
PLACE: Any = {"application": "orders", "key": "db.password"}


def decrypt(cipher: str, application: str = "orders", key: str = "db.password") -> str:
    return CIPHERS.decrypt(cipher, applications=(application,), key=key)


@pytest.mark.parametrize("text", ["my secret", "", "pässwörd ☃ \0\n", "{cipher}v1:", "x" * 600_000])
def test_a_text_comes_back_at_its_place(text: str) -> None:
    cipher = CIPHERS.encrypt(text, **PLACE)
    assert cipher.startswith("v1:new:")
    assert is_bound(cipher)
    assert decrypt(cipher) == decrypt("{cipher}" + cipher) == text
    assert CIPHERS.encrypt(text, **PLACE) != cipher


def test_the_format_is_read_by_an_independent_implementation() -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    _, name, encoded = CIPHERS.encrypt("pw", **PLACE).split(":")
    data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    assert len(data) == 12 + 2 + 16
    context = b"pyfly-config\0v1\0new\0orders\0db.password"
    aes = AESGCM(base64.b64decode(KEYS[name]))
    assert aes.decrypt(data[:12], data[12:], context) == b"pw"


def test_it_is_not_decrypted_for_another_application_or_key() -> None:
    cipher = CIPHERS.encrypt("pw", **PLACE)
    for application, key in [
        ("order", "db.password"),
        ("ORDERS", "db.password"),
        ("application", "db.password"),
        ("orders", "db.passwords"),
        ("orders", "db"),
        ("orders", "password"),
        ("orders", "db[password]x"),
        ("orders\0db", "password"),
        ("", "orders.db.password"),
        ("orders", ""),
    ]:
        with pytest.raises(CipherError, match="not encrypted for this application and key"):
            decrypt(cipher, application, key)


@pytest.mark.parametrize("key", ["DB.pass-word", "db.pass_word", "Db.passWord", "db[password]"])
def test_it_is_decrypted_under_every_spelling_of_its_key(key: str) -> None:
    assert decrypt(CIPHERS.encrypt("pw", **PLACE), key=key) == "pw"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("hosts[0]", "hosts[17]", True),
        ("hosts[0]", "hosts", True),
        ("hosts.0", "hosts[1]", True),
        ("a[0].b[1].c", "a.b.c", True),
        ("a[00]", "a[0]", False),  # no index
        ("m[a.b]", "m.a.b", False),
        ("m[A]", "m[a]", False),  # brackets keep the case
        ("m[a]", "m.a", True),
        ("a.b", "ab", False),
        ("[0]", "[1]", True),
        ("a..b", "a.b", False),
        (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), False),
        ("É", "é", True),
        ("__", "--", False),  # names of dashes only keep them
    ],
)
def test_what_counts_as_the_same_key(one: str, other: str, same: bool) -> None:
    assert (bound_name(one) == bound_name(other)) is same
    cipher = CIPHERS.encrypt("pw", application="orders", key=one)
    assert decrypt(cipher, key=one) == "pw"
    if not same:
        with pytest.raises(CipherError):
            decrypt(cipher, key=other)


def test_every_changed_or_missing_character_is_noticed() -> None:
    cipher = CIPHERS.encrypt("p", **PLACE)  # 29 bytes: the last character has unused bits
    for position in range(len(cipher)):
        for other in ("A", "B", "", "=", " ", "\u00e9"):
            changed = cipher[:position] + other + cipher[position + 1 :]
            if changed != cipher:
                with pytest.raises((CipherError, EncryptionKeyError)) as caught:
                    decrypt(changed)
                assert cipher[9:] not in str(caught.value)


def test_every_bit_is_authenticated() -> None:
    begin, encoded = "v1:new:", CIPHERS.encrypt("pw", **PLACE)[7:]
    data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        text = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
        with pytest.raises(CipherError):
            decrypt(begin + text)


@pytest.mark.parametrize(
    "text",
    [
        *("v1:", "v1::", "v1:new:", "v1:new:A", "v1:new:AAAA", "v1:new:" + "A" * 37, "v1:new"),
        *("v2:new:" + "A" * 40, "V1:new:" + "A" * 40, "v1:n ew:" + "A" * 40, "v1:new:" + "=" * 40),
        *(" v1:new:" + "A" * 40, "v1:new:" + "A" * 40 + "\n", "v1:new:" + "A" * 4_000_000),
        "v1:" + "x" * 65 + ":" + "A" * 40,
    ],
)
def test_what_is_damaged_is_refused(text: str) -> None:
    with pytest.raises(CipherError):
        decrypt(text)


def test_every_key_decrypts_and_the_first_one_encrypts() -> None:
    old = open_bound_keys({"old": KEYS["old"]}).encrypt("pw", **PLACE)
    assert decrypt(old) == "pw"
    assert CIPHERS.encrypt("pw", **PLACE, key_id="2025").startswith("v1:2025:")
    with pytest.raises(CipherError):  # the id is authenticated, too
        open_bound_keys({"new": KEYS["old"]}).decrypt(
            old.replace("old", "new"), applications=("orders",), key="db.password"
        )
    with pytest.raises(EncryptionKeyError, match="there is no key 'old'"):
        open_bound_keys({"new": KEYS["new"]}).decrypt(
            old, applications=("orders",), key="db.password"
        )


@pytest.mark.parametrize("key", ["", "x", "A" * 42, "A" * 44, "marker" * 8, "é" * 43])
def test_a_key_that_cannot_be_used_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(EncryptionKeyError, match="key 'k': a key must be 32 random bytes") as error:
        open_bound_keys({"k": key})
    assert not key or key not in str(error.value)


def test_keys_are_read_in_both_alphabets_of_base64() -> None:
    key = bytes(range(224, 256))
    for text in (base64.b64encode(key), base64.urlsafe_b64encode(key), base64.b64encode(key)[:-1]):
        assert key_bytes(f" {text.decode()}\n") == key


@pytest.mark.parametrize("name", ["", "a:b", "a b", "x" * 65, "é", "a}"])
def test_an_id_that_no_text_can_hold_is_refused(name: str) -> None:
    with pytest.raises(EncryptionKeyError, match="the id of a key"):
        open_bound_keys({name: KEYS["new"]})
    with pytest.raises(EncryptionKeyError, match="there is no key"):
        BoundCiphers({})


def test_the_formats_of_spring_are_never_taken_for_it() -> None:
    ring = open_keys(EncryptionKeys(default="foo", named={"v1": "bar"}))
    for text in ("pw", "{v1:new}pw", "{key:v1}pw", "{plain}v1:new:pw"):
        cipher = ring.encrypt(text)
        assert not is_bound(cipher)
        assert not is_bound("{cipher}" + cipher)
    with pytest.raises(CipherError):
        ring.decrypt("{cipher}" + CIPHERS.encrypt("pw", **PLACE))


# --- in documents ------------------------------------------------------------------------


def cipher(application: str, key: str, text: str = "pw") -> str:
    return "{cipher}" + CIPHERS.encrypt(text, application=application, key=key)


def server(backend: Any, **how: Any) -> ConfigServer:
    options = ServerOptions(encryption=Encryption(bound=CIPHERS, **how))
    return ConfigServer(backend, options=options)


async def values(found: ConfigServer, application: str, profile: str = "default") -> Any:
    composed = await found.compose(application, profile)
    return {one.name: dict(one.source) for one in composed.environment.property_sources}


async def test_values_are_decrypted_where_they_belong_and_invalid_elsewhere() -> None:
    properties: Any = {
        "db": {"password": cipher("orders", "db.pass-word")},
        "moved": cipher("orders", "db.password"),
        "stolen": cipher("billing", "stolen"),
        "users": [cipher("orders", "users[3]", "a"), cipher("orders", "users", "b"), "c"],
        "clear": 1,
    }
    backend = InMemoryConfigBackend()
    await backend.save(ConfigSource(application="orders", profile="prod", properties=properties))
    found = await values(server(backend), "orders", "prod")
    assert found["main/orders-prod"] == {
        "clear": 1,
        "users[2]": "c",
        "db.password": "pw",
        "invalid.moved": "<n/a>",
        "invalid.stolen": "<n/a>",
        "users[0]": "a",
        "users[1]": "b",
    }
    kept = await values(server(backend, prefixes_invalid=False), "orders", "prod")
    assert kept["main/orders-prod"]["moved"].startswith("v1:new:")
    without = ConfigServer(backend, options=ServerOptions(encryption=Encryption()))
    assert (await values(without, "orders", "prod"))["main/orders-prod"]["invalid.moved"] == "<n/a>"


async def test_shared_values_are_read_in_every_document_that_they_come_into(tmp_path: Any) -> None:
    shared, own = cipher("application", "token"), cipher("orders", "token")
    for name, text in (("application-default", shared), ("application-prod", shared)):
        file = tmp_path / "main" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"token: '{text}'\nstolen: '{own}'\n", encoding="utf-8")
    for application in ("orders", "billing", "application", "orders,billing"):
        found = await values(server(FilesystemConfigBackend(tmp_path)), application, "prod")
        for name in ("main/application-prod.yaml", "main/application-default.yaml"):
            assert found[name] == {"token": "pw", "invalid.stolen": "<n/a>"}


async def test_a_file_that_is_read_as_two_bundles_holds_values_of_both(tmp_path: Any) -> None:
    (tmp_path / "application-x.yml").write_text(
        f"a: '{cipher('application', 'a')}'\nb: '{cipher('application-x', 'b')}'\n"
        f"c: '{cipher('x', 'c')}'\n",
        encoding="utf-8",
    )
    backend = FilesystemConfigBackend.from_url(f"file://{tmp_path}?layout=spring")
    found = await values(server(backend), "application-x", "x")
    assert found["main/application-x.yml"] == {"a": "pw", "b": "pw", "invalid.c": "<n/a>"}


def test_plain_files_are_decrypted_for_the_applications_of_the_request() -> None:
    encryption = Encryption(bound=CIPHERS, decrypts_resources=True)
    text = f"a: '{cipher('orders', 'a')}'\nb: ['{cipher('application', 'b')}']\n"
    decrypted = encryption.decrypt_resource("x.yaml", text, applications=("orders", "application"))
    assert decrypted == "a: 'pw'\nb: ['pw']\n"
    with pytest.raises(ConfigFormatError, match="not encrypted for this application and key"):
        encryption.decrypt_resource("x.yaml", text, applications=("billing", "application"))


def test_thousands_of_values_are_no_rsa_values() -> None:
    from pyfly.config_core import PropertySource  # noqa: PLC0415

    source = PropertySource(name="x", source={f"k{n}": cipher("a", f"k{n}") for n in range(1_500)})
    Encryption(bound=CIPHERS, keys=open_keys(EncryptionKeys(default="foo"))).check_amount([source])
