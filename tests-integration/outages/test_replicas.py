"""Three servers on one PostgreSQL behind nginx, with the files of docs/examples/replicas."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.external, pytest.mark.slow, pytest.mark.server]

PATIENCE = 120.0
TOKEN = {"Authorization": "Bearer sesame"}
DOCUMENT, BUNDLE = "/config/orders/prod", "/config/_bundles/orders/prod/main"
REPLICAS, WATCHERS, REQUESTS = 3, 12, 2_000
EXAMPLE = Path("docs", "examples", "replicas")
PORTS = ("10.0.0.11:8888", "10.0.0.12:8888", "10.0.0.13:8888")
NGINX = """
daemon off;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    {site}
}}
"""


class Replica:
    """One of the servers; it can be killed, and started again on the same port."""

    def __init__(self, settings: Path, port: int) -> None:
        self.port, self._settings = port, settings
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [Path(sys.executable).with_name("pyfly-config"), "serve"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
        self._process = subprocess.Popen(
            [*map(str, command), "--settings", str(self._settings), "--port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def watchers(self) -> int:
        """Return how many requests it holds."""
        lines = httpx.get(f"{self.url}/metrics", headers=TOKEN).text.splitlines()
        value = next(line for line in lines if line.startswith("pyfly_config_watchers "))
        return int(float(value.split()[1]))


class Writer(threading.Thread):
    """Writes one number after the other, and reads each of its writes."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.number = 0
        self._url = url
        self._ending = threading.Event()
        self.went_back: list[tuple[int, int]] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._url, headers=TOKEN, timeout=PATIENCE) as client:
            while not self._ending.wait(0.05):
                number = self.number + 1
                put = asked(client, "PUT", BUNDLE, json={"n": number}, headers={"If-Match": "*"})
                assert put.status_code == 200, put.text
                self.number = number
                own = asked(client, "GET", DOCUMENT, headers={"Cache-Control": "no-cache"})
                if number_in(own) < number:
                    self.went_back.append((number, number_in(own)))

    def end(self) -> None:
        self._ending.set()
        self.join(PATIENCE)


def asked(client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
    """Return the response of a client that tries again, as every client of a fleet does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = client.request(method, path, **options)
            if answer.status_code < 500 or time.monotonic() > deadline:
                return answer
        assert time.monotonic() < deadline, f"no answer to {method} {path}"
        time.sleep(0.05)


def number_in(answer: httpx.Response) -> int:
    return int(answer.json()["propertySources"][0]["source"]["n"])


def watchers(replicas: Sequence[Replica]) -> int:
    return sum(replica.watchers() for replica in replicas)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(url: str) -> bool:
    """True if a server is ready there."""
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def settings(open_store: Callable[[str], Any], checkout: Path, tmp_path: Path) -> Path:
    """The settings of the example, with the store, the address and the token of this test."""
    store = open_store("postgres")
    store.put("orders", 0)
    text = (checkout / EXAMPLE / "server.toml").read_text(encoding="utf-8")
    token, file = tmp_path / "token", tmp_path / "server.toml"
    for path, content in ((token, "sesame"), (file, "")):
        path.touch(mode=0o600)
        path.write_text(content, encoding="utf-8")
    for documented, here in (
        ("postgresql://config@db.example.com/config", store.url),
        ("0.0.0.0", "127.0.0.1"),
        ("/run/secrets/config-token", str(token)),
    ):
        assert documented in text
        text = text.replace(documented, here)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def replicas(settings: Path, free_port: Callable[[], int]) -> Iterator[list[Replica]]:
    with contextlib.ExitStack() as stack:
        started: list[Replica] = []
        for _ in range(REPLICAS):
            replica = Replica(settings, free_port())
            stack.callback(replica.kill)
            started.append(replica)
        for replica in started:
            wait_for(partial(answers, replica.url))
        yield started


@pytest.fixture
def proxy(
    replicas: list[Replica], free_port: Callable[[], int], checkout: Path, tmp_path: Path
) -> Iterator[str]:
    """The address of nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        reason = "needs nginx: apt-get install nginx-light"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
    port = free_port()
    site = (checkout / EXAMPLE / "nginx.conf").read_text(encoding="utf-8")
    text = site.replace("listen 80;", f"listen 127.0.0.1:{port};")
    for address, replica in zip(PORTS, replicas, strict=True):
        assert address in text
        text = text.replace(address, f"127.0.0.1:{replica.port}")
    settings = tmp_path / "nginx.conf"
    settings.write_text(NGINX.format(place=tmp_path, site=text), encoding="utf-8")
    with subprocess.Popen([program, "-p", str(tmp_path), "-c", str(settings)]) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: answers(url))
            yield url
        finally:
            process.terminate()


def test_a_write_through_one_replica_wakes_the_watchers_of_all_and_those_of_a_killed_one(
    replicas: list[Replica], proxy: str, report: Callable[[Sequence[object]], None]
) -> None:
    limits = httpx.Limits(max_connections=WATCHERS)
    with (
        httpx.Client(base_url=proxy, headers=TOKEN, timeout=PATIENCE, limits=limits) as client,
        ThreadPoolExecutor(WATCHERS) as pool,
    ):
        tag = client.get(DOCUMENT).headers["etag"]
        waiting = {"If-None-Match": tag, "Prefer": "wait=300"}

        def wait() -> tuple[int, float]:
            return number_in(client.get(DOCUMENT, headers=waiting)), time.monotonic()

        held = [pool.submit(wait) for _ in range(WATCHERS)]
        wait_for(lambda: watchers(replicas) == WATCHERS)
        assert all(replica.watchers() > 0 for replica in replicas)
        replicas[2].kill()
        wait_for(lambda: watchers(replicas[:2]) == WATCHERS)
        url = f"{replicas[0].url}{BUNDLE}"
        put = httpx.put(url, json={"n": 1}, headers={**TOKEN, "If-Match": "*"}, timeout=PATIENCE)
        assert put.status_code == 200, put.text
        written = time.monotonic()
        heard = [one.result(PATIENCE) for one in held]
    assert {number for number, _ in heard} == {1}
    longest = max(at for _, at in heard) - written
    report(["replicas", f"{WATCHERS} watchers heard of a write after", f"{longest * 1000:.0f} ms"])


def test_a_client_never_goes_back_and_never_fails_while_replicas_alternate_die_and_return(
    replicas: list[Replica], proxy: str, report: Callable[[Sequence[object]], None]
) -> None:
    writer, numbers, tag = Writer(proxy), [0], ""
    writer.start()
    try:
        with httpx.Client(base_url=proxy, headers=TOKEN, timeout=PATIENCE) as client:
            for request in range(REQUESTS):
                if request == REQUESTS // 3:
                    replicas[1].kill()
                if request == REQUESTS // 2:
                    replicas[1].start()
                answer = asked(client, "GET", DOCUMENT, headers={"If-None-Match": tag})
                assert answer.status_code in {200, 304}, answer.text
                if answer.status_code == 200:
                    numbers.append(number_in(answer))
                    tag = answer.headers["etag"]
    finally:
        writer.end()
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 1
    assert writer.went_back == []
    wait_for(lambda: answers(replicas[1].url))
    report(["replicas", f"{REQUESTS} requests beside {writer.number} writes", "never back"])
