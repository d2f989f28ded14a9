"""Stores that can be taken away from a server, in every way that a store goes away."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import boto3
import psutil
import pytest

from pyfly.config_server import ConfigSource, open_backend
from pyfly.config_server.storage import SupportsClose, SupportsUpgrade, ability

START_SECONDS = 120
RELAY = Path(__file__).with_name("relay.py")
_BUCKET = "config"

StartMoto = Callable[[int], "subprocess.Popen[bytes]"]


class Store(Protocol):
    """A store behind something that breaks."""

    url: str
    """What is served."""

    def put(self, application: str, number: int) -> None:
        """Store `n: number` for the profile `prod`, past what breaks."""
        ...

    def leave(self, way: str) -> None:
        """Take the store away."""
        ...

    def come_back(self, way: str) -> None:
        """Return when the store can be reached again."""
        ...


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def listens(port: int) -> bool:
    """True if somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def save(url: str, application: str, number: int) -> None:
    """Store a bundle as another program does."""

    async def run() -> None:
        store = open_backend(url)
        await store.save(
            ConfigSource(
                application=application, profile="prod", label="main", properties={"n": number}
            )
        )
        closing = ability(store, SupportsClose)
        assert closing is not None
        await closing.aclose()

    asyncio.run(run())


class Relay:
    """A process between a server and its store."""

    def __init__(self, port: int, upstream: int) -> None:
        self.port, self._upstream = port, upstream
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(  # without what the environment has installed: it is quick
            [sys.executable, "-S", RELAY, str(self.port), str(self._upstream)]
        )
        wait_until(lambda: listens(self.port), "the relay does not listen")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def lose(self) -> None:
        self.process.send_signal(signal.SIGUSR1)

    def forward(self) -> None:
        self.process.send_signal(signal.SIGUSR2)


class Directory:
    """Files, on a volume that goes away."""

    def __init__(self, place: Path) -> None:
        self._root, self._away = place / "volume", place / "away"
        self.url = self._root.as_uri()
        (self._root / "main").mkdir(parents=True)

    def put(self, application: str, number: int) -> None:
        root = self._away if self._away.exists() else self._root
        path = root / "main" / f"{application}-prod.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"n": number}), encoding="utf-8")
        new.replace(path)

    def leave(self, way: str) -> None:
        if way == "removed":
            shutil.copytree(self._root, self._away)
            shutil.rmtree(self._root)
            return
        self._root.rename(self._away)
        if way == "emptied":
            self._root.mkdir()

    def come_back(self, way: str) -> None:
        if way == "emptied":
            self._root.rmdir()
        self._away.rename(self._root)


class Postgres:
    """PostgreSQL of the distribution, behind a relay."""

    def __init__(self, place: Path, free_port: Callable[[], int]) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            reason = "needs PostgreSQL: apt-get install postgresql"
            pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
        self._programs, self._data, self._port = found[-1].parent, place / "data", free_port()
        self._own: dict[str, Any] = {"cwd": "/"}
        if os.geteuid() == 0:  # which it refuses to run as
            self._own |= {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(place, "postgres", "postgres")
        self._run("initdb", "-D", self._data, "-U", "pyfly", "-A", "trust", "--no-sync")
        self._start()
        self.relay = Relay(free_port(), self._port)
        self._direct = f"postgresql://pyfly@127.0.0.1:{self._port}/postgres"
        self.url = f"postgresql://pyfly@127.0.0.1:{self.relay.port}/postgres"
        asyncio.run(_make_tables(self._direct))

    def put(self, application: str, number: int) -> None:
        save(self._direct, application, number)

    def leave(self, way: str) -> None:
        if way == "lost":
            self.relay.lose()
        elif way == "cut off":
            self.relay.kill()
        elif way == "paused":
            self._signal(signal.SIGSTOP)
        elif way == "killed":
            self._signal(signal.SIGKILL)
            self._process.wait()
        else:
            self._run("pg_ctl", "stop", "-D", self._data, "-m", "fast")
            self._process.wait()

    def come_back(self, way: str) -> None:
        if way == "lost":
            self.relay.forward()
        elif way == "cut off":
            self.relay.start()
        elif way == "paused":
            self._signal(signal.SIGCONT)
        else:
            self._start()

    def close(self) -> None:
        self.relay.kill()
        self._signal(signal.SIGCONT)  # it may be paused
        self._process.send_signal(signal.SIGQUIT)  # at once, without a trace
        self._process.wait()

    def _start(self) -> None:
        options = ("-p", self._port, "-h", "127.0.0.1", "-k", "", "-c", "shared_buffers=16MB")
        command = [self._programs / "postgres", "-D", self._data, *options]
        self._process = subprocess.Popen(
            [*map(str, command)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._own,
        )
        wait_until(self._answers, "PostgreSQL does not answer")

    def _answers(self) -> bool:
        command = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self._own)

    def _signal(self, number: int) -> None:
        if self._process.poll() is not None:
            return
        parent = psutil.Process(self._process.pid)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


async def _make_tables(url: str) -> None:
    store = open_backend(url)
    upgrading, closing = ability(store, SupportsUpgrade), ability(store, SupportsClose)
    assert upgrading is not None
    assert closing is not None
    await upgrading.upgrade()
    await closing.aclose()


class S3:
    """A bucket of moto, behind a relay. Its memory is what a real store has on its disks."""

    def __init__(self, free_port: Callable[[], int], start_moto: StartMoto) -> None:
        self._start_moto = start_moto
        self._port = free_port()
        self._address = f"http://127.0.0.1:{self._port}"
        self._start({})
        self.relay = Relay(free_port(), self._port)
        query = f"{_BUCKET}/team?region=us-east-1&endpoint_url="
        self._direct = f"s3://{query}{self._address}"
        self.url = f"s3://{query}http://127.0.0.1:{self.relay.port}"

    def put(self, application: str, number: int) -> None:
        save(self._direct, application, number)

    def leave(self, way: str) -> None:
        if way == "lost":
            self.relay.lose()
        elif way == "paused":
            self._process.send_signal(signal.SIGSTOP)
        else:
            self.relay.kill()
        if way == "killed":
            self._kept = self._objects()
            self._process.kill()
            self._process.wait()

    def come_back(self, way: str) -> None:
        if way == "killed":
            self._start(self._kept)
        if way == "lost":
            self.relay.forward()
        elif way == "paused":
            self._process.send_signal(signal.SIGCONT)
        else:
            self.relay.start()

    def close(self) -> None:
        self.relay.kill()
        self._process.kill()
        self._process.wait()

    def _start(self, objects: dict[str, bytes]) -> None:
        self._process = self._start_moto(self._port)
        with contextlib.closing(self._client()) as client:
            client.create_bucket(Bucket=_BUCKET)
            for name, body in objects.items():
                client.put_object(Bucket=_BUCKET, Key=name, Body=body)

    def _objects(self) -> dict[str, bytes]:
        with contextlib.closing(self._client()) as client:
            rows = client.list_objects_v2(Bucket=_BUCKET)["Contents"]
            return {
                row["Key"]: client.get_object(Bucket=_BUCKET, Key=row["Key"])["Body"].read()
                for row in rows
            }

    def _client(self) -> Any:
        return boto3.client("s3", endpoint_url=self._address, region_name="us-east-1")


@pytest.fixture
def open_store(
    tmp_path: Path, free_port: Callable[[], int], start_moto: StartMoto
) -> Iterator[Callable[[str], Store]]:
    """Make an empty store of a kind: `directory`, `postgres` or `s3`."""
    with contextlib.ExitStack() as stack:

        def make(kind: str) -> Store:
            if kind == "directory":
                return Directory(tmp_path)
            if kind == "postgres":
                place = stack.enter_context(_open_directory())
                postgres = Postgres(place, free_port)
                stack.callback(postgres.close)
                return postgres
            stack.enter_context(_credentials())
            s3 = S3(free_port, start_moto)
            stack.callback(s3.close)
            return s3

        yield make


@contextlib.contextmanager
def _open_directory() -> Generator[Path]:
    """Yield a directory that the user of the database can enter."""
    with tempfile.TemporaryDirectory(prefix="pyfly-config-outage-") as name:
        yield Path(name)


@contextlib.contextmanager
def _credentials() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def report() -> Callable[[Sequence[object]], None]:
    """Add a row to the table of `scripts/prove outages`."""

    def add(row: Sequence[object]) -> None:
        line = "| " + " | ".join(map(str, row)) + " |"
        name = os.environ.get("PYFLY_PROOF_REPORT")
        if name is None:
            print(line)  # noqa: T201 - shown with a failure
            return
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    return add
