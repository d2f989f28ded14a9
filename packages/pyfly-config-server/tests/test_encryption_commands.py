"""`pyfly-config encrypt`, `decrypt` and `key`, and the settings that name the keys."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_public_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from pyfly.config_cli import main
from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._settings.encryption import encryption_of, keys_of
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import PREFIX
from pyfly.config_server import Encryption, KeyStoreFile

Load = Callable[..., ServerSettings]

SAMPLE = "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEY", "foo")


def test_what_is_encrypted_can_be_stored_and_decrypted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = io.BytesIO(b"{key:x}my secret\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given, encoding="ascii"))
    assert main(["encrypt"]) == 0
    stored = capsys.readouterr().out.rstrip("\n")
    assert stored.startswith("{cipher}")
    assert main(["decrypt", stored]) == 0
    assert capsys.readouterr().out == "{key:x}my secret\n"
    assert main(["decrypt", SAMPLE]) == 0
    assert capsys.readouterr().out == "mysecret\n"


def test_line_ends_and_blanks_of_a_pipe_are_no_part_of_a_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for clear in (b"my secret", b"my secret\n", b"my secret\r\n"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(clear), encoding="ascii"))
        assert main(["encrypt"]) == 0
        stored = capsys.readouterr().out
        cipher = f" {stored.rstrip()} \r\n".encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(cipher), encoding="ascii"))
        assert main(["decrypt"]) == 0
        assert capsys.readouterr().out == "my secret\n"


def test_one_of_several_keys_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text('[encrypt-keys]\n"2027" = "bar"\n', encoding="utf-8")
    file.chmod(0o600)
    assert main(["encrypt", "pw", "--key-name", "2027", "--settings", str(file)]) == 0
    stored = capsys.readouterr().out.rstrip("\n")
    assert stored.startswith("{cipher}{key:2027}")
    monkeypatch.setenv(PREFIX + "SETTINGS", str(file))
    assert main(["decrypt", stored]) == 0
    assert capsys.readouterr().out == "pw\n"
    assert main(["encrypt", "pw", "--key-name", "2028"]) == 2
    assert "there is no key '2028'" in capsys.readouterr().err


def test_a_file_with_keys_is_kept_from_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "the server's.toml"
    file.write_text('encrypt-key = "bar"\n', encoding="utf-8")
    file.chmod(0o644)
    assert main(["encrypt", "pw", "--settings", str(file)]) == 2
    said = capsys.readouterr().err
    assert "open to every user" in said
    command = said.partition("close it with: ")[2]
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert main(["encrypt", "pw", "--settings", str(file)]) == 0


def test_the_public_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["key"]) == 2
    assert "it has no public part" in capsys.readouterr().err
    private = generate_private_key(65_537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEY", pem)
    assert main(["key"]) == 0
    found = load_ssh_public_key(capsys.readouterr().out.encode())
    assert isinstance(found, RSAPublicKey)
    assert found.public_numbers() == private.public_key().public_numbers()


def test_without_a_key_it_is_said_where_to_name_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PREFIX + "ENCRYPT_KEY")
    assert main(["encrypt", "x"]) == 2
    assert "set PYFLY_CONFIG_SERVER_ENCRYPT_KEY" in capsys.readouterr().err
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEY", "foo")
    assert main(["decrypt", "x"]) == 1
    assert "was not encrypted with this key" in capsys.readouterr().err


@pytest.mark.slow
def test_a_key_that_cannot_be_used_encrypts_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = generate_private_key(65_537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = tmp_path / "server.pem"
    file.write_text(pem, encoding="utf-8")
    store = tmp_path / "keys.p12"
    password = BestAvailableEncryption(b"right")
    store.write_bytes(serialize_key_and_certificates(b"a", private, None, None, password))
    location = {
        "ENCRYPT_KEY_STORE_LOCATION": str(store),
        "ENCRYPT_KEY_STORE_PASSWORD": "right",
        "ENCRYPT_KEY_STORE_ALIAS": "a",
    }
    monkeypatch.chdir(tmp_path)
    for settings, said in (
        ({"ENCRYPT_KEY": pem[:-60]}, "PEM is not complete"),
        ({"ENCRYPT_KEY": str(file)}, "set PYFLY_CONFIG_SERVER_ENCRYPT_KEY_FILE instead"),
        ({"ENCRYPT_KEY": "server.pem"}, "set PYFLY_CONFIG_SERVER_ENCRYPT_KEY_FILE instead"),
        ({"ENCRYPT_KEY": "file:server.pem"}, "set PYFLY_CONFIG_SERVER_ENCRYPT_KEY_FILE instead"),
        ({"ENCRYPT_KEY": "foo", "ENCRYPT_KEYS": "{b: server.pem}"}, "key 'b': this is the name of"),
        ({"ENCRYPT_KEY": "foo", "ENCRYPT_KEYS": "{'{b': x}"}, "must not contain braces"),
        ({"ENCRYPT_KEY": "foo", "ENCRYPT_SALT": "pepper"}, "hexadecimal"),
        ({"ENCRYPT_KEY": pem, "ENCRYPT_SALT": "pepper"}, "hexadecimal"),
        (location | {"ENCRYPT_KEY_STORE_PASSWORD": "wrong"}, "the password is wrong"),
        (location | {"ENCRYPT_KEY_STORE_SECRET": "wrong"}, "its password is wrong"),
        (location | {"ENCRYPT_KEY_STORE_ALIAS": "b"}, "there is no RSA key 'b'"),
    ):
        with monkeypatch.context() as context:
            context.delenv(PREFIX + "ENCRYPT_KEY")
            for name, value in settings.items():
                context.setenv(PREFIX + name, value)
            for argv in (["encrypt", "x"], ["decrypt", SAMPLE], ["key"], ["serve", "memory:"]):
                assert main(argv) == 2
                told = capsys.readouterr()
                assert (told.out, said in told.err) == ("", True), told.err
    monkeypatch.delenv(PREFIX + "ENCRYPT_KEY")
    monkeypatch.setenv(PREFIX + "ENCRYPT_KEY_FILE", "server.pem")
    assert main(["key"]) == 0


def test_a_name_that_no_key_has_encrypts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("2027", "a}{b", ""):
        assert main(["encrypt", "x", "--key-name", name]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert f"there is no key {name!r}" in told.err


STORE = {
    "ENCRYPT_KEY_STORE_LOCATION": "file:/etc/pyfly/keys.p12",
    "ENCRYPT_KEY_STORE_PASSWORD": "marker-1",
    "ENCRYPT_KEY_STORE_ALIAS": "k1",
}


def test_a_key_store_is_named_by_settings(load: Load) -> None:
    more = {
        "ENCRYPT_KEY_STORE_SECRET": "marker-2",
        "ENCRYPT_KEYS": "{a: marker-3}",
        "ENCRYPT_RSA_ALGORITHM": "oaep",
        "ENCRYPT_RSA_STRONG": "true",
        "ENCRYPT_RSA_SALT": "pepper",
    }
    found: Any = keys_of(load(**STORE, **more))
    assert found.default == KeyStoreFile(
        location=Path("/etc/pyfly/keys.p12"),
        password="marker-1",
        alias="k1",
        secret="marker-2",
        algorithm="OAEP",
        strong=True,
        salt="pepper",
    )
    assert found.named == {"a": "marker-3"}
    assert "marker" not in repr(found)
    assert keys_of(load()) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (STORE | {"ENCRYPT_KEY": "foo"}, "not both"),
        ({"ENCRYPT_KEY_STORE_ALIAS": "k1"}, "ALIAS needs PYFLY_CONFIG_SERVER_ENCRYPT_KEY_STORE_L"),
        ({"ENCRYPT_KEY": "foo", "ENCRYPT_RSA_STRONG": "true"}, "RSA_STRONG needs"),
        (STORE | {"ENCRYPT_KEY_STORE_ALIAS": ""}, "needs PYFLY_CONFIG_SERVER_ENCRYPT_KEY_STORE_A"),
        (STORE | {"ENCRYPT_KEY_STORE_TYPE": "jks"}, "keytool -importkeystore"),
        (STORE | {"ENCRYPT_RSA_ALGORITHM": "X"}, "must be one of DEFAULT, OAEP"),
        ({"ENCRYPT_KEYS": "{a: b}"}, "the default key"),
        ({"ENCRYPT_KEY": "foo", "ENCRYPT_KEYS": "{a: 1}"}, "'a' must be a text"),
        ({"ENCRYPT_KEY": "foo", "ENCRYPT_KEYS": "a"}, "not a mapping"),
    ],
)
def test_settings_that_do_not_go_together_are_explained(
    load: Load, values: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**values)
    assert said in str(caught.value)


def test_settings_that_do_not_go_together_are_named_as_they_are_written(
    load: Load, tmp_path: Path
) -> None:
    file = tmp_path / "server.toml"
    file.write_text('encrypt-key = "foo"\n', encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(SettingsError) as caught:
        load("--settings", file, **STORE)
    assert str(caught.value) == (
        f"set either '{file}': 'encrypt-key' or "
        "PYFLY_CONFIG_SERVER_ENCRYPT_KEY_STORE_LOCATION, not both"
    )


def test_the_switches(load: Load) -> None:
    assert encryption_of(load()) == Encryption()
    for name, field in (
        ("ENCRYPT_ENABLED", "decrypts_documents"),
        ("ENCRYPT_PLAIN_TEXT", "decrypts_resources"),
        ("ENCRYPT_PREFIX_INVALID_PROPERTIES", "prefixes_invalid"),
        ("DECRYPT_ENDPOINT", "answers_decrypt"),
    ):
        for text, value in (("true", True), ("OFF", False)):
            assert getattr(encryption_of(load(**{name: text})), field) is value
    with pytest.raises(SettingsError, match="DECRYPT_ENDPOINT: must be"):
        load(DECRYPT_ENDPOINT="maybe")


# --- values that are bound to a place ----------------------------------------------------

BOUND = {name: base64.b64encode(name.encode().ljust(32)).decode() for name in ("2027", "2026")}
PLACE = ("--application", "orders", "--key", "db.password")


@pytest.fixture
def bound_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(BOUND), encoding="utf-8")
    monkeypatch.setenv(PREFIX + "ENCRYPT_BOUND_KEYS_FILE", str(file))


@pytest.mark.usefixtures("bound_keys")
def test_a_value_is_bound_to_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encrypt", "my secret", *PLACE]) == 0
    stored = capsys.readouterr().out.rstrip("\n")
    assert stored.startswith("{cipher}v1:2027:")
    assert main(["decrypt", stored, "--application", "orders", "--key", "DB.pass-word"]) == 0
    assert capsys.readouterr().out == "my secret\n"
    assert main(["encrypt", "pw", *PLACE, "--key-name", "2026"]) == 0
    older = capsys.readouterr().out.rstrip("\n")
    assert older.startswith("{cipher}v1:2026:")
    assert main(["decrypt", older, *PLACE]) == 0
    assert capsys.readouterr().out == "pw\n"


@pytest.mark.usefixtures("bound_keys")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["decrypt", "STORED", "--application", "billing", "--key", "db.password"], 1, "was not"),
        (["decrypt", "STORED"], 2, "give --application and --key"),
        (["encrypt", "pw", "--application", "orders"], 2, "give --application and --key together"),
        (["encrypt", "pw", "--key", "a"], 2, "give --application and --key together"),
        (["encrypt", "pw", "--application", "orders", "--key", ""], 2, "together"),
        (["encrypt", "pw", *PLACE, "--key-name", "2025"], 2, "there is no key '2025'"),
        (["encrypt", "pw", "--application", "a b", "--key", "a"], 2, "application"),
    ],
)
def test_a_wrong_place_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert main(["encrypt", "my secret", *PLACE]) == 0
    stored = capsys.readouterr().out.rstrip("\n")
    assert main([stored if one == "STORED" else one for one in arguments]) == code
    output = capsys.readouterr()
    assert said in output.err
    assert "my secret" not in output.err
    assert not output.out


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("", "no key for bound cipher texts is configured"),
        ('{"a b": "x"}', "key 'a b': a key must be 32 random bytes in base64"),
        ('{"2027": "marker"}', "must be 32 random bytes in base64: openssl rand -base64 32"),
        ("[marker]", "ENCRYPT_BOUND_KEYS"),
    ],
)
def test_keys_of_bound_values_that_cannot_be_used_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, keys: str, said: str
) -> None:
    monkeypatch.setenv(PREFIX + "ENCRYPT_BOUND_KEYS", keys)
    assert main(["encrypt", "pw", *PLACE]) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert "marker" not in output.err
