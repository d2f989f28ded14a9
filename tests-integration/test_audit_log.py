"""The audit log of `pyfly-config serve`: several workers, rotation, outputs that fail."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

COMMAND = str(Path(sys.executable).with_name("pyfly-config"))
PATIENCE = 120.0
TOKEN = {"authorization": "Bearer the-shared-one"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "main" / "orders-prod.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("value: 1\n", encoding="utf-8")
    return tmp_path / "store"


def lines_of(*paths: Path) -> list[dict[str, Any]]:
    """Return all lines; each must be a whole one."""
    text = "".join(path.read_text(encoding="ascii") for path in paths if path.exists())
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def until(is_true: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def put(client: httpx.Client, name: str, *, condition: str = "create") -> httpx.Response:
    headers = {"if-none-match": "*"} if condition == "create" else {"if-match": condition}
    return client.put(
        f"/config/_bundles/{name}/prod/main", json={"value": "s3cr3t"}, headers=headers
    )


@pytest.mark.slow
def test_several_workers_write_whole_lines_while_the_file_is_rotated(
    start_server: Callable[..., Any], store: Path, tmp_path: Path
) -> None:
    path, access = tmp_path / "audit.log", tmp_path / "access.toml"
    add = [COMMAND, "access", "add", "--file", str(access)]
    subprocess.run([*add, "reader", "--rule", "read orders/*/*"], capture_output=True, check=True)
    server = start_server(
        store,
        *("--workers", "2"),
        AUDIT_LOG=str(path),
        ACCESS_FILE=str(access),
        TOKEN="the-shared-one",
    )
    rotated = [tmp_path / "audit.log.1", tmp_path / "audit.log.2"]

    def write(number: int) -> int:
        with httpx.Client(base_url=server.url, headers=TOKEN, timeout=PATIENCE) as client:
            statuses = {put(client, f"app{number}x{turn}").status_code for turn in range(15)}
        assert statuses == {201}
        return 15

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, number) for number in range(8)]
        until(lambda: len(lines_of(path)) > 30, server.output)
        path.rename(rotated[0])
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("settings reloaded")
        path.rename(rotated[1])
        count = sum(one.result() for one in writing)
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/config/orders/prod").status_code == 401
        assert client.get("/config/orders/prod", headers=TOKEN).status_code == 200
        assert put(client, "orders").status_code == 401
    subprocess.run([*add, "writer", "--rule", "write a/*/*"], capture_output=True, check=True)

    def versions() -> set[str]:
        changes = [one for one in lines_of(*rotated, path) if one["operation"] == "accessFile"]
        return {one["version_after"] for one in changes}

    until(lambda: len(versions()) == 2, server.output)
    assert server.stop() == 0
    lines = lines_of(*rotated, path)
    writes = Counter(one["result"] for one in lines if one["operation"] == "writeBundle")
    assert writes == {"attempt": count, "done": count}
    done = [one for one in lines if one["result"] == "done" and one["operation"] == "writeBundle"]
    assert len({one["version_after"] for one in done}) > 0
    assert {one["principal"] for one in done} == {"shared-token"}
    assert {one["client"] for one in done} == {"127.0.0.1"}
    assert {one["application"] for one in done} == {
        f"app{number}x{turn}" for number in range(8) for turn in range(15)
    }
    by_request = Counter(one["request_id"] for one in lines if one["operation"] == "writeBundle")
    assert set(by_request.values()) == {2}
    refused = [one for one in lines if one["operation"] == "signIn"]
    assert [(one["status"], one["credential"]) for one in refused] == [(401, "none")] * 2
    assert path.exists()
    assert rotated[1].exists()
    assert path.stat().st_mode & 0o137 == 0
    assert "s3cr3t" not in path.read_text(encoding="ascii")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_refuses_writes_and_answers_reads(
    start_server: Callable[..., Any], store: Path, tmp_path: Path
) -> None:
    link = tmp_path / "audit.log"
    link.symlink_to("/dev/full")
    server = start_server(store, AUDIT_LOG=str(link), TOKEN="the-shared-one")
    before = (store / "main" / "orders-prod.yaml").read_bytes()
    with httpx.Client(base_url=server.url, headers=TOKEN, timeout=PATIENCE) as client:
        for _ in range(3):
            refused = put(client, "orders", condition="*")
            assert refused.status_code == 503
            assert refused.json()["detail"].startswith("nothing was written: the audit log")
            assert client.get("/config/orders/prod").status_code == 200
            assert client.get("/config/_bundles/orders/prod/main").status_code == 200
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "degraded", "audit": "down"})
        assert (store / "main" / "orders-prod.yaml").read_bytes() == before
        link.unlink()  # room again
        until(lambda: client.get("/health/ready").json() == {"status": "up"}, server.output)
        assert put(client, "orders", condition="*").status_code == 200
    assert server.output().count("No space left on device; writes are refused") == 1
    assert server.output().count("works again") == 1
    assert server.stop() == 0
    assert [(one["result"], one.get("status")) for one in lines_of(link)] == [
        *[("refused", 503)] * 3,
        ("attempt", None),
        ("done", 200),
    ]


@pytest.fixture
def piped(
    store: Path, tmp_path: Path, free_port: Callable[[], int]
) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """A server whose standard output is a pipe that nobody has read yet."""
    port, log = free_port(), tmp_path / "log.txt"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
    settings = {"AUDIT_LOG": "-", "TOKEN": "the-shared-one"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, "serve", str(store), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=output,
            env=kept | {f"PYFLY_CONFIG_SERVER_{name}": text for name, text in settings.items()},
        )
    try:
        until(lambda: "  credential    " in log.read_text(encoding="utf-8"), log.read_text)
        yield process, f"http://127.0.0.1:{port}", log
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.slow
def test_standard_output_that_nobody_reads_refuses_writes_until_it_is_read(
    piped: tuple[subprocess.Popen[bytes], str, Path],
) -> None:
    process, url, log = piped
    assert process.stdout is not None
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        for _ in range(500):  # more than the 64 KiB of a pipe
            assert client.get("/config/orders/prod").status_code == 401
        client.headers.update(TOKEN)
        assert put(client, "orders", condition="*").status_code == 503
        started = time.monotonic()
        assert put(client, "orders", condition="*").status_code == 503
        at_once = time.monotonic() - started
        assert client.get("/config/orders/prod").json()["propertySources"][0]["source"] == {
            "value": 1
        }
        assert client.get("/health/ready").json() == {"status": "degraded", "audit": "down"}
        os.set_blocking(process.stdout.fileno(), False)
        received = b""

        def is_done() -> bool:
            nonlocal received
            received += process.stdout.read() or b"" if process.stdout else b""
            return put(client, "orders", condition="*").status_code == 200

        until(is_done, lambda: log.read_text(encoding="utf-8"))
        assert client.get("/health/ready").json() == {"status": "up"}
    process.terminate()
    assert process.wait(60) == 0
    received += process.stdout.read() or b""
    lines = [json.loads(line) for line in received.splitlines()]
    assert Counter(one["operation"] for one in lines)["signIn"] == 500
    assert lines[-1]["result"] == "done"
    text = log.read_text(encoding="utf-8")
    assert "it does not take the lines; writes are refused" in text
    assert "works again" in text
    assert at_once < PATIENCE


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"AUDIT_LOG": "/nowhere/audit.log"}, "cannot append to the audit log"),
        ({"AUDIT_READS": "true"}, "PYFLY_CONFIG_SERVER_AUDIT_READS needs"),
    ],
)
def test_an_audit_log_that_cannot_be_is_refused_at_the_start(
    store: Path, settings: dict[str, str], reason: str
) -> None:
    for more in ([], ["--check"]):
        done = subprocess.run(
            [COMMAND, "serve", str(store), "--port", "1", *more],
            env={f"PYFLY_CONFIG_SERVER_{name}": text for name, text in settings.items()},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 2
        assert reason in done.stderr + done.stdout
