"""Real server processes on free ports."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest

from pyfly.config_server import KeyStoreFile

START_SECONDS = 120.0
STOP_SECONDS = 60.0
REPORT_SECONDS = 60.0
CHECKOUT = Path(__file__).parent.parent


@dataclass(kw_only=True)
class RunningServer:
    """A `pyfly-config serve` process."""

    port: int
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def output(self) -> str:
        """What it has printed so far, on both streams."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait until it has printed a text so many times: a line may come after the answer."""
        deadline = time.monotonic() + REPORT_SECONDS
        while self.output().count(text) < times:
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.02)

    def workers(self) -> list[int]:
        """Return the processes that it has started and not yet seen the end of."""
        process = self.process.pid
        text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
        return [int(word) for word in text.split()]

    def wait_for_workers(self, count: int) -> None:
        """Wait until it has so many workers, old ones included."""
        deadline = time.monotonic() + REPORT_SECONDS
        while len(found := self.workers()) != count:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)

    def exchange(self, request: bytes, *, seconds: float = 10.0) -> bytes:
        """Send bytes as they are and return all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(request)
            chunks: list[bytes] = []
            while chunk := connection.recv(65536):
                chunks.append(chunk)
        return b"".join(chunks)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@pytest.fixture(scope="session")
def started_servers() -> Iterator[list[RunningServer]]:
    """The servers that run; they are stopped at the end."""
    started: list[RunningServer] = []
    yield started
    _stop(started)


@pytest.fixture(autouse=True)
def stop_servers(started_servers: list[RunningServer]) -> Iterator[None]:
    """Stop what a test itself has started. Fixtures of a wider scope have started theirs before."""
    before = len(started_servers)
    yield
    _stop(started_servers[before:])
    del started_servers[before:]


@pytest.fixture(scope="session")
def start_server(
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
    started_servers: list[RunningServer],
) -> Callable[..., RunningServer]:
    """Start `pyfly-config serve STORE ARGS…`; wait until it answers and has reported its content.

    It is stopped after the test, or at the end if a fixture of a wider scope has started it.
    """
    own_python = Path(sys.executable)

    def start(
        store: Path | str,
        *args: str,
        python: Path = own_python,
        reports: bool = True,
        secure: bool = False,
        **settings: str,
    ) -> RunningServer:
        port = free_port()
        log = tmp_path_factory.mktemp("serve") / "output.txt"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
        environment |= {f"PYFLY_CONFIG_SERVER_{k}": v for k, v in settings.items()}
        command = [python.with_name("pyfly-config"), "serve", str(store)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--port", str(port), *args],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        server = RunningServer(port=port, process=process, log=log)
        started_servers.append(server)
        if not secure:  # its report is enough
            _wait_until_live(server)
        if reports:
            _wait_for_report(server)
        return server

    return start


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this repository."""
    return CHECKOUT


@pytest.fixture(scope="session")
def examples(start_server: Callable[..., RunningServer]) -> RunningServer:
    """A server of the example repository."""
    return start_server(CHECKOUT / "docs" / "examples" / "config")


@pytest.fixture(scope="session")
def uv() -> Callable[..., str]:
    """Run `uv ARGS…` in the checkout and return what it printed."""
    executable = shutil.which("uv")
    assert executable, "these tests need uv in the PATH, as scripts/test provides it"

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [executable, *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            check=False,
            cwd=CHECKOUT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def make_environment(
    tmp_path_factory: pytest.TempPathFactory, uv: Callable[..., str]
) -> Callable[..., Path]:
    """Make a virtual environment of its own with `uv pip install ARGS…`; return its Python.

    `interpreter` is what the environment is made of, by default that of the tests.
    """

    def make(*arguments: object, interpreter: str = sys.executable) -> Path:
        home = tmp_path_factory.mktemp("environment")
        python = home / "bin" / "python"
        uv("venv", "--quiet", "--allow-existing", "--python", interpreter, home)
        uv("pip", "install", "--quiet", "--python", python, *arguments)
        return python

    return make


@pytest.fixture(scope="session")
def wheels(checkout: Path, once: Callable[..., Path], uv: Callable[..., str]) -> Path:
    """A directory with the wheel and the source distribution of every package, checked."""

    def make_wheels(directory: Path) -> None:
        uv("build", "--quiet", "--all-packages", "--no-sources", "--out-dir", directory)
        check = checkout / "scripts" / "check_wheels.py"
        subprocess.run([sys.executable, check, directory], check=True)

    return once("wheels", make_wheels)


@pytest.fixture(scope="session")
def install(
    tmp_path_factory: pytest.TempPathFactory,
    wheels: Path,
    make_environment: Callable[..., Path],
) -> Callable[..., Path]:
    """Install distributions into an environment of their own; return its Python.

    Ours are named, extras included, and come as wheels of this checkout; others may be paths.
    """
    built = {wheel.name.split("-")[0].replace("_", "-"): wheel for wheel in wheels.glob("*.whl")}

    def make(*names: object, interpreter: str = sys.executable) -> Path:
        ours = tmp_path_factory.mktemp("constraints") / "ours.txt"  # never from an index
        ours.write_text(
            "".join(f"{name} @ {wheel.as_uri()}\n" for name, wheel in built.items()),
            encoding="utf-8",
        )
        return make_environment("--constraint", ours, *names, interpreter=interpreter)

    return make


@pytest.fixture(scope="session")
def run() -> Callable[..., bytes]:
    """Run a program that has to be there, and return what it printed."""

    def start(name: str, *arguments: object, given: bytes = b"") -> bytes:
        if shutil.which(name) is None:
            reason = f"needs {name}"
            pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
        done = subprocess.run(
            [name, *map(str, arguments)], input=given, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return start


@pytest.fixture(scope="session")
def key_store(run: Callable[..., bytes], once: Callable[..., Path]) -> KeyStoreFile:
    """A key store with the keys k1 and K2, and the certificate of k1 under another name."""
    password = "open sesame"

    def make(directory: Path) -> None:
        path, certificate = directory / "keys.p12", directory / "k1.pem"
        where = ("-keystore", path, "-storetype", "PKCS12", "-storepass", password)
        for alias in ("k1", "K2"):
            names = ("-alias", alias, "-dname", f"CN={alias}")
            run("keytool", "-genkeypair", *names, "-keyalg", "RSA", "-keysize", 2048, *where)
        run("keytool", "-exportcert", "-rfc", "-alias", "k1", "-file", certificate, *where)
        run("keytool", "-importcert", "-noprompt", "-alias", "lone", "-file", certificate, *where)

    path = once("key-store", make) / "keys.p12"
    return KeyStoreFile(location=path, password=password, alias="k1")


@pytest.fixture(scope="module")
def s3(moto: str) -> Iterator[str]:
    """The address of a moto server; credentials for it are in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield moto


@pytest.fixture(scope="module")
def make_bucket(s3: str) -> Callable[[str], str]:
    """Make an empty bucket with versions, and return the URL of a store in it."""

    def make(name: str) -> str:
        client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
        client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        client.close()
        return f"s3://{name}/team?endpoint_url={s3}"

    return make


def _stop(servers: Sequence[RunningServer]) -> None:
    for server in servers:
        server.process.terminate()
    for server in servers:
        try:
            server.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def _wait_until_live(server: RunningServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/health/live", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{server.output()}")


def _wait_for_report(server: RunningServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "  credential    " not in server.output():
        assert time.monotonic() < deadline, f"no report:\n{server.output()}"
        assert server.process.poll() is None, f"it ended:\n{server.output()}"
        time.sleep(0.01)
