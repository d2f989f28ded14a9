"""An unmodified Spring Boot service that imports its configuration from our server."""

import contextlib
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from pyfly.config_client import ServerRejectedError, SyncConfigClient
from pyfly.config_server import EncryptionKeys, open_keys
from pyfly.config_server.access.tokens import digest_of, make_token

pytestmark = pytest.mark.external

SECONDS = 120
FILES = {
    "main/application-default.yaml": "company: Example\nhosts: [a, b, c]\nwho: shared\n",
    "main/orders-default.yaml": "who: orders\nport: 8080\nurl: 'http://h:${port}/'\n"
    "---\nspring.config.activate.on-profile: eu & !prod\nregion: only-eu\n",
    "main/orders-prod.yaml": "who: prod\nhosts: [p]\nport: 80\n",
    "main/orders-eu.yaml": "who: eu\nbig: 12345678901234567890\nflag: yes\ntime: 12:30\n",
    "feature/x/orders-default.yaml": "who: feature\n",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a start of the service ended."""

    started: bool
    effective: dict[str, str] = field(default_factory=dict[str, str])
    told: str = ""


@dataclass(frozen=True, kw_only=True)
class Store:
    """The files and the server that serves them."""

    root: Path
    server: Any

    def at(self, credential: str = "reader:open%20sesame@") -> str:
        """Return the address as a service is given it."""
        return f"{self.server.url.replace('://', f'://{credential}')}/config"


@pytest.fixture(scope="module")
def store(start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("store")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    server = start_server(root, USERNAME="reader", PASSWORD="open sesame", ENCRYPT_KEY="foo")
    return Store(root=root, server=server)


Start = Callable[..., Outcome]


@pytest.fixture(scope="module")
def start(client: Path, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start the service with settings below `spring.`, and stop it; all in one process."""
    log = tmp_path_factory.mktemp("client") / "output.txt"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            ["java", "-jar", client],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
        ) as process,
    ):

        def run(*settings: str, location: str | None = None, optional: bool = False) -> Outcome:
            where = store.at() if location is None else location
            source = f"{'optional:' if optional else ''}configserver:{where}"
            chosen = ("application.name=orders", "main.web-application-type=none", *settings)
            line = "\t".join(
                [f"--spring.config.import={source}", *(f"--spring.{one}" for one in chosen)]
            )
            before = log.stat().st_size
            assert process.stdin is not None
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
            return _outcome(process, log, before)

        yield run
        process.terminate()


def _outcome(process: subprocess.Popen[bytes], log: Path, before: int) -> Outcome:
    """Wait for the end of a start; return what was printed from `before` on."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        told = log.read_bytes()[before:].decode()
        ends = re.search(r"(?m)^outcome (\w+)\n", told)
        if ends is not None:
            pairs = re.findall(r"(?m)^effective (.*?)=(.*)$", told)
            return Outcome(started=ends[1] == "started", effective=dict(pairs), told=told)
        time.sleep(0.05)
    raise RuntimeError(log.read_text(encoding="utf-8", errors="replace"))


@pytest.mark.case(99, 100)
@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ("", {"who": "orders", "url": "http://h:8080/", "hosts[2]": "c", "company": "Example"}),
        ("prod", {"who": "prod", "url": "http://h:80/", "hosts[0]": "p"}),
        ("prod,eu", {"who": "eu", "hosts[0]": "p", "flag": "true", "time": "750"}),
        ("eu", {"who": "eu", "region": "only-eu", "big": "12345678901234567890"}),
    ],
)
def test_the_effective_properties_are_those_of_the_store(
    start: Start, profiles: str, expected: dict[str, str]
) -> None:
    found = start(*([f"profiles.active={profiles}"] if profiles else []))
    assert found.started, found.told
    assert {key: found.effective.get(key) for key in expected} == expected
    assert ("region" in found.effective) == (profiles == "eu")


@pytest.mark.case(99, 102)
def test_labels_may_have_slashes_and_be_tried_in_turn(start: Start) -> None:
    for label in ("feature/x", "nolabel,feature/x"):
        found = start(f"cloud.config.label={label}")
        assert (found.started, found.effective.get("who")) == (True, "feature"), found.told


@pytest.mark.case(99)
def test_several_labels_in_one_request_and_a_profile_of_its_own(start: Start) -> None:
    found = start("cloud.config.label=feature/x,main", "cloud.config.send-all-labels=true")
    assert found.effective["who"] == "orders", found.told
    found = start("cloud.config.profile=prod", "cloud.config.name=nobody,orders")
    assert (found.effective["who"], found.effective["hosts[0]"]) == ("prod", "p"), found.told


@pytest.mark.case(91, 99)
def test_what_is_stored_encrypted_arrives_in_clear_text(start: Start, store: Store) -> None:
    headers = {"Content-Type": "text/plain"}
    encrypted = httpx.post(f"{store.at()}/encrypt", content="a+b = #1", headers=headers)
    assert encrypted.status_code == 200
    cipher = f"{{cipher}}{encrypted.text}"
    (store.root / "main" / "vault-default.yaml").write_text(
        f"pw: '{cipher}'\nlist: [x, '{cipher}']\nbad: '{{cipher}}garbage'\nurl: 'db:${{pw}}'\n",
        encoding="utf-8",
    )
    found = start("cloud.config.name=vault")
    assert found.started, found.told
    expected = {
        "pw": "a+b = #1",
        "list[0]": "x",
        "list[1]": "a+b = #1",
        "invalid.bad": "<n/a>",
        "url": "db:a+b = #1",
    }
    assert {key: found.effective.get(key) for key in expected} == expected
    assert "bad" not in found.effective


def test_a_service_decrypts_for_itself_what_is_handed_on(
    start: Start, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    cipher = open_keys(EncryptionKeys(default="bar")).encrypt("of its own")
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "vault-default.yaml").write_text(
        f"pw: '{{cipher}}{cipher}'\n", encoding="utf-8"
    )
    server = start_server(tmp_path, ENCRYPT_ENABLED="false")
    key = 'application.json={"encrypt":{"key":"bar"}}'
    found = start("cloud.config.name=vault", key, location=f"{server.url}/config")
    assert (found.started, found.effective.get("pw")) == (True, "of its own"), found.told


@pytest.mark.case(104)
def test_what_cannot_be_had_stops_the_service_unless_it_is_optional(
    start: Start, store: Store, free_port: Callable[[], int]
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/config"
    for settings, location in (
        (["cloud.config.label=nolabel"], None),
        ([], store.at("reader:wrong@")),
        ([], nowhere),
    ):
        found = start(*settings, location=location)
        assert not found.started
        assert "ConfigClient" in found.told
        found = start(*settings, location=location, optional=True)
        assert (found.started, found.effective) == (True, {}), found.told


APPLICATIONS = ("orders", "billing", "stock")
ACCESS = """
[issuers.own]
issuer = "https://issuer"
audiences = ["pyfly-config"]
keys-file = "{keys}"

[principals.orders]
rules = [{{ rights = ["read"], on = "orders/*/*" }}]
tokens = [{{ id = "1", sha256 = "{orders}" }}]

[principals.billing]
rules = [{{ rights = ["read"], on = "billing/*/*" }}]
tokens = [{{ id = "1", sha256 = "{billing}" }}]

[principals.stock]
rules = [{{ rights = ["read"], on = "stock/*/*" }}]
subjects = [{{ issuer = "own", claims = {{ sub = "stock" }} }}]
"""


@dataclass(frozen=True, kw_only=True)
class SharedServer:
    """A server whose three applications have an identity each."""

    server: Any
    credentials: dict[str, str]
    directory: Path

    def audited(self) -> set[tuple[str, str, int]]:
        """Return who asked for the documents of whom, and with which status."""
        lines = (self.directory / "audit.log").read_text(encoding="utf-8").splitlines()
        return {
            (one["principal"], one["application"], one["status"])
            for one in map(json.loads, lines)
            if one["operation"] == "environment"
        }


@pytest.fixture
def shared(start_server: Callable[..., Any], tmp_path: Path) -> SharedServer:
    key = ec.generate_private_key(ec.SECP256R1())
    keys, access = tmp_path / "keys.json", tmp_path / "access.toml"
    keys.write_text(f'{{"keys": [{ECAlgorithm.to_jwk(key.public_key())}]}}', encoding="utf-8")
    claims = {"iss": "https://issuer", "aud": "pyfly-config", "sub": "stock"}
    web_token = jwt.encode({**claims, "exp": int(time.time()) + 600}, key, algorithm="ES256")
    credentials = {"orders": make_token(), "billing": make_token(), "stock": web_token}
    digests = {name: digest_of(one.encode()).hex() for name, one in credentials.items()}
    access.write_text(ACCESS.format(keys=keys, **digests), encoding="utf-8")
    access.chmod(0o600)
    for name in APPLICATIONS:
        file = tmp_path / "store" / "main" / f"{name}-default.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"who: {name}\n", encoding="utf-8")
    server = start_server(
        tmp_path / "store",
        ACCESS_FILE=str(access),
        AUDIT_LOG=str(tmp_path / "audit.log"),
        AUDIT_READS="true",
    )
    return SharedServer(server=server, credentials=credentials, directory=tmp_path)


def test_a_spring_service_a_python_service_and_a_command_read_only_what_is_their_own(
    start: Start, shared: SharedServer
) -> None:
    tried = {"orders": APPLICATIONS[:2], "billing": APPLICATIONS, "stock": APPLICATIONS}
    seen = {
        "orders": [spring_value(start, shared, name) for name in tried["orders"]],
        "billing": [python_value(shared, name) for name in tried["billing"]],
        "stock": [command_value(shared, name) for name in tried["stock"]],
    }
    assert seen == {
        "orders": ["orders", None],
        "billing": [None, "billing", None],
        "stock": [None, None, "stock"],
    }
    assert shared.audited() == {
        (principal, name, 200 if principal == name else 403)
        for principal, names in tried.items()
        for name in names
    }
    # a name with the token of another principal is nobody
    url = f"{shared.server.url}/config/billing/default"
    assert httpx.get(url, auth=("orders", shared.credentials["billing"])).status_code == 401
    output = shared.server.output()
    assert [name for name, one in shared.credentials.items() if one in output] == []


def spring_value(start: Start, shared: SharedServer, application: str) -> str | None:
    """Return what a Spring service is given, which knows Basic only; `None` if it is refused."""
    location = shared.server.url.replace("://", f"://orders:{shared.credentials['orders']}@")
    found = start(f"cloud.config.name={application}", location=f"{location}/config")
    assert found.started or "403" in found.told, found.told
    return found.effective.get("who")


def python_value(shared: SharedServer, application: str) -> str | None:
    """Return what the Python client is given; `None` if it is refused."""
    client = SyncConfigClient(
        server_url=shared.server.url, application=application, token=shared.credentials["billing"]
    )
    try:
        return str(client.fetch()["who"])
    except ServerRejectedError as error:
        assert error.status == 403
        return None


def command_value(shared: SharedServer, application: str) -> str | None:
    """Return what the command is given for a JSON Web Token; `None` if it is refused."""
    token = shared.directory / "token"
    token.write_text(shared.credentials["stock"], encoding="utf-8")
    token.chmod(0o600)
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("pyfly-config-client"), "get", "who"),
            *("--url", shared.server.url, "--application", application, "--token-file", token),
            *("--snapshot-dir", "off"),
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0 or "the right 'read' is missing" in done.stderr, done.stderr
    return done.stdout.strip() or None


@pytest.mark.case(104)
def test_an_explicit_credential_wins_over_that_of_the_address(start: Start, store: Store) -> None:
    found = start("cloud.config.password=open sesame", location=store.at("reader:wrong@"))
    assert (found.started, found.effective.get("who")) == (True, "orders"), found.told


def test_a_service_without_its_configuration_ends_with_an_error(client: Path, store: Store) -> None:
    done = subprocess.run(
        ["java", "-jar", client, f"--spring.config.import=configserver:{store.at('')}"],
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode != 0
    assert "ConfigClientFailFastException" in done.stdout + done.stderr


@contextlib.contextmanager
def failing() -> Generator[tuple[str, list[float]]]:
    """A server that answers 500 to everything: its address, and when it was asked."""
    asked: list[float] = []

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(time.monotonic())
            body = json.dumps({"status": 500, "error": "out of order"}).encode()
            self.send_response(500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.mark.case(101)
def test_a_failing_server_is_passed_over_when_the_strategy_says_so(
    start: Start, store: Store
) -> None:
    with failing() as (broken, asked):
        addresses = f"cloud.config.uri={broken},{store.at()}"
        found = start(addresses, location="")
        assert (found.started, found.effective.get("who")) == (True, "orders"), found.told
        assert asked
        strategy = "cloud.config.multiple-uri-strategy=connection-timeout-only"
        found = start(addresses, strategy, location="")
        assert not found.started
        assert "out of order" in found.told


@pytest.mark.case(101)
def test_a_server_that_is_gone_is_passed_over_with_both_strategies(
    start: Start, store: Store, free_port: Callable[[], int]
) -> None:
    addresses = f"cloud.config.uri=http://127.0.0.1:{free_port()},{store.at()}"
    for strategy in ("always", "connection-timeout-only"):
        found = start(addresses, f"cloud.config.multiple-uri-strategy={strategy}", location="")
        assert (found.started, found.effective.get("who")) == (True, "orders"), found.told


@pytest.mark.case(103)
def test_failing_fast_is_six_attempts_with_growing_pauses(start: Start) -> None:
    with failing() as (broken, asked):
        found = start("cloud.config.fail-fast=true", location=broken, optional=True)
    assert not found.started, found.told
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert len(asked) == 6
    for pause, least in zip(pauses, (1000, 1100, 1210, 1331, 1464), strict=True):
        assert pause >= least / 1000 - 0.05


def test_a_running_service_takes_over_what_has_changed(
    client: Path, store: Store, run_jar: Callable[..., str]
) -> None:
    default = store.root / "main" / "shop-default.yaml"
    prod = store.root / "main" / "shop-prod.yaml"
    default.write_text("who: before\nhosts: [x, y, z]\nsame: 1\n", encoding="utf-8")
    prod.write_text("hosts: [one, two]\n", encoding="utf-8")
    url = run_jar(
        client,
        "--spring.application.name=shop",
        "--spring.profiles.active=prod",
        f"--spring.config.import=configserver:{store.at()}",
        "--management.endpoints.web.exposure.include=refresh",
        path="/shown",
    )
    with httpx.Client(base_url=url, timeout=SECONDS) as service:
        assert service.get("/shown").json() == {"who": "before", "hosts": ["one", "two"]}
        assert service.post("/actuator/refresh").json() == []
        default.write_text("who: after\nhosts: [x, y, z]\nsame: 1\nnew: 2\n", encoding="utf-8")
        prod.write_text("hosts: [three]\n", encoding="utf-8")
        assert service.get("/shown").json()["who"] == "before"
        fresh = {"Cache-Control": "no-cache"}
        assert httpx.get(f"{store.at()}/shop/prod", headers=fresh).status_code == 200
        changed = service.post("/actuator/refresh").json()
        assert {key for key in changed if "config.client" not in key} == {"who", "new"} | {
            f"hosts[{index}]" for index in range(2)
        }
        assert service.get("/shown").json() == {"who": "after", "hosts": ["three"]}
