"""How the process of `pyfly-config serve` starts, reloads, is killed, and stops."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("pyfly-config")
PATIENCE = 60.0
PLANTED = ("pydantic", "attr", "reprlib", "uvloop", "yaml", "sitecustomize_of_the_store")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and sends signals"),
    pytest.mark.traced,
]


class Served:
    """A running command whose banner has been read."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.wait_for("Try: curl ").removeprefix("Try: curl ")

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, part: str, *, times: int = 1) -> str:
        """Return the line that holds a text, once it was printed so many times."""
        deadline = time.monotonic() + PATIENCE
        while len(found := [line for line in list(self.lines) if part in line]) < times:
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)
        return found[-1]

    def get(self) -> dict[str, object]:
        """Return the document."""
        with urllib.request.urlopen(self.url, timeout=PATIENCE) as answer:
            document: dict[str, object] = json.load(answer)
            return document

    def workers(self) -> list[int]:
        """Return the processes that it has started and not yet seen the end of."""
        return children_of(self.process.pid)

    def ended(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join()
        return code


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "main" / "orders-default.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("who: orders\n", encoding="utf-8")
    return tmp_path / "store"


Serve = Callable[..., Served]


def start(*arguments: object, cwd: Path | None = None, **environ: str) -> subprocess.Popen[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_CONFIG_")}
    return subprocess.Popen(
        [COMMAND, "serve", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        cwd=cwd,
        env=inherited | environ,
    )


@pytest.fixture
def serve(free_port: Callable[[], int]) -> Generator[Serve]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object, cwd: Path | None = None, **environ: str) -> Served:
        port = () if "--port" in arguments else ("--port", free_port())
        started.append(start(*arguments, *port, cwd=cwd, **environ))
        return Served(started[-1])

    yield run
    for process in started:
        with process:
            process.kill()


@pytest.mark.parametrize("workers", [1, 2])
def test_files_of_the_current_directory_are_never_imported(
    serve: Serve, store: Path, tmp_path: Path, workers: int
) -> None:
    for name in PLANTED:
        code = f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n"
        (store / f"{name}.py").write_text(code, encoding="utf-8")
    for name in ("litestar", "uvicorn", "httptools"):
        (store / name).mkdir()
        (store / name / "__init__.py").touch()
    (tmp_path / "link").symlink_to(store)
    ways = os.pathsep.join(("", ".", f"../{store.name}", str(tmp_path / "link")))
    # coverage would import modules before the command runs
    own = {"PYTHONPATH": ways, "COVERAGE_PROCESS_CONFIG": ""}
    server = serve(".", "--workers", workers, cwd=store, **own)
    assert server.get()["name"] == "orders"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("host", ["localhost", "127.1", "::1", socket.gethostname()])
def test_a_host_may_be_a_name_and_answers_when_the_banner_is_printed(
    serve: Serve, store: Path, host: str
) -> None:
    server = serve(store, "--host", host, "--insecure")
    assert server.get()["name"] == "orders"
    assert f"http://{f'[{host}]' if ':' in host else host}:" in server.lines[0]


def test_localhost_is_served_in_both_families(serve: Serve, store: Path) -> None:
    server = serve(store, "--host", "localhost")
    port = int(server.url.split(":")[2].split("/")[0])
    found = {address[4][0] for address in socket.getaddrinfo("localhost", port)}
    for address in found:
        socket.create_connection((str(address), port), timeout=PATIENCE).close()


def test_a_name_that_other_machines_reach_needs_a_credential(store: Path) -> None:
    done = subprocess.run(
        [COMMAND, "serve", store, "--host", "0"],  # another form of 0.0.0.0
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert "no credential is configured" in done.stderr


def test_a_stop_during_the_start_leaves_nothing(store: Path, free_port: Callable[[], int]) -> None:
    """The exit code is 0 from the moment when the command has its handler, which is very early."""
    starts = [
        (start(store, "--port", port, "--workers", 1 + number % 2), port, number * 0.15)
        for number in range(8)
        for port in [free_port()]
    ]
    began = time.monotonic()
    for process, port, seconds in starts:
        with process:
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            handled = handles(process.pid, signal.SIGTERM)
            process.terminate()
            code = process.wait(PATIENCE)
            assert code == 0 or (not handled and code == -signal.SIGTERM)
            assert process.stdout
            assert "Traceback" not in process.stdout.read()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


def handles(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_held_connections_do_not_hold_a_stop(serve: Serve, store: Path, workers: int) -> None:
    (store / "main" / "large.txt").write_bytes(b"x" * 1_000_000)
    server = serve(store, "--workers", workers)
    where = server.url.split("/")[2].split(":")
    held = [
        b"",
        b"GET / HTTP/1.1\r\nHost: c\r\nX: ",
        b"PUT /config/_bundles/a/b/c HTTP/1.1\r\nHost: c\r\nContent-Length: 9\r\n\r\n1",
        b"GET /config/orders/default/main/large.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20,
    ]
    with contextlib.ExitStack() as stack:
        for sent in held:
            connection = socket.create_connection((where[0], int(where[1])))
            stack.enter_context(connection).sendall(sent)
        time.sleep(0.3)
        server.process.terminate()
        assert server.ended() == 0
    assert not [line for line in server.lines if "Traceback" in line or "ERROR" in line]


def test_workers_end_with_a_killed_command(
    serve: Serve, store: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    server = serve(store, "--workers", 2, "--port", port)
    workers = server.workers()
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    server.wait_for("starts again in 0.2 s")  # so one of them is still starting
    wait_until(lambda: len(server.workers()) == 2)
    workers = server.workers()
    server.process.kill()
    server.ended()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert serve(store, "--port", port).get()["name"] == "orders"


def test_killed_workers_start_again_with_growing_pauses(serve: Serve, store: Path) -> None:
    server = serve(store, "--workers", 2)
    for number in range(1, 5):
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        server.wait_for("by SIGKILL; it starts again", times=2 * number)
        wait_until(lambda: len(server.workers()) == 2)
    server.wait_for("worker 1 ended by SIGKILL; it starts again in 1.6 s")
    assert server.get()["name"] == "orders"
    server.process.send_signal(signal.SIGINT)
    assert server.ended() == 0


def test_a_worker_that_could_not_be_started_is_started_later(serve: Serve, store: Path) -> None:
    server = serve(store, "--workers", 2)
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    server.wait_for("could not be started ([Errno 24] Too many open files); it starts", times=2)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
    wait_until(lambda: len(server.workers()) == 2)
    assert server.get()["name"] == "orders"
    server.process.terminate()
    assert server.ended() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_changes_the_settings_without_a_failed_request(
    serve: Serve, store: Path, tmp_path: Path, workers: int
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[overrides]\nn = "0"\n', encoding="utf-8")
    server = serve(store, "--settings", file, "--workers", workers)
    failed: list[Exception] = []
    seen: list[str] = []
    done = threading.Event()

    def ask() -> None:
        host, _, path = server.url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        try:
            while not done.is_set():
                connection.request("GET", "/" + path)
                answer = connection.getresponse()
                document = json.load(answer)
                assert answer.status == 200
                seen.append(document["propertySources"][0]["source"]["n"])
                time.sleep(0.005)
        except Exception as error:  # noqa: BLE001 - any failure counts
            failed.append(error)
        finally:
            connection.close()

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    for number in (1, 2):
        file.write_text(f'[overrides]\nn = "{number}"\n', encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("settings reloaded", times=number)
        wait_until(lambda number=number: failed or seen[-3:] == [str(number)] * 3)
    wait_until(lambda: failed or len(server.workers()) == (workers if workers > 1 else 0))
    done.set()
    for client in clients:
        client.join()
    assert failed == []
    server.process.terminate()
    assert server.ended() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_reload_is_told_and_changes_nothing(
    serve: Serve, store: Path, tmp_path: Path, workers: int
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'backend = "{store.as_uri()}"\n', encoding="utf-8")
    server = serve("--settings", file, "--workers", workers)
    for number, broken in enumerate(
        ["backend = ", 'backend = "file:///nowhere/at/all"', 'host = "127.0.0.2"\nbackend = "."'], 1
    ):
        file.write_text(broken + "\n", encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("not reloaded, the settings before stay in use: ", times=number)
        assert server.get()["name"] == "orders"
    told = [line for line in server.lines if "not reloaded" in line]
    assert "cannot open the root of the configuration" in told[1]
    assert not [line for line in server.lines if "Traceback" in line]


def test_a_reload_that_would_lose_a_store_in_memory_is_refused(
    free_port: Callable[[], int],
) -> None:
    with start("memory:", "--port", free_port()) as process:
        assert process.stdout
        while "credential" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGHUP)
        assert "'memory:' keeps its bundles in this process" in process.stdout.readline()
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_clients_that_never_read_cost_little_and_leave_nothing(serve: Serve, store: Path) -> None:
    for profile in ("a", "b", "c"):
        text = "".join(f"{profile}{n}: {'x' * 1000}\n" for n in range(900))
        (store / "main" / f"orders-{profile}.yaml").write_text(text, encoding="utf-8")
    server = serve(store, COVERAGE_PROCESS_CONFIG="")  # measured, so without tracing
    host, port = server.url.split("/")[2].split(":")
    request = f"GET /config/orders/a,b,c HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    def read_all() -> None:
        url = server.url.rpartition("/")[0] + "/a,b,c"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            assert len(answer.read()) > 2_700_000

    def come_and_leave() -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                connection = stack.enter_context(socket.create_connection((host, int(port))))
                connection.sendall(request)
            read_all()

    come_and_leave()  # what Python itself keeps for such a burst is not counted
    before = resident(server.process.pid)
    for _ in range(4):  # 240 MB, if the answers stayed
        come_and_leave()
    wait_until(lambda: resident(server.process.pid) - before < 80_000_000)
    read_all()


def test_honest_requests_are_answered_beside_a_thousand_held_connections(
    serve: Serve, store: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = serve(store)
    host, port = server.url.split("/")[2].split(":")
    try:
        with contextlib.ExitStack() as stack:
            for number in range(1_000):
                held = stack.enter_context(socket.create_connection((host, int(port))))
                if number % 2:
                    held.sendall(b"GET / HTTP/1.1\r\nHost: c\r\nX: ")
                if number % 50 == 0:
                    assert server.get()["name"] == "orders"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(pid: int) -> int:
    """Return the memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
