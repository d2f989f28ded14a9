"""`pyfly-config serve` with a standby: restarted while its store is away."""

import json
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 60.0

Start = Callable[..., Any]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    volume = tmp_path / "volume"
    (volume / "main").mkdir(parents=True)
    put(volume / "main" / "orders-prod.yaml", "a: 1\n")
    put(volume / "main" / "nginx.conf", "listen 80;\n")
    return volume


def put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def get(server: Any, path: str) -> tuple[int, Message, bytes]:
    try:
        with urllib.request.urlopen(f"{server.url}{path}", timeout=DEADLINE) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def kept(standby: Path) -> list[Path]:
    return sorted(standby.glob("*/*.record"))


def wait_for_records(standby: Path, count: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while len(kept(standby)) < count:
        assert time.monotonic() < deadline, kept(standby)
        time.sleep(0.05)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_starts_without_its_store_serves_what_it_served_before(
    start_server: Start, volume: Path, tmp_path: Path, workers: str
) -> None:
    standby, url = tmp_path / "standby", volume.as_uri()
    server = start_server(url, "--workers", workers, STANDBY=str(standby))
    status, headers, document = get(server, "/config/orders/prod")
    assert (status, headers["X-Config-Stale"]) == (200, None)
    assert json.loads(document)["propertySources"][0]["source"] == {"a": 1}
    plain = get(server, "/config/orders/prod/main/nginx.conf")[2]
    wait_for_records(standby, 5)
    server.stop()
    volume.rename(tmp_path / "away")

    server = start_server(url, "--workers", workers, STANDBY=str(standby))
    server.wait_for("a store is away; what the standby keeps of it is served")
    status, headers, again = get(server, "/config/orders/prod")
    assert (status, again) == (200, document)
    assert int(headers["X-Config-Stale"]) >= 0
    status, headers, again = get(server, "/config/orders/prod/main/nginx.conf")
    assert (status, again) == (200, plain)
    assert int(headers["X-Config-Stale"]) >= 0
    assert get(server, "/config/billing/prod")[0] == 503
    assert get(server, "/actuator/health")[0] == 503
    status, _, health = get(server, "/health/ready")
    assert (status, json.loads(health)) == (200, {"status": "degraded"})

    (tmp_path / "away").rename(volume)
    put(volume / "main" / "orders-prod.yaml", "a: 2\n")
    deadline = time.monotonic() + DEADLINE
    while not is_current(server, {"a": 2}):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_current(server: Any, source: dict[str, int]) -> bool:
    """True if the document has this content and is not marked."""
    _, headers, document = get(server, "/config/orders/prod")
    found = json.loads(document)["propertySources"][0]["source"]
    return found == source and headers["X-Config-Stale"] is None


def test_without_a_standby_a_server_does_not_start_without_its_store(
    start_server: Start, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="cannot open the root"):
        start_server((tmp_path / "absent").as_uri())


def test_several_stores_have_a_directory_each_of_this_user_only(
    start_server: Start, volume: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    (second / "main").mkdir(parents=True)
    put(second / "main" / "orders-prod.yaml", "a: 0\nb: 2\n")
    standby = tmp_path / "standby"
    server = start_server(volume.as_uri(), second.as_uri(), STANDBY=str(standby))
    get(server, "/config/orders/prod")
    wait_for_records(standby, 8)
    assert len([*standby.iterdir()]) == 2
    for path in [standby, *standby.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted
