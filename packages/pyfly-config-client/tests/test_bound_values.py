"""Values that a server hands on encrypted, bound to their application and key."""

import base64
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_client import ClientConfig, InvalidPayloadError
from pyfly.config_server import open_bound_keys

pytestmark = pytest.mark.anyio

KEYS = {name: base64.b64encode(name.encode().ljust(32)).decode() for name in ("2027", "2026")}
CIPHERS = open_bound_keys(KEYS)
ARGUMENTS: Any = {"server_url": "http://config:8888", "application": "orders"}


def cipher(application: str, key: str, text: str = "my secret", **how: Any) -> str:
    return "{cipher}" + CIPHERS.encrypt(text, application=application, key=key, **how)


def with_values(document: Any, name: str = "main/orders-prod.yaml", **values: Any) -> Any:
    return document | {"propertySources": [{"name": name, "source": values}]}


@pytest.mark.parametrize("keys", [KEYS, json.dumps(KEYS)])
async def test_values_are_decrypted(
    server: Any, fetch: Callable[..., Any], document: Any, keys: Any
) -> None:
    shared = {"name": "main/application.yaml", "source": {"b": cipher("application", "b")}}
    own = {
        "db.password": cipher("orders", "db.pass-word"),
        "users[1]": cipher("orders", "users", key_id="2026"),
        "spring": "{cipher}00",
        "text": "v1:2027:AAAA",
        "url": "http://u:${db.password}@h",
    }
    sources = [{"name": "main/orders-prod.yaml (document #1)", "source": own}, shared]
    server.answer_json(document | {"propertySources": sources})
    found = await fetch(decrypt_keys=keys)
    assert found["db.password"] == found["b"] == found["users[1]"] == "my secret"
    assert found["url"] == "http://u:my secret@h"
    assert (found["spring"], found["text"]) == ("{cipher}00", "v1:2027:AAAA")
    assert (await fetch())["b"].startswith("{cipher}v1:2027:")


@pytest.mark.parametrize(
    ("name", "application"),
    [
        ("main/orders-prod.yaml", "orders"),
        ("main/orders-eu-prod", "orders-eu"),
        ("https://git.example.com/a-b/c.git/eu/orders.yml (document #0)", "orders"),
        ("Config resource 'file [/tmp/repo/orders-prod.yml]' via location 'x (y)'", "orders"),
        ("main/orders (orders/default/main)", "orders"),
        (r"file:C:\\repo\\orders-prod.properties", "orders"),
    ],
)
async def test_the_application_is_read_from_the_name_of_the_source(
    server: Any, fetch: Callable[..., Any], document: Any, name: str, application: str
) -> None:
    answer = document | {"name": application}
    server.answer_json(with_values(answer, name, a=cipher(application, "a")))
    assert (await fetch(application=application, decrypt_keys=KEYS))["a"] == "my secret"


@pytest.mark.parametrize(
    ("requested", "name", "is_own"),
    [
        ("orders", "main/orders-eu.yaml", False),  # the profile eu of orders, for this client
        ("orders-eu", "main/orders-eu.yaml", True),
        ("orders,orders-eu", "main/orders-eu.yaml", True),
        ("orders", "main/application-orders-eu.yaml", False),
    ],
)
async def test_texts_of_applications_that_were_not_requested_are_not_decrypted(
    server: Any, fetch: Callable[..., Any], document: Any, requested: str, name: str, is_own: bool
) -> None:
    answer = document | {"name": requested}
    server.answer_json(with_values(answer, name, a=cipher("orders-eu", "a")))
    if is_own:
        assert (await fetch(application=requested, decrypt_keys=KEYS))["a"] == "my secret"
    else:
        with pytest.raises(InvalidPayloadError, match="was not encrypted for this application"):
            await fetch(application=requested, decrypt_keys=KEYS)


@pytest.mark.parametrize("kind", ["application", "key", "cut", "unknown key"])
async def test_a_configuration_with_a_value_from_elsewhere_is_rejected(
    server: Any, fetch: Callable[..., Any], document: Any, kind: str, kept: Any
) -> None:
    value = {
        "application": cipher("billing", "a"),
        "key": cipher("orders", "b"),
        "cut": cipher("orders", "a")[:-1],
        "unknown key": cipher("orders", "a").replace("2027", "2025"),
    }[kind]
    server.answer_json(with_values(document, a=cipher("orders", "a")))
    good = await fetch(decrypt_keys=KEYS, **kept)
    server.answer_json(with_values(document, a=value))
    with pytest.raises(InvalidPayloadError, match=r"main/orders-prod\.yaml: 'a': ") as caught:
        await fetch(decrypt_keys=KEYS, policy="require_server")
    assert value[17:] not in str(caught.value)
    assert await fetch(decrypt_keys=KEYS, **kept) == good  # the last good one, from the snapshot
    stored = [
        file.read_text(encoding="utf-8")
        for file in Path(kept["snapshot_dir"]).rglob("*")
        if file.is_file()
    ]
    assert stored
    assert not [one for one in stored if "my secret" in one]


def test_keys_can_be_in_a_file_and_in_variables(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(KEYS), encoding="utf-8")
    variables = {
        "PYFLY_CONFIG_URL": "http://config:8888",
        "PYFLY_CONFIG_APPLICATION": "orders",
        "PYFLY_CONFIG_DECRYPT_KEYS_FILE": str(file),
    }
    config = ClientConfig.from_env(variables)
    assert repr(config.value_cipher) == "ValueCipher(2027, 2026)"
    with pytest.raises(ValueError, match="either decrypt_keys or decrypt_keys_file"):
        ClientConfig.from_env(variables | {"PYFLY_CONFIG_DECRYPT_KEYS": json.dumps(KEYS)})
    for bad in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match="decrypt_keys_file"):
            ClientConfig(**ARGUMENTS, decrypt_keys_file=bad)
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is not UTF-8"):
        ClientConfig(**ARGUMENTS, decrypt_keys_file=file)


@pytest.mark.parametrize(
    "keys", ["", "marker", "[]", "{}", '{"a": 1}', {"a": "marker"}, {"a b": "A" * 43}]
)
def test_keys_that_cannot_be_used_are_refused_without_showing_them(keys: Any) -> None:
    with pytest.raises(ValueError, match="decrypt_keys") as caught:
        ClientConfig(**ARGUMENTS, decrypt_keys=keys)
    assert "marker" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(TypeError, match="decrypt_keys must be a text or a mapping"):
        ClientConfig(**ARGUMENTS | {"decrypt_keys": ["marker"]})


def test_a_configuration_with_keys_stays_a_value() -> None:
    config = ClientConfig(**ARGUMENTS, decrypt_keys=KEYS)
    for same in (copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert (same, hash(same)) == (config, hash(config))
    assert not [key for key in KEYS.values() if key in repr(config) + repr(config.value_cipher)]
