"""Real S3 servers on free ports: moto on every run, Ceph's gateway where it is installed."""

import asyncio
import itertools
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pyfly.config_s3 import S3ConfigBackend, S3Location, _backend, _client, _tree
from pyfly.config_s3._bucket import Bucket
from pyfly.config_s3._conditions import ConditionSupport, probe
from pyfly.config_server.files import StoreLimits

START_SECONDS = 120.0
FOREVER = 1e12
SECRET_KEY = "".join(map(chr, range(33, 127)))
"""Every printable character."""
CEPH = ("ceph-authtool", "monmaptool", "ceph-mon", "ceph-osd", "ceph", "radosgw", "radosgw-admin")
CEPH_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
mon allow pool size one = true
mon data = {home}/mon
osd data = {home}/osd
run dir = {home}/out
pid file = {home}/out/$name.pid
admin socket = {home}/out/$name.asok
log file = {home}/out/$name.log
keyring = {home}/keyring
osd objectstore = memstore
memstore device bytes = 536870912
public network = 127.0.0.0/8
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
"""


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """What boto3's chain finds; nothing of this machine's own is used."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


class Proxy:
    """Stands between a backend and a store, and does to the traffic what a test says.

    Args:
        upstream: The address of the store.
    """

    def __init__(self, upstream: str) -> None:
        self._port = int(upstream.rpartition(":")[2])
        self.request: Callable[[Exchange], bool] = lambda exchange: False
        """Is given every request first; returns whether it has dealt with it."""
        self.answer: Callable[[Exchange], bool] = lambda exchange: False
        """Is given every answer; returns whether it has dealt with it."""
        self.seen: list[str] = []
        """The methods and targets of all requests."""
        self.released = threading.Event()
        """Set at the end, so that whoever holds a connection lets it go."""
        proxy = self

        class Handler(Exchange):
            def handle_all(self) -> None:
                proxy.seen.append(f"{self.command} {self.path}")
                self.released = proxy.released
                if proxy.request(self):
                    return
                self.forward(proxy._port)
                if not proxy.answer(self):
                    self.send(self.status, self.answered, self.body)

        for method in ("DELETE", "GET", "HEAD", "POST", "PUT"):
            setattr(Handler, f"do_{method}", Handler.handle_all)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class Exchange(BaseHTTPRequestHandler):
    """One request, and its answer once it is there."""

    protocol_version = "HTTP/1.1"
    released: threading.Event
    status: int
    answered: dict[str, str]
    body: bytes

    def forward(self, port: int) -> None:
        """Ask the store."""
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = HTTPConnection("127.0.0.1", port, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in {"expect", "connection"}:
                upstream.putheader(name, value)
        upstream.endheaders(data)
        answer = upstream.getresponse()
        self.status, self.body = answer.status, answer.read()
        self.answered = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in {"connection", "transfer-encoding", "date", "server"}
        }
        upstream.close()

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer; without a length among the headers the end of the connection ends the body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name in headers):
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> bool:
        """Answer with an error as S3 words it."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f"<Error><Code>{code}</Code><Message>marker</Message></Error>".encode()
        self.send(
            status, {"Content-Type": "application/xml", "Content-Length": str(len(body))}, body
        )
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def proxy(moto: str) -> Iterator[Proxy]:
    """A proxy in front of moto."""
    made = Proxy(moto)
    yield made
    made.close()


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[str]:
    """The address of a Ceph gateway, a real S3 store, with a cluster of its own in memory."""
    missing = [program for program in CEPH if shutil.which(program) is None]
    if missing and os.environ.get("PYFLY_CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(
            "a Ceph gateway is not installed; apt-get install --no-install-recommends "
            "radosgw ceph-mon ceph-osd ceph-common"
        )
    home = tmp_path_factory.mktemp("ceph")
    port = free_port()
    try:
        _start_ceph(home, port, v1=free_port(), v2=free_port())
        yield f"http://127.0.0.1:{port}"
    finally:
        for file in (home / "out").glob("*.pid"):
            _stop(int(file.read_text(encoding="ascii")))


def _start_ceph(home: Path, port: int, *, v1: int, v2: int) -> None:
    for name in ("mon", "osd", "rgw", "out"):
        (home / name).mkdir()
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    text = CEPH_CONF.format(home=home, fsid=fsid, port=port, v1=v1, v2=v2)
    (home / "ceph.conf").write_text(text, encoding="utf-8")
    keyring, address = "keyring", f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"

    def run(*command: str) -> None:
        done = subprocess.run(
            command,
            cwd=home,
            env=os.environ | {"CEPH_CONF": str(home / "ceph.conf")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=START_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"

    for name, caps in {
        "mon.": {"mon": "allow *"},
        "client.rgw": {"mon": "allow *", "osd": "allow *"},
        "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
        "client.admin": {"mon": "allow *", "osd": "allow *"},
    }.items():
        create = [] if (home / keyring).exists() else ["--create-keyring"]
        allowed = [word for cap in caps.items() for word in ("--cap", *cap)]
        run("ceph-authtool", *create, keyring, "--gen-key", "-n", name, *allowed)
    run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, "monmap")
    run("ceph-mon", "-i", "a", "--mkfs", "--monmap", "monmap", "--keyring", keyring)
    run("ceph-mon", "-i", "a")
    run("ceph", "osd", "new", osd)
    shutil.copy(home / keyring, home / "osd" / keyring)
    run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, "--no-mon-config")
    run("ceph-osd", "-i", "0")
    gateway = ["-n", "client.rgw", f"--keyring={home / keyring}"]
    run("radosgw", *gateway, f"--rgw-data={home / 'rgw'}")
    _wait_for(port)
    user = ["--uid", "t", "--display-name", "t", "--access-key", "test", "--secret", SECRET_KEY]
    run("radosgw-admin", *gateway, "user", "create", *user)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)


def _stop(pid: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    try:
        os.kill(pid, 15)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, 9)
    except ProcessLookupError:
        pass


@pytest.fixture(scope="session")
def connect() -> Iterator[Callable[..., Any]]:
    """Return a client of boto3's own for an address, as another tool would have it."""
    with ExitStack() as stack:

        @cache  # to make one takes longer than most tests
        def make(url: str, **more: Any) -> Any:
            client = boto3.client(
                "s3",
                endpoint_url=url,
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}),
                **more,
            )
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture(scope="session")
def make_bucket(connect: Callable[[str], Any]) -> Callable[..., str]:
    """Make a bucket at an address, once, with or without versions; return its name."""
    made: dict[tuple[str, bool], str] = {}

    def make(url: str, *, versioned: bool = False) -> str:
        if (url, versioned) not in made:
            name = f"config-{'versioned' if versioned else 'plain'}"
            client = connect(url)
            client.create_bucket(Bucket=name)
            if versioned:
                client.put_bucket_versioning(
                    Bucket=name, VersioningConfiguration={"Status": "Enabled"}
                )
            made[url, versioned] = name
        return made[url, versioned]

    return make


_numbers = itertools.count()


@pytest.fixture
def location(make_bucket: Callable[..., str]) -> Callable[..., S3Location]:
    """Return a place below an address where nothing is yet."""

    def make(url: str, *, versioned: bool = False, **options: Any) -> S3Location:
        bucket = make_bucket(url, versioned=versioned)
        prefix = f"teams/{next(_numbers)}"
        return S3Location(bucket=bucket, prefix=prefix, endpoint_url=url, **options)

    return make


@pytest.fixture
def open_s3() -> Iterator[Callable[[S3Location], S3ConfigBackend]]:
    """Open backends; they are closed at the end."""
    opened: list[S3ConfigBackend] = []

    def make(where: S3Location) -> S3ConfigBackend:
        backend = S3ConfigBackend(where)
        opened.append(backend)
        return backend

    yield make
    for backend in opened:
        asyncio.run(backend.aclose())


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time; what is proved is not how fast."""
    limits = StoreLimits(read=90.0, listing=90.0, wait=90.0, write=90.0)
    monkeypatch.setattr(_backend, "LIMITS", limits)
    monkeypatch.setattr(_tree, "PAGE_SECONDS", 90.0)
    monkeypatch.setattr(_client, "READ_SECONDS", 60.0)


@pytest.fixture
def honours(connect: Callable[[str], Any]) -> Callable[[S3Location], ConditionSupport]:
    """Probe, and see that nothing is left behind."""

    def ask(where: S3Location) -> ConditionSupport:
        client = connect(where.endpoint_url or "")
        bucket = Bucket(client, name=where.bucket, prefix=f"{where.prefix}/")
        found = probe(bucket, deadline=FOREVER)
        left = client.list_object_versions(Bucket=where.bucket, Prefix=where.prefix)
        assert not {"Versions", "DeleteMarkers"} & left.keys()
        return found

    return ask
