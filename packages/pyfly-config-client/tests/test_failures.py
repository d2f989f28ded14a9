"""What an error of a fetch tells: the cause by its name, what to do, and nothing else."""

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pyfly.config_client import (
    ConfigClient,
    ServerRejectedError,
    ServerUnreachableError,
    SyncConfigClient,
    _fetch,
    _responses,
)
from pyfly.config_client._command import main
from pyfly.config_client._responses import only_shared
from pyfly.config_client.transport import HttpxTransport

pytestmark = pytest.mark.anyio

Fetch = Callable[..., Any]


# --- no answer ------------------------------------------------------------------------


async def test_a_host_name_that_nobody_knows_is_named(fetch: Fetch) -> None:
    with pytest.raises(
        ServerUnreachableError, match=r"unknown host name name\.invalid; check its spelling"
    ) as caught:
        await fetch(server_url="http://name.invalid:8888")
    assert not caught.value.permanent  # a name may be known a moment later


async def test_a_refused_connection_is_named_with_its_cause_alone(
    free_url: str, fetch: Fetch
) -> None:
    with pytest.raises(ServerUnreachableError, match=r": connection refused by 127\.") as caught:
        await fetch(server_url=free_url)
    cause = caught.value.__cause__
    assert isinstance(cause, ConnectionRefusedError)
    assert (cause.__cause__, cause.__context__, cause.__traceback__) == (None, None, None)


async def test_a_failing_proxy_is_named(free_url: str) -> None:
    with httpx.HTTPTransport(proxy=free_url) as transport:
        client = SyncConfigClient(
            server_url="http://config:8888",
            application="orders",
            transport=HttpxTransport(transport),
            attempts=1,
        )
        with pytest.raises(ServerUnreachableError, match=r"connection refused|the proxy did not"):
            client.fetch()


PROGRAM = """
import asyncio
from pyfly.config_client import ConfigClient, SyncConfigClient

how = {{"server_url": {url!r}, "application": "orders", "attempts": 1, "snapshot_dir": "off"}}

def start():
    return {call}

start()
"""


@pytest.mark.parametrize(
    ("call", "most"),
    [
        ("SyncConfigClient(**how).fetch()", 15),
        ("asyncio.run(ConfigClient(**how).fetch())", 24),  # a dozen are those of asyncio itself
    ],
)
def test_a_refused_connection_is_a_short_traceback(free_url: str, call: str, most: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(url=free_url, call=call)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    lines = done.stderr.splitlines()
    lines = lines[next(i for i, line in enumerate(lines) if "trying again" not in line) :]
    source = [line for line in lines if {*line.strip()} - {"^", "~"}]  # later Pythons mark more
    assert len(source) <= most, done.stderr
    assert lines[0].startswith("ConnectionRefusedError: ")
    shown = done.stderr
    assert shown.count("Traceback (most recent call last)") == 1
    assert shown.count("pyfly/config_client/") == 1
    assert "httpx" not in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "call", ["SyncConfigClient(**how).fetch()", "asyncio.run(ConfigClient(**how).fetch())"]
)
def test_so_is_that_of_a_server_that_never_answers(call: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        program = PROGRAM.replace('"attempts"', '"timeout": 0.5, "attempts"')
        done = subprocess.run(
            [sys.executable, "-c", program.format(url=url, call=call)],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    assert "no whole response within" in done.stderr
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert done.stderr.count("pyfly/config_client/") == 1


async def test_neither_does_a_broken_answer_lead_through_the_parser(
    server: Any, fetch: Fetch
) -> None:
    server.answer_json(b'{"marker-value"')
    with pytest.raises(Exception, match="not JSON: Expecting ':' delimiter") as caught:
        await fetch()
    error: BaseException | None = caught.value
    while error is not None:  # an error of the parser would hold the whole document
        assert "marker-value" not in repr(vars(error))
        error = error.__cause__ or error.__context__


# --- an answer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "media_type", "said"),
    [
        (
            {"detail": "main/orders.yaml: line 3: a tab"},
            "application/problem+json",
            "line 3: a tab",
        ),
        ({"status": 500, "message": "no such branch"}, "application/json", "no such branch"),
        ({"error": "Internal Server Error"}, "application/json", "Internal Server Error"),
        (b"Client sent an HTTP request\nto an HTTPS server.", "text/plain", "an HTTP request ("),
    ],
)
async def test_what_the_server_says_is_in_the_error(
    server: Any, fetch: Fetch, body: Any, media_type: str, said: str
) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    server.answer(text, f"Content-Type: {media_type}", status="500 Oops")
    with pytest.raises(ServerRejectedError, match="answered 500: the server says: ") as caught:
        await fetch()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "x\r\n\x1b[31mforged log line\u202e" + "y" * 100_000},
        {"detail": "x" * 60_000},
        {"detail": {"deep": ["x"]}, "message": 5},
        [1],
        "text",
        None,
    ],
)
async def test_what_the_server_says_stays_short_and_on_its_line(
    server: Any, fetch: Fetch, body: Any
) -> None:
    server.answer_json(body, status="500 Oops")
    with pytest.raises(ServerRejectedError) as caught:
        await fetch()
    (line,) = str(caught.value).splitlines()
    assert (len(line) < 1_000, line.isprintable()) == (True, True)


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden"])
async def test_what_is_refused_is_not_asked_for_again(
    server: Any, fetch: Fetch, status: str
) -> None:
    server.answer_json({}, status=status)
    with pytest.raises(ServerRejectedError):
        await fetch(attempts=None, timeout=60)
    assert len(server.requests) == 1


async def test_redirects_are_not_followed_and_not_repeated(server: Any, fetch: Fetch) -> None:
    for status in ("301 Moved", "302 Found", "303 See Other", "307 Again", "308 For Ever"):
        server.requests.clear()
        server.answer(b"", "Location: /config/orders/prod", status=status)
        with pytest.raises(ServerRejectedError, match="redirects are not followed"):
            await fetch(attempts=None, timeout=60)
        assert len(server.requests) == 1


@pytest.mark.parametrize(("count", "own"), [(10, False), (19_000, True)])
async def test_a_large_answer_does_not_hold_up_the_event_loop(
    server: Any, document: Any, count: int, own: bool, monkeypatch: pytest.MonkeyPatch, kept: Any
) -> None:
    """It is read in a thread of its own, also from a snapshot; the program's check is not."""
    readers: set[threading.Thread] = set()
    checkers: set[threading.Thread] = set()

    def watched(*given: Any, **named: Any) -> Any:
        readers.add(threading.current_thread())
        return read_document(*given, **named)

    read_document = _responses.read
    monkeypatch.setattr(_responses, "read", watched)
    monkeypatch.setattr(_fetch, "read", watched)
    values = {f"k{i}": i for i in range(count)}
    server.answer_json(document | {"propertySources": [{"name": "x", "source": values}]})
    arguments: Any = {"server_url": server.url, "application": "orders", "profile": "prod"}
    for _ in range(2):
        found = await ConfigClient(
            **arguments, **kept, validate=lambda _: checkers.add(threading.current_thread())
        ).fetch()
        assert len(found) == count
    main_thread = threading.current_thread()
    assert (main_thread not in readers) == own
    assert checkers == {main_thread}


async def test_a_base_path_that_is_given_twice_is_named(server: Any, fetch: Fetch) -> None:
    server.answer_json({}, status="404 Not Found")
    said = r"the server URL ends with /config, and the base path /config was appended to it"
    for url in (f"{server.url}/config", f"{server.url}/x/config/"):
        with pytest.raises(ServerRejectedError, match=said):
            await fetch(server_url=url)
    with pytest.raises(ServerRejectedError) as caught:
        await fetch(server_url=server.url)
    assert "was appended to it" not in str(caught.value)
    with pytest.raises(ServerRejectedError) as caught:
        await fetch(server_url=f"{server.url}/config", base_path="")
    assert "was appended to it" not in str(caught.value)


# --- names for which nothing is stored ------------------------------------------------

SHARED = [
    {"name": "main/application-prod.yaml", "source": {"a": 1}},
    {"name": "main/application.yaml (document #1)", "source": {"b": 1}},
    {"name": "main/orders-prod.yaml", "source": {}},
]
WARNING = (
    "nothing is stored for the application 'orders' with the profiles 'prod'; only properties "
    "shared by all applications were found; check the spelling of the names"
)


async def test_a_start_with_nothing_but_shared_properties_warns_once(
    server: Any, fetch: Fetch, document: Any, caplog: pytest.LogCaptureFixture, kept: Any
) -> None:
    caplog.set_level(logging.WARNING, "pyfly.config_client")
    server.answer_json(document | {"propertySources": SHARED})
    assert await fetch(**kept) == {"a": 1, "b": 1}
    assert [record.getMessage() for record in caplog.records] == [WARNING]
    caplog.clear()
    server.answer_json(document)
    await fetch(allow_shrink=True)
    assert caplog.text == ""


def test_the_command_warns_too(
    server: Any, document: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer_json(document | {"propertySources": SHARED})
    how = ["--url", server.url, "--application", "orders", "--profile", "prod"]
    how += ["--snapshot-dir", "off"]
    command = [sys.executable, "-c", "from pyfly.config_client._command import main; main()"]
    done = subprocess.run(
        [*command, "get", "a", *how], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", f"{WARNING}\n")
    assert main(["doctor", *how]) == 0
    assert f"note  names: {WARNING}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "application", "shared"),
    [
        (["file:/repo/application.yml"], "orders", True),
        (["https://git.example/config/application-prod.properties"], "orders", True),
        (["s3:application-prod", "vault:application", "overrides"], "orders", True),
        (["application,prod"], "orders", True),
        (["main/application.yaml", "main/orders.yaml"], "orders", False),
        (["main/application.yaml"], "orders,application", False),
        (["main/applications.yaml"], "orders", False),
        (["configmap.orders.default"], "orders", False),
        ([], "orders", False),
    ],
)
def test_only_names_that_are_surely_shared_count(
    names: list[str], application: str, shared: bool
) -> None:
    assert only_shared(names, application) == shared
