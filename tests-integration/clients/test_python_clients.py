"""Two more clients from PyPI: one folds the document, one reads the flattened JSON."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.external

FOLD = """
import json
import os
import sys

from spring_config_client import SpringConfigClient

address, application, profile, *credential = sys.argv[1:]
merged = SpringConfigClient(address, application, profile, *credential).fetch_and_load()
print(json.dumps([merged, {key: os.environ[key] for key in merged}]))
"""

FLATTENED = """
import json
import sys

from spring_config import ClientConfigurationBuilder
from spring_config.client import SpringConfigClient

address, application, profile, label, *credential = sys.argv[1:]
settings = ClientConfigurationBuilder().address(address).app_name(application)
settings = settings.profile(profile).branch(label)
if credential:
    settings = settings.authentication(tuple(credential))
try:
    print(json.dumps(SpringConfigClient(settings.build()).get_config()))
except Exception as error:
    print(json.dumps(error.args))
"""

CREDENTIAL = ("reader", "open sesame")


@pytest.fixture(scope="module")
def fold(python_reader: Callable[..., Any]) -> Callable[..., Any]:
    """Read with `spring-config-client-python`, which knows no labels."""
    reader: Callable[..., Any] = python_reader("spring-config-client-python==0.1.3", FOLD)
    return reader


@pytest.fixture(scope="module")
def read_json(python_reader: Callable[..., Any]) -> Callable[..., Any]:
    """Read with `spring-config-client`, which sends the label as it is given."""
    reader: Callable[..., Any] = python_reader("spring-config-client==0.2", FLATTENED)
    return reader


def test_spring_config_client_python_folds_the_document(
    guarded: Any, fold: Callable[..., Any], flat: Callable[..., Any], orders_in_the_eu: Any
) -> None:
    merged, environment = fold(f"{guarded.url}/config", "orders", "prod,eu", *CREDENTIAL)
    assert merged == flat(orders_in_the_eu)
    assert environment == {key: str(value) for key, value in merged.items()}


def test_spring_config_client_reads_two_profiles(
    guarded: Any, read_json: Callable[..., Any], orders_in_the_eu: Any
) -> None:
    found = read_json(f"{guarded.url}/config", "orders", "prod,eu", "main", *CREDENTIAL)
    assert found == orders_in_the_eu


def test_spring_config_client_replaces_a_list_whole(
    guarded: Any, read_json: Callable[..., Any]
) -> None:
    found = read_json(f"{guarded.url}/config", "inventory", "dev", "main", *CREDENTIAL)
    assert found["inventory"]["warehouses"] == [{"name": "garage", "capacity": 10}]


def test_spring_config_client_reads_a_label_with_a_slash(
    guarded: Any, read_json: Callable[..., Any]
) -> None:
    for label in ("feature%2Fx", "feature(_)x"):
        found = read_json(f"{guarded.url}/config", "orders", "prod", label, *CREDENTIAL)
        assert found == {"who": "feature"}


def test_spring_config_client_sends_an_empty_credential_to_an_open_server(
    examples: Any, read_json: Callable[..., Any], orders_in_the_eu: Any
) -> None:
    assert read_json(f"{examples.url}/config", "orders", "prod,eu", "main") == orders_in_the_eu


def test_spring_config_client_without_a_credential_gets_nothing(
    guarded: Any, read_json: Callable[..., Any]
) -> None:
    found = read_json(f"{guarded.url}/config", "orders", "prod", "main")
    assert found == ["Failed to acquire configuration", "HTTP Response Code : 401"]
