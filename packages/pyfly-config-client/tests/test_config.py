"""The configuration of a client as a value, and what sends its requests."""

import dataclasses
import inspect
import json
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest

from pyfly.config_client import ClientConfig, ConfigClient, SyncConfigClient
from pyfly.config_client.testing import FakeConfigServer
from pyfly.config_client.transport import HttpRequest, HttpResponse, HttpxTransport

pytestmark = pytest.mark.anyio

ARGUMENTS: Any = {"server_url": "http://u:marker-a@config:8888", "application": "orders"}
SECRET: Any = ARGUMENTS | {"password": "marker-b", "snapshot_key": None}


class CannedTransport:
    """A transport of a program: it answers every request with one document."""

    in_memory = False

    def __init__(self, document: Any) -> None:
        self.requests: list[HttpRequest] = []
        self._body = json.dumps(document).encode()

    def start(self, request: HttpRequest) -> "CannedTransport":
        self.requests.append(request)
        return self

    def run(self) -> HttpResponse:
        headers = {"content-type": "application/json"}
        return HttpResponse(status=200, headers=headers, body=self._body)

    def abort(self) -> None:
        pass

    async def send(self, request: HttpRequest) -> HttpResponse:
        return self.start(request).run()


def test_a_configuration_is_a_value() -> None:
    config = ClientConfig(**ARGUMENTS, label=["a", "b"], profile=["x", "y"])
    same = ClientConfig(**ARGUMENTS, label=("a", "b"), profile=("x", "y"))
    assert (config, hash(config)) == (same, hash(same))
    assert config != dataclasses.replace(config, label="a")
    assert config.identity.labels == ("a", "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.label = "c"  # type: ignore[misc]


def test_no_representation_shows_a_credential() -> None:
    config = ClientConfig(**SECRET)
    for shown in (config, SyncConfigClient.from_config(config), config.servers, config.identity):
        assert "marker" not in repr(shown) + str(shown)


@pytest.mark.parametrize("kind", [ConfigClient, SyncConfigClient])
def test_a_client_is_made_of_a_configuration_or_of_its_arguments(kind: Any) -> None:
    config = ClientConfig(**ARGUMENTS, timeout=3)
    assert kind.from_config(config).config is config
    assert kind(**ARGUMENTS, timeout=3).config == config
    variables = {"PYFLY_CONFIG_URL": ARGUMENTS["server_url"], "PYFLY_CONFIG_APPLICATION": "orders"}
    assert kind.from_env(variables, timeout=3).config == dataclasses.replace(
        config, server_url=[ARGUMENTS["server_url"]]
    )
    assert inspect.signature(kind) == inspect.signature(ClientConfig).replace(
        return_annotation=None
    )
    with pytest.raises(TypeError, match="wrong"):
        kind(**ARGUMENTS, wrong=1)


async def test_both_clients_send_through_the_transport_that_is_given(document: Any) -> None:
    transport = CannedTransport(document)
    given: Any = ARGUMENTS | {"profile": "prod", "transport": transport}
    assert (await ConfigClient(**given).fetch())["db.url"] == "marker-value"
    assert SyncConfigClient(**given).fetch()["db.url"] == "marker-value"
    first, second = transport.requests
    assert first.url == second.url == "http://config:8888/config/orders/prod"
    assert first.headers["Authorization"].startswith("Basic ")


def test_a_transport_of_httpx_has_to_be_wrapped() -> None:
    bare: Any = httpx.MockTransport(lambda _: httpx.Response(200))
    with pytest.raises(TypeError, match=r"MockTransport is not .*; .*=HttpxTransport"):
        SyncConfigClient(**ARGUMENTS, transport=bare)


def test_a_transport_of_its_own_outranks_a_fake_server(
    config_server: FakeConfigServer, document: Any
) -> None:
    given: Any = ARGUMENTS | {"profile": "prod", "transport": CannedTransport(document)}
    assert SyncConfigClient(**given).fetch()["db.url"] == "marker-value"
    assert config_server.requests == []


def test_a_fake_server_answers_existing_clients_in_every_thread() -> None:
    """A client that was made before the fake server, and threads that know nothing of it."""
    client = SyncConfigClient(**ARGUMENTS)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(client.fetch()["a"]))
    with FakeConfigServer() as server:
        server.put("orders", "default", {"a": 1})
        thread.start()
        thread.join()
    assert found == [1]
    assert isinstance(client.config.make_transport(), HttpxTransport)


def test_fake_servers_may_end_in_any_order() -> None:
    client = SyncConfigClient(**ARGUMENTS)
    first, second = FakeConfigServer(), FakeConfigServer()
    first.put("orders", "default", {"a": 1})
    second.put("orders", "default", {"a": 2})
    first.__enter__()
    second.__enter__()
    assert client.fetch() == {"a": 2}
    first.__exit__()
    assert client.fetch() == {"a": 2}
    second.__exit__()
    assert isinstance(client.config.make_transport(), HttpxTransport)


def test_a_start_without_a_fake_server_knows_nothing_of_it() -> None:
    script = (
        "import sys\n"
        "from pyfly.config_client import SyncConfigClient\n"
        "from pyfly.config_client import _client, _config, _command\n"
        "assert not {'pyfly.config_client.testing', 'pyfly.config_server'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
