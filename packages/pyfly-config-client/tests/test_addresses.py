"""Addresses of servers and credentials: what cannot be is refused at once, and nothing is shown."""

import base64
import string
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pyfly.config_client import ConfigClient, ConfigClientError, SyncConfigClient
from pyfly.config_client._command import main

SECRET = "S3cr3t"
PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))
UNICODE = "pässwörd ☃ שלום 密碼 🔑"

IMPOSSIBLE = [
    f"http://user:{SECRET}/x@host",
    f"http://user:{SECRET}?x@host",
    f"http://user:{SECRET}#x@host",
    f"http://user:{SECRET}[x@host",
    f"http://user:{SECRET}\u2100x@host",
    f"http://user:8888/{SECRET}@host",
    f"http://user:{SECRET}%00@host",
    f"http://user:{SECRET}%ff@host",
    f"http://user:{SECRET} x@host",
    f"http://user:{SECRET}\nx@host",
    f"http://user:{SECRET}@host:99999",
    f"http://user:{SECRET}@host:0",
    f"http://user:{SECRET}@host:-1",
    f"http://user:{SECRET}@host:port",
    f"http://user:{SECRET}@",
    f"http://user:{SECRET}@:8888",
    f"http://user:{SECRET}@a..b",
    f"http://user:{SECRET}@{'a' * 64}.example",
    f"http://user:{SECRET}@{'a.' * 127}aa",
    f"http://user:{SECRET}@ho st",
    f"http://user:{SECRET}@ho\tst",
    f"http://user:{SECRET}@host\x7f",
    f"http://user:{SECRET}@hos%74",
    f"http://user:{SECRET}@host/\udc80",
    f"http://user:{SECRET}@999.1.1.1",
    f"http://user:{SECRET}@[::1",
    f"http://user:{SECRET}@[::g]",
    f"http://user:{SECRET}@[fe80::1%25eth0]",
    f"http://user:{SECRET}@☃.example",
    f"http://user:{SECRET}@xn--bcher-kva.ex\u0101mple\u200d",
    f"ftp://user:{SECRET}@host",
    f"user:{SECRET}@host",
    f"//user:{SECRET}@host",
    f"http://user:{SECRET}@host?x",
    f"http://user:{SECRET}@host/?",
    f"http://user:{SECRET}@host#",
    f" http://user:{SECRET}@host",
    "http://",
    "",
]


@pytest.mark.parametrize("url", [pytest.param(url, id=ascii(url)) for url in IMPOSSIBLE])
def test_an_address_that_no_server_has_is_refused_and_not_shown(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for make in (ConfigClient, SyncConfigClient):
        with pytest.raises(ValueError, match="server URL") as caught:
            make(server_url=url, application="orders")
        assert not isinstance(caught.value, ConfigClientError)
        error: BaseException | None = caught.value
        while error is not None:  # also what debuggers and error trackers look at
            assert SECRET not in "".join(traceback.format_exception_only(error))
            error = error.__cause__ or error.__context__
    monkeypatch.setenv("PYFLY_CONFIG_APPLICATION", "orders")
    for command in ("get", "doctor"):
        assert main([command, "--url", url, "--snapshot-dir", "off"]) == 2
        shown = capsys.readouterr()
        assert SECRET not in shown.out + shown.err


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://localhost", "http://localhost"),
        ("http://LOCALHOST:8888/", "http://LOCALHOST:8888"),
        ("http://config_server:8888", "http://config_server:8888"),
        ("http://pyfly-config.ns.svc.cluster.local.:80", None),
        ("http://127.0.0.1:65535", None),
        ("http://127.1", None),
        ("https://[::1]:8888/base/", "https://[::1]:8888/base"),
        ("http://bücher.example", None),
        (f"http://u:{quote(PRINTABLE.replace(':', ''), safe='')}@config", "http://config"),
        ("http://u:100%@config:1", "http://config:1"),
        ("http://u:p@ss@config:1", "http://config:1"),
    ],
)
def test_addresses_that_servers_have_are_taken(url: str, asked: str | None) -> None:
    client = SyncConfigClient(server_url=url, application="orders", label="main")
    assert repr(client) == f"SyncConfigClient('{asked or url}/config/orders/default/main')"


@pytest.mark.parametrize("base_path", ["/con fig", "/config?", "/config#x", "/a@b", "/con\nfig"])
def test_a_base_path_that_no_server_has_is_refused(base_path: str) -> None:
    with pytest.raises(ValueError, match="base path"):
        SyncConfigClient(server_url="http://host", application="orders", base_path=base_path)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"username": f"a:{SECRET}", "password": "p"}, "a user name must not contain ':'"),
        ({"server_url": f"http://a%3A{SECRET}:p@host"}, "a user name must not contain ':'"),
        ({"username": "a", "password": f"{SECRET}\n"}, "control character"),
        ({"username": "a", "password": f"{SECRET}\x00"}, "control character"),
        ({"username": "a", "password": f"{SECRET}\ud800"}, "control character"),
        ({"token": f"{SECRET} x"}, "must not contain blanks"),
        ({"token": f"{SECRET}\u00a0x"}, "must not contain blanks"),
        ({"token": ""}, "must not be empty"),
        ({"token": f"{SECRET}\r\nX-Header: 1"}, "control character"),
        ({"server_url": f"http://u:{SECRET}@host", "token": "t"}, "not both"),
    ],
)
def test_a_credential_that_cannot_be_sent_is_refused_and_not_shown(
    how: dict[str, Any], said: str
) -> None:
    given: Any = {"server_url": "http://host", "application": "orders"} | how
    with pytest.raises(ValueError, match=said) as caught:
        SyncConfigClient(**given)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"two words", b"\xff", b"a\0b"])
def test_a_file_that_holds_no_token_is_named_and_not_shown(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    client = SyncConfigClient(server_url="http://host", application="orders", token_file=file)
    with pytest.raises(ConfigClientError, match=r"token file .*/token: ") as caught:
        client.fetch()
    assert caught.value.__cause__ is None
    assert "two" not in str(caught.value)


def authorization(server: Any) -> bytes:
    headers = server.requests[-1].encode("latin-1").split(b"\r\n")
    (found,) = [one for one in headers if one.lower().startswith(b"authorization: ")]
    return found.partition(b": ")[2]


Fetch = Callable[..., Any]


@pytest.mark.anyio
@pytest.mark.parametrize("password", [PRINTABLE, UNICODE])
async def test_every_printable_character_of_a_password_is_sent(
    server: Any, server_url: str, fetch: Fetch, password: str
) -> None:
    user = password.replace(":", "")
    expected = b"Basic " + base64.b64encode(f"{user}:{password}".encode())
    await fetch(username=user, password=password)
    assert authorization(server) == expected
    info = f"{quote(user, safe='')}:{quote(password, safe='')}"
    await fetch(server_url=server_url.replace("://", f"://{info}@"))
    assert authorization(server) == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    "token", [PRINTABLE.replace(" ", ""), UNICODE.replace(" ", ""), string.ascii_letters]
)
async def test_every_visible_character_of_a_token_is_sent(
    server: Any, server_url: str, fetch: Fetch, token: str, tmp_path: Path
) -> None:
    assert server_url
    await fetch(token=token)
    assert authorization(server) == b"Bearer " + token.encode()
    (tmp_path / "token").write_text(f"{token}\r\n", encoding="utf-8")
    await fetch(token_file=tmp_path / "token")
    assert authorization(server) == b"Bearer " + token.encode()
