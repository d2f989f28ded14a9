"""Server processes on a bucket: their own writes at once, those of others within a moment."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

TOKEN = {"Authorization": "Bearer sesame"}
BUNDLE = "/config/_bundles/orders/prod/main"
PATIENCE = 60.0
START_SECONDS = 60.0


@pytest.fixture
def store(make_bucket: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    """The URL of an empty bucket."""
    return make_bucket(f"bucket-{abs(hash(request.node.name))}")


def _sources(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.get("/config/orders/prod")
    assert answer.status_code == 200, answer.text
    return [source["source"] for source in answer.json()["propertySources"]]


def _seen_after(client: httpx.Client, wanted: list[dict[str, Any]]) -> float:
    """Return after how many seconds a server answers so."""
    began = time.monotonic()
    while _sources(client) != wanted:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.02)
    return time.monotonic() - began


def test_two_processes_on_one_bucket_see_each_others_writes(
    store: str, start_server: Callable[..., Any]
) -> None:
    servers = [start_server(store, TOKEN="sesame") for _ in range(2)]
    assert "bundles       0" in servers[0].output()
    one, other = (httpx.Client(base_url=s.url, headers=TOKEN, timeout=60) for s in servers)
    with one, other:
        assert _sources(one) == _sources(other) == []
        created = one.put(BUNDLE, json={"n": 1}, headers={"If-None-Match": "*"})
        assert created.status_code == 201
        assert _sources(one) == [{"n": 1}]  # its own at once
        seconds = _seen_after(other, [{"n": 1}])
        print(f"created: seen after {seconds:.2f} s")  # noqa: T201 - shown with a failure
        first = created.headers["etag"]
        replaced = other.put(BUNDLE, json={"n": 2}, headers={"If-Match": first})
        assert replaced.status_code == 200
        _seen_after(one, [{"n": 2}])
        lost = one.put(BUNDLE, json={"n": 3}, headers={"If-Match": first})
        assert lost.status_code == 412
        assert f'"{lost.json()["current"]}"' == replaced.headers["etag"]
        history = other.get(f"{BUNDLE}/history").json()
        assert len(history["versions"]) == 2
        back = one.post(
            f"{BUNDLE}/rollback",
            json={"version": first.strip('"')},
            headers={"If-Match": replaced.headers["etag"]},
        )
        assert back.status_code == 200, back.text
        _seen_after(other, [{"n": 1}])
        gone = other.delete(BUNDLE, headers={"If-Match": back.headers["etag"]})
        assert gone.status_code == 204
        seconds = _seen_after(one, [])
        print(f"deleted: seen after {seconds:.2f} s")  # noqa: T201 - the same
    assert [server.stop() for server in servers] == [0, 0]


def test_a_bucket_that_is_not_there_is_said_before_anything_is_served(s3: str) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("pyfly-config"),
            "serve",
            f"s3://not-there?endpoint_url={s3}",
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert "there is no such bucket" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.packaging
@pytest.mark.parametrize("extras", ["s3", "s3,sql"])
def test_the_extra_brings_the_store_and_it_is_served(
    store: str,
    install: Callable[..., Path],
    start_server: Callable[..., Any],
    checkout: Path,
    extras: str,
) -> None:
    python = install(f"pyfly-config-server[{extras}]")
    files = checkout / "docs" / "examples" / "config"
    subprocess.run([python.with_name("pyfly-config"), "copy", files, store], check=True)
    server = start_server(store, python=python)
    assert "bundles       16" in server.output()
    assert "s3:" in server.output()
    answer = httpx.get(f"{server.url}/config/orders/prod,eu", timeout=60)
    assert answer.json()["propertySources"][0]["name"] == "main/orders-eu.yaml"
    assert server.stop() == 0


@pytest.mark.packaging
def test_the_core_has_the_extra_too(install: Callable[..., Path]) -> None:
    python = install("pyfly-config-core[s3]")
    code = (
        "from pyfly.config_server import open_backend;"
        "print(open_backend('s3://bucket/prefix?region=eu-west-1'))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "S3ConfigBackend('bucket', 'prefix')\n"
