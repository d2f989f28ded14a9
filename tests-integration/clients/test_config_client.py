"""The PyPI package `config-client` reads the example repository as it is meant."""

from collections.abc import Callable
from typing import Any

import pytest

from pyfly.config_client import SyncConfigClient
from pyfly.config_server import EncryptionKeys, open_keys

pytestmark = pytest.mark.external

DISTRIBUTION = "config-client==1.5.0"
READ = """
import json
import sys

from config.spring import ConfigClient

address, application, profile, label, *file = sys.argv[1:]
client = ConfigClient(address=address, app_name=application, profile=profile, label=label)
credential = ("reader", "open sesame")
if file:
    print(json.dumps(client.get_file(*file, auth=credential)))
else:
    client.get_config(auth=credential)
    print(json.dumps(client.config))
"""

CONVERT = """
import json
import sys

from config.spring import ConfigClient

address, method, text = sys.argv[1:]
convert = getattr(ConfigClient(address=address, app_name="orders"), method)
print(json.dumps(convert(text, auth=("reader", "open sesame"))))
"""


@pytest.fixture(scope="module")
def read(python_reader: Callable[..., Any]) -> Callable[..., Any]:
    """Read with address, application, profiles, label, and perhaps the name of a file."""
    reader: Callable[..., Any] = python_reader(DISTRIBUTION, READ)
    return reader


@pytest.fixture(scope="module")
def convert(python_reader: Callable[..., Any]) -> Callable[..., Any]:
    """Encrypt or decrypt, as the name of the method says, with address, method and text."""
    converter: Callable[..., Any] = python_reader(DISTRIBUTION, CONVERT)
    return converter


def test_two_profiles_in_their_order(
    guarded: Any, read: Callable[..., Any], orders_in_the_eu: Any
) -> None:
    assert read(f"{guarded.url}/config", "orders", "prod,eu", "main") == orders_in_the_eu


def test_other_labels(guarded: Any, read: Callable[..., Any]) -> None:
    """It sends the label as it is given, so a slash is written as the contract has it."""
    found = read(f"{guarded.url}/config", "orders", "prod", "release-1.4")
    assert found["db"] == {"url": "postgres://db.internal.example/orders_1_4", "pool-size": 10}
    assert found["http"] == {"timeout-seconds": 10, "retries": 2}
    for label in ("feature%2Fx", "feature(_)x"):
        assert read(f"{guarded.url}/config", "orders", "prod", label) == {"who": "feature"}


def test_json_and_the_traps_of_yaml(guarded: Any, read: Callable[..., Any]) -> None:
    found = read(f"{guarded.url}/config", "billing", "prod,eu", "main")["billing"]
    assert found["tax"] == {"included": True, "rate": 0.19}
    assert found["reminders"] == [
        {"after-days": 14, "channel": "email"},
        {"after-days": 30, "channel": "letter"},
    ]
    assert (found["batch-size"], found["opens-on"], found["enabled"]) == (
        1000.0,
        "2026-01-31",
        True,
    )


@pytest.mark.case(71, 72)
@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ("dev", "server_name Example Coffee;\n"),
        ("prod", "upstream db.internal.example:5432;\nuser ${missing};\n"),
        ("eu,prod", "upstream db.internal.example:5432;\nuser ${missing};\n"),
    ],
)
def test_files_beside_the_bundles(
    guarded: Any, read: Callable[..., Any], profile: str, text: str
) -> None:
    assert read(f"{guarded.url}/config", "orders", profile, "main", "nginx.conf") == text


@pytest.mark.case(81)
@pytest.mark.parametrize(
    ("text", "clear"),
    [
        *((text, text) for text in ("pässwörd ☃ a+b=1%2B", "x=")),
        *(("{key:k1}v", "v"), ("{plain}{key:k1}v", "{key:k1}v")),
    ],
)
def test_a_text_is_encrypted_and_decrypted(
    guarded: Any, convert: Callable[..., Any], text: str, clear: str
) -> None:
    address = f"{guarded.url}/config"
    encrypted = convert(address, "encrypt", text)
    assert convert(address, "decrypt", encrypted) == clear
    assert open_keys(EncryptionKeys(default="foo")).decrypt(encrypted) == clear


@pytest.mark.parametrize(
    ("application", "profile", "label"),
    [
        ("orders", "prod,eu", "main"),
        ("orders", "prod", "release-1.4"),
        ("billing", "prod,eu", "main"),
        ("inventory", "prod", "main"),
    ],
)
def test_ours_reads_the_same(
    guarded: Any,
    read: Callable[..., Any],
    flat: Callable[[Any], dict[str, Any]],
    application: str,
    profile: str,
    label: str,
) -> None:
    theirs = read(f"{guarded.url}/config", application, profile, label)
    ours = SyncConfigClient(
        server_url=guarded.url,
        application=application,
        profile=profile,
        label=label,
        username="reader",
        password="open sesame",
    ).fetch()
    assert flat(theirs) == ours


def test_ours_replaces_a_list_whole(examples: Any) -> None:
    """`config-client` merges lists by element; a Spring service, and ours, do not (4.1)."""
    client = SyncConfigClient(server_url=examples.url, application="orders", profile="dev")
    lists = {key: value for key, value in client.fetch().items() if "payment" in key}
    assert lists == {"orders.payment-methods[0]": "test-card"}
