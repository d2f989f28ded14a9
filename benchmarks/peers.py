"""How other configuration servers answer the same question: the document of one service, 1 kB.

spring      Spring Cloud Config, its native backend on the same file (built with Maven, JDK 17)
spring-git  the same with its Git backend and the defaults of that: every request fetches, here from
            `git daemon` on this machine
dogma       Central Dogma, a JSON file in one of its repositories, without authentication
etcd        one key, over its JSON gateway
pyfly       `pyfly-config serve` on the file, one worker
pyfly-git   the same on the repository of `spring-git`, with which it is compared

All run at the same time, but one at a time is asked, over the same 32 connections, in turns. Each
is warm: it has answered for ten seconds before the first round counts. What they answer differs:
each packs the same text in its own way, and none of the others sends an entity tag and a digest.
The processor time of a request is that of all threads of the server, without that of git. Spring
and Central Dogma use both cores of the machine, as etcd does; one worker of pyfly-config uses one.

Needs wrk, etcd-server, a JDK 17 and Maven, which builds the first two in `target` directories.
"""

import argparse
import base64
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from _load import add_short, compare, machine, option_parser, table
from _processes import HERE, Meter, Running, ask, free_port, get, need_wrk, running, serve
from _publisher import FILLING

SPRING = HERE.parent / "tests-integration" / "spring" / "reference-server"
DOGMA = HERE / "peers" / "central-dogma"
VALUES = {"name": "orders", **FILLING}
START_SECONDS = 90
WARM_SECONDS = 10
SLOW_SECONDS = 5
PROGRAMS = {
    "pyfly": (),
    "pyfly-git": ("git",),
    "spring": ("java", "mvn"),
    "spring-git": ("java", "mvn", "git"),
    "dogma": ("java", "mvn"),
    "etcd": ("etcd",),
}
OWN = {"spring-git": "pyfly-git"}
"""What a server is compared with, if not with `pyfly`."""
JVM = ("java", "-Xmx512m")
ANONYMOUS = {"Authorization": "Bearer anonymous"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A running server, and the request that it is measured with."""

    server: Running
    path: str
    headers: Mapping[str, str]
    script: Path | None = None
    """Makes the request, if it is no `GET`."""
    seconds: int = 1
    """How long it is measured at least; some answer few requests in a second."""

    def meter(self, seconds: int) -> Meter:
        """Return what measures it."""
        seconds = max(seconds, self.seconds)
        return Meter(
            self.server, self.path, seconds=seconds, headers=self.headers, script=self.script
        )


def maven(project: Path, *goals: str) -> None:
    """Build a project, unless it is built."""
    done = subprocess.run(
        ["mvn", "--quiet", "--batch-mode", "-DskipTests", *goals],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout)


def start(
    stack: contextlib.ExitStack, command: list[str], port: int, path: str
) -> "subprocess.Popen[bytes]":
    """Start a server until the end of the stack."""
    return stack.enter_context(running(command, port, path, seconds=START_SECONDS))


def run_spring(stack: contextlib.ExitStack, *options: str, seconds: int = 1) -> Peer:
    """Start Spring Cloud Config with settings."""
    program = SPRING / "target" / "reference-server-1.jar"
    if not program.exists():
        maven(SPRING, "package")
    port, path = free_port(), "/orders/prod"
    settings = [f"--spring.cloud.config.server.{option}" for option in options]
    profile = "native" if options[0].startswith("native.") else "git"
    command = [*JVM, "-jar", str(program), f"--server.port={port}", *settings]
    process = start(stack, [*command, f"--spring.profiles.active={profile}"], port, path)
    verify(port, path)
    server = Running(port=port, pid=process.pid)
    return Peer(server=server, path=path, headers={}, seconds=seconds)


def verify(port: int, path: str) -> None:
    """Raise an error unless an answer has all values."""
    _, body = get(port, path)
    if not all(name in body.decode() for name in VALUES):
        raise RuntimeError(f"{path}: {body!r}")


def start_spring(stack: contextlib.ExitStack, directory: Path) -> Peer:
    (directory / "orders-prod.yml").write_text(json.dumps(VALUES), encoding="utf-8")
    return run_spring(stack, f"native.search-locations={directory.as_uri()}/")


def start_spring_git(stack: contextlib.ExitStack, directory: Path) -> Peer:
    port = free_port()
    repository = make_repository(directory)
    programs = subprocess.check_output(["git", "--exec-path"], encoding="utf-8").strip()
    daemon = [f"{programs}/git-daemon", "--export-all", f"--base-path={directory}"]
    process = subprocess.Popen([*daemon, "--listen=127.0.0.1", f"--port={port}"])
    stack.callback(process.wait)
    stack.callback(process.terminate)
    uri = f"git://127.0.0.1:{port}/{repository.name}"
    base = f"git.basedir={directory / 'clone'}"
    return run_spring(stack, f"git.uri={uri}", base, seconds=SLOW_SECONDS)


def make_repository(directory: Path) -> Path:
    """Return a bare repository that has the document in a file."""
    repository = directory / "config.git"
    content = json.dumps(VALUES)
    git = ["git", f"--git-dir={repository}"]
    stream = (
        "commit refs/heads/main\ncommitter a <a@b> 1 +0000\ndata 1\nx\n"
        f"M 100644 inline orders-prod.yml\ndata {len(content)}\n{content}\n"
    )
    subprocess.run([*git, "init", "--quiet", "--bare", "--initial-branch=main"], check=True)
    subprocess.run([*git, "fast-import", "--quiet"], input=stream.encode(), check=True)
    return repository


def start_dogma(stack: contextlib.ExitStack, directory: Path) -> Peer:
    classes, libraries = DOGMA / "target" / "classes", DOGMA / "target" / "lib"
    if not libraries.exists():
        maven(DOGMA, "compile", "dependency:copy-dependencies", "-DoutputDirectory=target/lib")
    port = free_port()
    command = [*JVM, "-cp", f"{classes}:{libraries}/*", "dogma.Server", str(port), str(directory)]
    process = start(stack, command, port, "/monitor/l7check")
    projects, headers = "/api/v1/projects", {**ANONYMOUS, **JSON}
    change = {"path": "/orders.json", "type": "UPSERT_JSON", "content": VALUES}
    for path, body in {
        projects: {"name": "bench"},
        f"{projects}/bench/repos": {"name": "main"},
        f"{projects}/bench/repos/main/contents": {
            "commitMessage": {"summary": "a document"},
            "changes": [change],
        },
    }.items():
        answer = ask(port, path, method="POST", body=json.dumps(body).encode(), headers=headers)
        if answer.status >= 300:  # noqa: PLR2004
            raise RuntimeError(f"{path}: {answer.status}: {answer.body!r}")
    path = f"{projects}/bench/repos/main/contents/orders.json"
    return Peer(server=Running(port=port, pid=process.pid), path=path, headers=ANONYMOUS)


def start_etcd(stack: contextlib.ExitStack, directory: Path) -> Peer:
    port, other = free_port(), free_port()
    url, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}"
    options = {
        "data-dir": directory / "data",
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "logger": "zap",
        "log-level": "error",
    }
    command = ["etcd", *(f"--{name}={value}" for name, value in options.items())]
    process = start(stack, command, port, "/health")
    key = base64.b64encode(b"/config/orders/prod").decode()
    value = base64.b64encode(json.dumps(VALUES).encode()).decode()
    ask(port, "/v3/kv/put", method="POST", body=json.dumps({"key": key, "value": value}).encode())
    script = directory / "range.lua"
    script.write_text(
        f"""wrk.method = "POST"\nwrk.body = '{json.dumps({"key": key})}'\n""", encoding="utf-8"
    )
    return Peer(
        server=Running(port=port, pid=process.pid), path="/v3/kv/range", headers={}, script=script
    )


def start_pyfly(stack: contextlib.ExitStack, directory: Path) -> Peer:
    (directory / "main").mkdir()
    (directory / "main" / "orders-prod.json").write_text(json.dumps(VALUES), encoding="utf-8")
    return run_pyfly(stack, directory)


def start_pyfly_git(stack: contextlib.ExitStack, directory: Path) -> Peer:
    repository = make_repository(directory)
    return run_pyfly(stack, f"git+{repository.as_uri()}?state={directory / 'state'}")


def run_pyfly(stack: contextlib.ExitStack, store: object) -> Peer:
    port, path = free_port(), "/config/orders/prod"
    process = start(stack, serve(port, store), port, path)
    verify(port, path)
    return Peer(server=Running(port=port, pid=process.pid), path=path, headers={})


STARTS: dict[str, Callable[[contextlib.ExitStack, Path], Peer]] = {
    "pyfly": start_pyfly,
    "pyfly-git": start_pyfly_git,
    "spring": start_spring,
    "spring-git": start_spring_git,
    "dogma": start_dogma,
    "etcd": start_etcd,
}


def own_of(name: str) -> str:
    """Return which of our own servers one is compared with, itself if it is one."""
    return name if name.startswith("pyfly") else OWN.get(name, "pyfly")


def main() -> int:
    parser = option_parser(__doc__, rounds=5)
    add_short(parser)
    parser.add_argument("peers", nargs="*", help=f"of: {', '.join(STARTS)}; otherwise all")
    options = parser.parse_args()
    need_wrk()
    named = [*(options.peers or STARTS)]
    wanted = {*named, *map(own_of, named)}
    chosen = [name for name in STARTS if name in wanted]
    for name in chosen:
        if missing := [one for one in PROGRAMS[name] if shutil.which(one) is None]:
            print(f"{name} needs {' and '.join(missing)}", file=sys.stderr)
            return 2
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers: dict[str, Peer] = {}
        for name in chosen:
            (root / name).mkdir()
            peers[name] = STARTS[name](stack, root / name)
        measure(peers, options)
    return 0


def measure(peers: Mapping[str, Peer], options: argparse.Namespace) -> None:
    """Measure all in turns, and report."""
    seconds = 1 if options.short else 5
    options.rounds = 1 if options.short else options.rounds
    meters: dict[str, Meter] = {}
    for name, peer in peers.items():
        if not options.short:
            peer.meter(WARM_SECONDS)()
        meters[name] = peer.meter(seconds)
    rates = compare(meters, options, warm=False)
    found = {
        name: {
            "requests_per_second": statistics.median(rates[name]),
            "ratio_pyfly_to_it": statistics.median(
                one / other for one, other in zip(rates[own_of(name)], rates[name], strict=True)
            ),
            "cpu_microseconds": statistics.median(meter.microseconds),
        }
        for name, meter in meters.items()
    }
    if options.json:
        print(json.dumps({**machine(), "rounds": options.rounds, "peers": found}))
        return
    head = ("", "requests per second", "pyfly / it", "CPU µs per request")
    rows = [[name, *(f"{value:,.3g}" for value in one.values())] for name, one in found.items()]
    table(head, rows)


if __name__ == "__main__":
    sys.exit(main())
