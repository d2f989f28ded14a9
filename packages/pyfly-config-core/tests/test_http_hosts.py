"""Without a credential: by which names a server may be called, and from which pages."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyfly.config_server import (
    ConfigServer,
    Controller,
    HostPolicy,
    HttpRequest,
    InMemoryConfigBackend,
)

pytestmark = pytest.mark.anyio

POLICY = HostPolicy(allowed=frozenset({"Config.Example.com.", "intranet"}))


def status(*headers: tuple[bytes, bytes], path: bytes = b"/config/a/b") -> int | None:
    return POLICY.status(HttpRequest(method="GET", raw_path=path, headers=headers))


def of_host(*hosts: str) -> int | None:
    return status(*((b"Host", host.encode("latin-1")) for host in hosts))


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost:8888", "localhost.", "localhost:", "localhost.:80"),
        *("a.localhost", "a.b.LocalHost:1", "127.0.0.1", "127.0.0.1:8888", "10.1.2.3", "0.0.0.0"),
        *("[::1]", "[::1]:8888", "[2001:DB8::1]:65535", "[::ffff:10.0.0.1]", "192.168.0.1.:80"),
        *("config.example.com", "CONFIG.example.COM.", "config.example.com:8443", "intranet:80"),
    ],
)
def test_addresses_and_names_of_this_machine_are_allowed(host: str) -> None:
    assert of_host(host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8888", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("evillocalhost", "notlocalhost:80", "config.example.com.evil.example", "example.com"),
        *("a.config.example.com", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "1.2.3.4.5"),
        *("127.0.0.256", "xn--fsq.example", "localhost-", "_localhost", "com"),
    ],
)
def test_other_names_are_misdirected(host: str) -> None:
    assert of_host(host) == 421


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            " ",
            "localhost ",
            " localhost",
            "localhost:x",
            "localhost:123456",
            "localhost:80:80",
        ),
        *("user@localhost", "localhost@evil.example", "user:pass@127.0.0.1", "localhost/", "/"),
        *("localhost, localhost", "localhost,evil.example", "http://localhost", "localhost#", "*"),
        *("::1", "[::1", "::1]", "[localhost]", "[127.0.0.1]", "[::1%25eth0]", "[]", "[::1]]"),
        *("a..localhost", ".localhost", "localhost..", ".", "local host", "localhost\t", "löcal"),
        *("localhost%00", "localhost\\evil.example", "localhost?", "a" * 301, "localhost\x00"),
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    assert of_host(host) == 400


def test_exactly_one_host_is_needed() -> None:
    assert of_host() == 400
    assert of_host("localhost", "localhost") == 400
    assert of_host("localhost", "evil.example") == 400
    assert status((b"host", b"localhost"), (b"HOST", b"evil.example")) == 400


def test_a_target_that_names_an_authority_itself_is_refused() -> None:
    local = (b"host", b"localhost")
    for path in (b"http://evil.example/config/a/b", b"evil.example:80", b"", b"config/a"):
        assert status(local, path=path) == 400
    assert status(local, path=b"*") is None


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("localhost:8888", "http://localhost:8888", None),
        ("LOCALHOST:8888", "http://localhost:8888", None),
        ("[::1]:8888", "http://[::1]:8888", None),
        ("127.0.0.1", "http://127.0.0.1", None),
        ("127.0.0.1:80", "http://127.0.0.1", None),
        ("127.0.0.1", "https://127.0.0.1:443", None),
        ("127.0.0.1", "https://config.example.com", None),  # a proxy that changes the Host
        ("config.example.com", "https://config.example.com", None),
        ("localhost:8888", "http://localhost:3000", 403),
        ("localhost:8888", "http://localhost", 403),
        ("localhost", "http://localhost:8888", 403),
        ("localhost:8888", "http://127.0.0.1:8888", 403),
        ("localhost:8888", "http://evil.example", 403),
        ("localhost:8888", "http://evil.example:8888", 403),
        ("localhost:8888", "https://config.example.com.evil.example", 403),
        *(
            ("localhost:8888", origin, 403)
            for origin in (
                "null",
                "",
                "*",
                "file://",
                "http://",
                "localhost:8888",
                "ftp://localhost",
            )
        ),
        ("localhost:8888", "http://localhost:8888, http://evil.example", 403),
        ("localhost:8888", "http://user@localhost:8888", 403),
        ("localhost:8888", "http://localhost:8888/path", 403),
        ("localhost:8888", "chrome-extension://abcdef", 403),
    ],
)
def test_pages_of_another_origin_are_refused(host: str, origin: str, expected: int | None) -> None:
    assert status((b"host", host.encode()), (b"Origin", origin.encode())) == expected


def test_every_origin_counts() -> None:
    own = (b"origin", b"http://localhost:1")
    assert status((b"host", b"localhost:1"), own, own) is None
    assert status((b"host", b"localhost:1"), own, (b"origin", b"http://evil.example")) == 403


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["none"], None),
        (["same-origin"], None),
        (["same-site"], None),
        (["cross-site"], 403),
        (["Cross-Site"], 403),
        (["none, cross-site"], 403),
        (["none", "cross-site"], 403),
    ],
)
def test_what_a_browser_sends_for_another_site_is_refused(
    values: Sequence[str], expected: int | None
) -> None:
    sent = [(b"Sec-Fetch-Site", value.encode()) for value in values]
    assert status((b"host", b"localhost"), *sent) == expected


@pytest.mark.parametrize(
    "name",
    ["", "a:80", "http://a", "*.example.com", "a b", "a/b", "user@a", "::1", ".a", "a" * 301],
)
def test_an_allowed_name_is_a_host_name(name: str) -> None:
    with pytest.raises(ValueError, match="without scheme, port"):
        HostPolicy(allowed=frozenset({name}))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_are_allowed_or_refused(host: bytes, origin: bytes) -> None:
    assert status((b"host", host), (b"origin", origin)) in {None, 400, 403, 421}


async def answer(controller: Controller, path: bytes, **headers: str) -> Any:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = HttpRequest(method="GET", raw_path=path, headers=pairs)
    response = await controller.handle(request)
    return response.status, json.loads(response.body)


async def test_the_controller_checks_what_it_was_told_to_check() -> None:
    server = ConfigServer(InMemoryConfigBackend())
    guarded, free = (Controller(server, auth=None, hosts=one) for one in (HostPolicy(), None))
    for path in (b"/config/a/b", b"/config/a-b.yml", b"/config/_openapi.json", b"/elsewhere", b"/"):
        assert (await answer(guarded, path, host="evil.example"))[0] == 421
        assert (await answer(guarded, path))[0] == 400
        assert (await answer(guarded, path, host="::1", origin="null"))[0] == 400
        assert (await answer(guarded, path, host="[::1]", origin="null"))[0] == 403
        assert (await answer(free, path, host="evil.example", origin="null"))[0] in {200, 404}


async def test_a_refusal_says_what_to_do() -> None:
    controller = Controller(ConfigServer(InMemoryConfigBackend()), auth=None, hosts=HostPolicy())
    status, error = await answer(controller, b"/config/a/b", host="config.corp")
    assert (status, error["status"]) == (421, 421)
    assert "--allowed-hosts" in error["message"]
    status, problem = await answer(controller, b"/config/_bundles", host="config.corp")
    assert (status, problem["code"]) == (421, "misdirected")


async def test_the_description_lists_these_refusals_where_they_are_made() -> None:
    server = ConfigServer(InMemoryConfigBackend())
    for hosts in (HostPolicy(), None):
        controller = Controller(server, auth=None, hosts=hosts)
        _, document = await answer(controller, b"/config/_openapi.json", host="localhost")
        for operations in document["paths"].values():
            for operation in operations.values():
                assert {"400", "405", "414"} <= operation["responses"].keys()
                assert ("421" in operation["responses"]) is (hosts is not None)
