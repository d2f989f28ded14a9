"""Tests of a function that reads configuration; no server runs."""

import pytest

from pyfly.config_client import ServerUnreachableError
from pyfly.config_client.testing import FakeConfigServer
from shipping import shipping_fee


def test_the_fee_is_that_of_the_configuration(config_server: FakeConfigServer) -> None:
    config_server.put("shop", "default", {"shipping": {"fee": 5}})
    assert shipping_fee() == 5
    with config_server.override({"shipping.fee": 0}):
        assert shipping_fee() == 0
    assert shipping_fee() == 5


def test_without_a_server_there_is_no_fee(config_server: FakeConfigServer) -> None:
    with config_server.fault("down"), pytest.raises(ServerUnreachableError):
        shipping_fee()
