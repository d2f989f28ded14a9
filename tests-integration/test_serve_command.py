"""`pyfly-config serve` as a user runs it: real processes, real sockets."""

import base64
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("pyfly-config")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("orders-default", "orders-prod", "application-default"):
        path = tmp_path / "main" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"who: {name}\n", encoding="utf-8")
    return tmp_path


def run(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
    environment |= {f"PYFLY_CONFIG_SERVER_{k}": v for k, v in settings.items()}
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env=environment,
    )


def get(server: Any, path: str, *headers: str) -> tuple[int, str, bytes]:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    raw = server.exchange("\r\n".join([*lines, "", ""]).encode("latin-1"))
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head.decode("latin-1").lower(), body


def test_it_says_what_it_serves_and_where(tree: Path, start_server: Callable[..., Any]) -> None:
    (tree / "main" / "broken-prod.yaml").write_bytes(b"x" * 1_048_577)
    server = start_server(tree)
    output = server.output()
    assert f"Serving {tree} at {server.url}/config" in output
    assert "bundles       4" in output
    assert "applications  application, broken, orders" in output
    assert "profiles      default, prod" in output
    assert "labels        main (default: main)" in output
    assert "unreadable    broken/prod/main: main/broken-prod.yaml: larger than" in output
    assert f"Try: curl {server.url}/config/orders/default\n" in output
    status, _, body = get(server, "/config/orders/prod")
    assert (status, json.loads(body)["name"]) == (200, "orders")
    assert get(server, "/config/broken/prod")[0] == 500
    server.wait_for("500: main/broken-prod.yaml: larger than")


def test_what_it_says_to_try_is_answered_in_the_layout_of_spring(
    tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    (tmp_path / "orders.yml").write_text("a: 1\n", encoding="utf-8")
    server = start_server(f"{tmp_path.as_uri()}?layout=spring")
    path = server.output().partition(f"Try: curl {server.url}")[2].strip()
    status, _, body = get(server, path)
    assert (status, json.loads(body)["propertySources"][0]["source"]) == (200, {"a": 1})


def test_what_it_says_to_try_is_stored_whatever_the_default_label(
    tree: Path, start_server: Callable[..., Any]
) -> None:
    (tree / "feature").mkdir()
    (tree / "main").rename(tree / "feature" / "x")
    server = start_server(tree, DEFAULT_LABEL="trunk")
    assert "labels        feature/x (default: trunk, which has none)" in server.output()
    path = server.output().partition(f"Try: curl {server.url}")[2].strip()
    status, _, body = get(server, path)
    assert (status, json.loads(body)["label"]) == (200, "feature/x")


@pytest.mark.parametrize(
    ("credential", "arguments", "words"),
    [
        ({"TOKEN": "let-me-in"}, "-H 'Authorization: Bearer TOKEN'", "TOKEN"),
        ({"USERNAME": "ann", "PASSWORD": "let me in"}, "-u 'NAME:PASSWORD'", "NAME:PASSWORD"),
    ],
)
def test_what_it_says_to_try_carries_the_credential(
    tree: Path,
    start_server: Callable[..., Any],
    credential: dict[str, str],
    arguments: str,
    words: str,
) -> None:
    server = start_server(tree, **credential)
    (line,) = [line for line in server.output().splitlines() if line.startswith("Try: ")]
    assert line == f"Try: curl {server.url}/config/orders/default {arguments}"
    if shutil.which("curl") is None:
        return
    command = shlex.split(line.removeprefix("Try: ").replace(words, ":".join(credential.values())))
    done = subprocess.run([*command, "-sS"], capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["name"] == "orders"


def test_sigterm_stops_it_cleanly(tree: Path, start_server: Callable[..., Any]) -> None:
    server = start_server(tree)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as idle:
        idle.sendall(b"GET /config/orders/prod HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10


def test_ctrl_c_stops_it_cleanly(tree: Path, start_server: Callable[..., Any]) -> None:
    server = start_server(tree)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    assert "Traceback" not in server.output()


def test_what_kubernetes_and_files_provide_is_used(
    tree: Path, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("sesame\n", encoding="utf-8")
    injected = {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT_HTTP": "8888"}
    server = start_server(
        tree / "main", TOKEN_FILE=str(file), PORT="tcp://10.0.0.1:8888", **injected
    )
    assert get(server, "/config/orders/prod")[0] == 401
    admitted = get(server, "/config/orders/prod", "Authorization: Bearer sesame")
    assert admitted[0] == 404  # there is no label
    assert f"files lie directly in '{tree}/main' and are not served" in server.output()
    assert f"Did you mean '{tree}', where 'main' is a label" in server.output()


def test_settings_may_come_from_the_environment(
    tree: Path, start_server: Callable[..., Any]
) -> None:
    server = start_server(
        tree, BASE_PATH="", DEFAULT_LABEL="main", USERNAME="reader", PASSWORD="open sesame"
    )
    assert get(server, "/orders/prod")[0] == 401
    pair = base64.b64encode(b"reader:open sesame").decode()
    assert get(server, "/orders/prod", f"Authorization: Basic {pair}")[0] == 200
    assert "open sesame" not in server.output()


def test_several_workers_share_the_port(tree: Path, start_server: Callable[..., Any]) -> None:
    server = start_server(tree, "--workers", "2")
    assert [get(server, "/config/orders/prod")[0] for _ in range(20)] == [200] * 20
    assert server.stop() == 0


def test_an_edit_is_served_at_once(tree: Path, start_server: Callable[..., Any]) -> None:
    server = start_server(tree)
    for number in range(20):
        (tree / "main" / "orders-prod.yaml").write_text(f"n: {number}\n", encoding="utf-8")
        _, _, body = get(server, "/config/orders/prod")
        assert json.loads(body)["propertySources"][0]["source"] == {"n": number}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("serve",), 2, "name a directory or a URL"),
        (("serve", "./nowhere"), 2, "there is no directory './nowhere'"),
        (("serve", "file:///nowhere/at/all"), 1, "cannot open the root of the configuration"),
        (
            ("serve", "carrier-pigeon://x"),
            2,
            "installed are: file:, git+file:, git+http:, git+https:, git+ssh:, mariadb:, memory:",
        ),
        (
            ("serve", "git://host/x"),
            2,
            "no backend for 'git:'; did you mean 'git+ssh:'? installed are: file:",
        ),
        (("serve", "memory:", "--port", "99999"), 2, "from 1 to 65535"),
        (("serve", "memory:", "--base-path", "config"), 2, "base path 'config' must"),
        (("serve", "memory:", "--base-path", "/a/../b"), 2, "without '.' and '..' between slashes"),
        (("serve", "memory:", "--host", "no.such.host.invalid", "--insecure"), 2, "cannot listen"),
        (("serve", "memory:", "--host", "x" * 64, "--insecure"), 2, "not a host name"),
        (("serve", "memory:", "--host", "0.0.0.0"), 2, "no credential"),
        ((), 2, "Usage: pyfly-config"),
    ],
)
def test_mistakes_are_explained_in_one_line(arguments: Any, code: int, said: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named(tree: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("serve", tree, "--port", port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "--port" in done.stderr


def test_an_unknown_setting_is_an_error() -> None:
    done = run("serve", "memory:", TOKN="x")
    assert done.returncode == 2
    assert "did you mean PYFLY_CONFIG_SERVER_TOKEN?" in done.stderr


def test_help_teaches() -> None:
    done = run("serve", "--help")
    assert done.returncode == 0
    for word in ("Examples:", "PYFLY_CONFIG_SERVER_TOKEN", "Exit codes:", "--insecure"):
        assert word in done.stdout
    assert run("--version").stdout.startswith("pyfly-config 0.")


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(
            b"GET /config/orders/prod HTTP/1.1\r\nHost: localhost\r\n"
            + b"".join(b"X-%d: y\r\n" % n for n in range(10_000))
            + b"\r\n",
            id="10,000 headers",
        ),
        pytest.param(
            b"GET /config/orders/prod HTTP/1.1\r\nHost: localhost\r\nX: "
            + b"y" * 1_000_000
            + b"\r\n\r\n",
            id="a header of 1 MB",
        ),
        pytest.param(
            b"GET /config/" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
            id="a path of 100 kB",
        ),
    ],
)
def test_oversized_requests_are_refused(
    tree: Path, start_server: Callable[..., Any], request_bytes: bytes
) -> None:
    server = start_server(tree)
    answers: list[bytes] = []

    def send() -> None:
        try:
            answers.append(server.exchange(request_bytes))
        except (ConnectionError, TimeoutError):
            answers.append(b"")

    sender = threading.Thread(target=send)
    sender.start()
    sender.join(20)
    assert answers, "the server neither answered nor closed"
    assert not answers[0] or answers[0].split(b" ")[1] in {b"400", b"414", b"431"}
    assert get(server, "/config/orders/prod")[0] == 200


def test_a_half_sent_request_is_closed(tree: Path, start_server: Callable[..., Any]) -> None:
    server = start_server(tree)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as half:
        half.sendall(b"GET /config/orders/prod HTTP/1.1\r\nHost: localhost\r\nX-Half")
        received = half.recv(65536)
    assert not received or received.split(b" ")[1] in {b"400", b"408"}


def test_without_a_credential_a_web_page_cannot_read(
    tree: Path, start_server: Callable[..., Any]
) -> None:
    server = start_server(tree, "--allowed-hosts", "config.corp")

    def status(*lines: str, target: str = "/config/orders/prod") -> int:
        head = [f"GET {target} HTTP/1.1", "Connection: close", *lines]
        raw = server.exchange("\r\n".join([*head, "", ""]).encode())
        return int(raw.split(b" ", 2)[1])

    for host in ("localhost", f"127.0.0.1:{server.port}", "[::1]", "config.corp:80"):
        assert status(f"Host: {host}") == 200
    assert status("Host: evil.example") == 421
    assert status("Host: evil.example", target="/anything/else") == 421
    assert status("Host: localhost", "Origin: http://evil.example") == 403
    assert status("Host: localhost", "Sec-Fetch-Site: cross-site") == 403
    assert status("Host: localhost", "Host: localhost") == 400
    assert status("X: no host") == 400
    assert status("Host: evil.example", target="/health/ready") == 200
    for settings in ({"TOKEN": "t"}, {"INSECURE": "true"}):
        server = start_server(tree, **settings)
        assert status("Host: evil.example", "Authorization: Bearer t", "Origin: null") == 200
