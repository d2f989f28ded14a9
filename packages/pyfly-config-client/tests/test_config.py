"""The configuration of a client as a value, and what sends its requests."""

import asyncio
import base64
import copy
import dataclasses
import inspect
import json
import pickle
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest

from pyfly.config_client import (
    ClientConfig,
    ConfigClient,
    ServerUnreachableError,
    SyncConfigClient,
)
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


WRONG: list[tuple[str, Any, str]] = [
    ("server_url", None, "a text or a sequence of texts"),
    ("server_url", b"http://config", "a text or a sequence of texts"),
    ("application", 1, "a text"),
    ("application", ["orders"], "a text"),
    ("profile", None, "a text or a sequence of texts"),
    ("profile", ["a", None], "a text or a sequence of texts"),
    ("label", {"a", "b"}, "a text or a sequence of texts"),
    ("base_path", None, "a text"),
    ("password", b"marker", "a text"),
    ("token", ["marker"], "a text"),
    ("token_file", b"token", "a path"),
    ("timeout", None, "a number"),
    ("timeout", "5", "a number"),
    ("timeout", True, "a number"),
    ("attempts", float("nan"), "a whole number"),
    ("attempts", 1.5, "a whole number"),
    ("policy", 1, "a text"),
    ("allow_empty", 0, "True or False"),
    ("allow_shrink", "false", "True or False"),
    ("placeholders", None, "True or False"),
    ("validate", "marker", "a function"),
    ("snapshot_dir", False, "a path"),
    ("snapshot_key", b"marker", "a text"),
    ("baseline", 0, "a path"),
    ("ca_file", [], "a path"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
@pytest.mark.parametrize("kind", [ConfigClient, SyncConfigClient])
def test_an_argument_of_a_wrong_type_is_named_before_the_first_fetch(
    kind: Any, name: str, value: Any, expected: str
) -> None:
    with pytest.raises(TypeError) as caught:
        kind(**ARGUMENTS | {name: value})
    assert str(caught.value) == f"{name} must be {expected}, not {type(value).__name__}"


@pytest.mark.parametrize("name", ["token_file", "snapshot_dir", "baseline", "ca_file"])
@pytest.mark.parametrize("path", ["", "marker\0", "marker\ud800"])
def test_a_path_that_no_file_can_have_is_named_before_the_first_fetch(name: str, path: str) -> None:
    given: Any = ARGUMENTS | {name: path}
    with pytest.raises(ValueError, match=f"^{name} ") as caught:
        ClientConfig(**given)
    assert "marker" not in str(caught.value)


def test_what_is_no_transport_is_rejected_when_a_client_is_made() -> None:
    transport: Any
    for transport in (HttpxTransport, object(), 1, ""):
        with pytest.raises(TypeError, match="is not a Transport"):
            SyncConfigClient(**ARGUMENTS, transport=transport)
    inner: Any
    for inner in (1, object(), [], httpx.MockTransport):
        with pytest.raises(TypeError, match="is not a transport of httpx"):
            HttpxTransport(inner)
    with pytest.raises(TypeError, match="from_config takes a ClientConfig, not dict"):
        SyncConfigClient.from_config(ARGUMENTS)


def test_a_generated_representation_of_a_subclass_shows_no_credential() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Extended(ClientConfig):
        team: str = "payments"

    key = base64.b64encode(b"k" * 32).decode()
    config = Extended(**SECRET | {"snapshot_key": key})
    assert "team='payments'" in repr(config)
    assert not [secret for secret in ("marker", key) if secret in repr(config)]


def test_a_configuration_can_be_copied_and_sent_to_another_process() -> None:
    key = base64.b64encode(b"k" * 32).decode()
    config = ClientConfig(**SECRET | {"snapshot_key": key})
    for same in (copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert (same, hash(same)) == (config, hash(config))
        assert config.cipher is not None
        assert same.cipher is not None
        assert same.cipher.decrypt(config.cipher.encrypt(b"body", b"c"), b"c") == b"body"


class EmptyTransport(CannedTransport):
    """A transport that is false, as one is that has a length of 0."""

    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize("active", [False, True])
def test_a_transport_that_is_false_is_used(document: Any, active: bool) -> None:
    given: Any = ARGUMENTS | {"profile": "prod", "transport": EmptyTransport(document)}
    client = SyncConfigClient(**given)
    if active:
        with FakeConfigServer():
            assert client.fetch()["db.url"] == "marker-value"
    else:
        assert client.fetch()["db.url"] == "marker-value"


class FailingTransport(CannedTransport):
    """A transport of a program that raises errors of the operating system, or returns rubbish."""

    def __init__(self, result: Any) -> None:
        super().__init__(None)
        self._result = result

    def run(self) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


@pytest.mark.parametrize("error", [OSError(5, "marker"), ConnectionError("marker"), TimeoutError()])
async def test_an_operating_system_error_of_a_transport_is_an_unreachable_server(
    error: OSError,
) -> None:
    given: Any = ARGUMENTS | {"transport": FailingTransport(error), "attempts": 1}
    for fetch in (
        lambda: asyncio.to_thread(SyncConfigClient(**given).fetch),
        ConfigClient(**given).fetch,
    ):
        with pytest.raises(ServerUnreachableError) as caught:
            await fetch()
        assert caught.value.__cause__ is error
        assert "marker" not in str(caught.value)


async def test_a_snapshot_is_used_if_a_transport_raises_an_operating_system_error(
    document: Any, tmp_path: Any
) -> None:
    given: Any = ARGUMENTS | {"profile": "prod", "snapshot_dir": tmp_path / "s", "attempts": 1}
    SyncConfigClient(**given, transport=CannedTransport(document)).fetch()
    failing = FailingTransport(ConnectionError())
    assert SyncConfigClient(**given, transport=failing).fetch().from_snapshot
    assert (await ConfigClient(**given, transport=failing).fetch()).from_snapshot


async def test_a_transport_that_returns_no_response_is_named() -> None:
    for result in (None, b"{}", {"status": 200}):
        given: Any = ARGUMENTS | {"transport": FailingTransport(result)}
        expected = f"FailingTransport returned {type(result).__name__} instead of HttpResponse"
        with pytest.raises(TypeError, match=expected):
            SyncConfigClient(**given).fetch()
        with pytest.raises(TypeError, match=expected):
            await ConfigClient(**given).fetch()


def test_a_response_has_a_number_bytes_and_headers_in_lower_case() -> None:
    response = HttpResponse(status=200, headers={"Content-Type": "a/B"}, body=b"")
    assert response.headers == {"content-type": "a/B"}
    wrong: Any
    for wrong in ({"status": "200", "body": b""}, {"status": 200, "body": "{}"}):
        with pytest.raises(TypeError, match="a status that is a number, and a body of bytes"):
            HttpResponse(headers={}, **wrong)


async def test_the_timeout_ends_a_transport_that_waits_for_ever() -> None:
    class HangingTransport(CannedTransport):
        async def send(self, request: HttpRequest) -> HttpResponse:
            await asyncio.Event().wait()
            raise AssertionError

    given: Any = ARGUMENTS | {"transport": HangingTransport(None), "timeout": 0.05}
    with pytest.raises(ServerUnreachableError, match="no whole response within"):
        await asyncio.wait_for(ConfigClient(**given).fetch(), 60)


async def test_a_blocking_transport_of_httpx_serves_both_clients(document: Any) -> None:
    class Blocking(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json=document)

    given: Any = ARGUMENTS | {"profile": "prod", "transport": HttpxTransport(Blocking())}
    assert SyncConfigClient(**given).fetch()["db.url"] == "marker-value"
    assert (await ConfigClient(**given).fetch())["db.url"] == "marker-value"
