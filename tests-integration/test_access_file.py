"""A served access file: each principal has its own rights, and changes count while it runs."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

COMMAND = str(Path(sys.executable).with_name("pyfly-config"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    (root / "main").mkdir(parents=True)
    for name in ("orders", "billing"):
        (root / "main" / f"{name}-prod.yaml").write_text(f"name: {name}\n", encoding="utf-8")
    return root


@pytest.fixture
def access(tmp_path: Path) -> Callable[..., str]:
    """Run a command for the access file; return what it prints."""

    def access(command: str, *argv: str) -> str:
        done = subprocess.run(
            [COMMAND, "access", command, *argv, "--file", str(tmp_path / "access.toml")],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return access


def wait_for(status: int, get: Callable[[], httpx.Response]) -> None:
    """Ask until the answer has a status."""
    end = time.monotonic() + 60
    while (found := get().status_code) != status:
        assert time.monotonic() < end, found
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_principals_come_change_and_go_while_the_server_runs(
    store: Path,
    tmp_path: Path,
    access: Callable[..., str],
    start_server: Callable[..., Any],
    workers: str,
) -> None:
    path = tmp_path / "access.toml"
    orders = access("add", "orders", "--rule", "read orders/*/*")
    server = start_server(
        store, "--workers", workers, ACCESS_FILE=str(path), TOKEN="the-shared-one"
    )
    assert f"credential    bearer and access file {path}" in server.output()

    def get(token: str, name: str = "orders", *, basic: str | None = None) -> httpx.Response:
        headers = {} if basic else {"authorization": f"Bearer {token}"}
        auth = (basic, token) if basic else None
        return httpx.get(f"{server.url}/config/{name}/prod", headers=headers, auth=auth, timeout=60)

    for _ in range(8):  # both workers, hot answers too
        assert get(orders).status_code == 200
        assert get(orders, basic="orders").status_code == 200
        assert get(orders, "billing").status_code == 403
        assert get("the-shared-one", "billing").status_code == 200
    assert get(orders, basic="billing").status_code == 401
    refused = get("wrong")
    assert refused.status_code == 401
    assert [*refused.headers.get_list("www-authenticate")] == [
        'Bearer realm="pyfly-config"',
        'Bearer realm="pyfly-config"',
        'Basic realm="pyfly-config", charset="UTF-8"',
    ]

    billing = access("add", "billing", "--rule", "read billing/*/*")
    for _ in range(8):
        wait_for(200, lambda: get(billing, "billing"))
    access("deactivate", "orders")
    # each worker has seen the new principal, and then this
    server.wait_for("principals in force", times=2 * int(workers))
    for _ in range(2):  # more failed sign-ins would be slowed
        wait_for(401, lambda: get(orders))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("active = false", "active = maybe"), encoding="utf-8")
    server.wait_for("the principals before stay in force")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("not reloaded, the settings before stay in use")
    assert get(orders).status_code == 401
    for _ in range(8):
        assert get(billing, "billing").status_code == 200
    path.write_text(text.replace("active = false", "active = true"), encoding="utf-8")
    for _ in range(8):
        wait_for(200, lambda: get(orders))
    assert orders not in server.output()
    assert billing not in server.output()
    assert server.stop() == 0


@contextlib.contextmanager
def paused(process: int) -> Generator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.slow
def test_a_worker_that_was_killed_returns_when_the_access_file_is_mended(
    store: Path, tmp_path: Path, access: Callable[..., str], start_server: Callable[..., Any]
) -> None:
    path = tmp_path / "access.toml"
    orders = access("add", "orders", "--rule", "read orders/*/*")
    right = path.read_text(encoding="utf-8")
    server = start_server(store, "--workers", "2", ACCESS_FILE=str(path))

    def status() -> int:
        headers = {"authorization": f"Bearer {orders}"}
        url = f"{server.url}/config/orders/prod"
        return httpx.get(url, headers=headers, timeout=60).status_code

    killed, other = server.workers()
    for one in (killed, other):
        with paused(one):
            assert status() == 200  # of the other one: both answer
    path.write_text(right + "broken\n", encoding="utf-8")
    server.wait_for("the principals before stay in force", times=2)
    os.kill(killed, signal.SIGKILL)
    server.wait_for("it starts again in", times=3)  # killed, and refused twice
    assert f"{path}:" in server.output().partition("it starts again in")[2]
    assert other in server.workers()
    assert [status() for _ in range(8)] == [200] * 8
    path.write_text(right, encoding="utf-8")
    with paused(other):
        assert status() == 200  # of the worker that is back
    assert server.stop() == 0


def test_a_broken_access_file_is_refused_before_anything_is_served(
    store: Path, tmp_path: Path
) -> None:
    path = tmp_path / "access.toml"
    path.write_text("[principals.a]\nrule = []\n", encoding="utf-8")
    done = subprocess.run(
        [COMMAND, "serve", str(store), "--port", "1"],
        env={"PYFLY_CONFIG_SERVER_ACCESS_FILE": str(path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2
    assert f"{path}: principals.a.rule: there is no such key" in done.stderr


@pytest.mark.slow
def test_a_token_of_an_issuer_reads_what_its_principal_may(
    store: Path, tmp_path: Path, start_server: Callable[..., Any]
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    keys, path = tmp_path / "keys.json", tmp_path / "access.toml"
    keys.write_text(f'{{"keys": [{ECAlgorithm.to_jwk(key.public_key())}]}}', encoding="utf-8")
    path.write_text(
        f"""
        [issuers.cluster]
        issuer = "https://issuer"
        audiences = ["pyfly-config"]
        keys-file = "{keys}"
        [principals.orders]
        subjects = [{{ issuer = "cluster", claims = {{ sub = "orders" }} }}]
        rules = [{{ rights = ["read"], on = "orders/*/*" }}]
        """,
        encoding="utf-8",
    )
    path.chmod(0o600)
    server = start_server(store, ACCESS_FILE=str(path), LOG_LEVEL="debug")

    def get(name: str, **changed: object) -> httpx.Response:
        claims = {"iss": "https://issuer", "aud": "pyfly-config", "sub": "orders"}
        end = int(time.time()) + 600
        token = jwt.encode({**claims, "exp": end, **changed}, key, algorithm="ES256")
        return httpx.get(
            f"{server.url}/config/{name}/prod", headers={"Authorization": f"Bearer {token}"}
        )

    wait_for(200, lambda: get("orders"))
    assert get("billing").status_code == 403
    assert get("orders", aud="other").status_code == 401
    assert get("orders", sub="billing").status_code == 401
    server.wait_for("its claims fit no principal")
