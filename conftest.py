"""What the tests of every package share."""

import contextlib
import fcntl
import gc
import ipaddress
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, settings

# Time fails no test, because another process may have the machine. The rest is what Hypothesis
# has chosen: in CI the same examples in every run.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("patient"), max_examples=25)
settings.load_profile("patient")

SERVERS = frozenset(
    {"start_server", "moto", "rgw", "s3", "postgres", "tcp_postgres", "pgbouncer", "mariadb"}
    | {"open_empty", "run_jar"}
)
"""Fixtures that start a server process."""

LONGEST = (
    "tests-integration/outages/",
    "tests-integration/documentation/",
    "tests-integration/spring/",
    "packages/pyfly-config-s3/",
    "packages/pyfly-config-git/tests/test_conformance.py",
    "packages/pyfly-config-sql/tests/test_sqlite_conformance.py",
    "packages/pyfly-config-server/tests/test_copied_documents.py",
    "packages/pyfly-config-server/tests/test_copies_between_stores.py",
    "tests-integration/test_benchmarks.py",  # builds with Maven, when spring/ has done so
    "tests-integration/",
    "packages/pyfly-config-core/",
)
"""Where the longest files are. They come first, so that no process is left alone with one."""

UNTRACED = ("measured", "packaging", "untraced")
"""Marks of tests that run without the tracing of coverage."""

START_SECONDS = 120.0
"""How long a server may take to start."""

_TRACING = "COVERAGE_PROCESS_CONFIG"  # tells a process to trace itself
_TRACED = pytest.StashKey[tuple[Any, Any]]()  # what traces the test that runs, and its threads

# Moto is not made for threads: of two writes with the same condition it lets both through now and
# then, and a read during a write changes the ETag that the write is answered with.
_MOTO = """
import sys
import threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

application = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()

def one_at_a_time(environ, start_response):
    with turn:
        return application(environ, start_response)

run_simple("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True)
"""

# The tests of the template run where a package was made of it.
collect_ignore_glob = ["packages/*/src/pyfly/config_cli/_backend_template/*"]


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Generator[None, list[Any], list[Any]]:
    """Search only modules for examples that have some; each search imports its module."""
    found = yield
    if file_path.suffix != ".py" or b">>>" in file_path.read_bytes():
        return found
    return [one for one in found if type(one) is pytest.Module]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep thousands of tests out of the garbage collector, which would look at them in vain.

    Every process imports the same modules; the first one traces that.
    """
    gc.disable()
    tracing = sys.gettrace(), threading.gettrace()
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        _trace(None, None)
    try:
        return (yield)
    finally:
        _trace(*tracing)
        gc.freeze()
        gc.set_threshold(20_000)  # a test makes many objects and keeps few
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that start a server process or are not traced; put the longest files first.

    The tests of the packages reach what those of `tests-integration` reach in their own process.
    """
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)
        if item.nodeid.startswith("tests-integration/") and not item.get_closest_marker("traced"):
            item.add_marker(pytest.mark.untraced)
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: next(
            (rank for name, rank in ranks.items() if item.nodeid.startswith(name)), len(ranks)
        )
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Trace tests without a mark in `UNTRACED`, and what tests start that are marked `traced`.

    The tracing of coverage takes as long as the code itself, and is part of every CPU time that is
    measured. The other tests reach the same lines. Between the functions of a test, where only
    pytest works, nothing is traced either.
    """
    tracing = sys.gettrace(), threading.gettrace()
    is_traced = not any(item.get_closest_marker(name) for name in UNTRACED)
    item.session.stash[_TRACED] = tracing if is_traced else (None, None)
    are_processes = item.get_closest_marker("traced") is not None
    with _processes_traced(are_traced=are_processes):
        _trace(None, None)
        try:
            return (yield)
        finally:
            _trace(*tracing)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """Trace a fixture as the test that asked for it first."""
    return (yield from _as_its_test(request.session))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Trace the function of a test."""
    return (yield from _as_its_test(item.session))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Trace the ends of fixtures."""
    return (yield from _as_its_test(item.session))


def _as_its_test(session: pytest.Session) -> Generator[None, object, object]:
    """Let a hook be traced as the test that runs."""
    before = sys.gettrace(), threading.gettrace()
    _trace(*session.stash[_TRACED])
    try:
        return (yield)
    finally:
        _trace(*before)


def _trace(here: Any, in_threads: Any) -> None:
    """Let this thread and those that it starts be traced by functions; not at all by None."""
    threading.settrace(in_threads)
    sys.settrace(here)


@contextlib.contextmanager
def _processes_traced(*, are_traced: bool) -> Generator[None]:
    """Let processes that this one starts be traced as they are, or not for now.

    The start of coverage alone takes as long as that of ten interpreters.
    """
    tracing = None if are_traced else os.environ.pop(_TRACING, None)
    try:
        yield
    finally:
        if tracing is not None:
            os.environ[_TRACING] = tracing


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what a process beside others has traced: it may be killed while it still cleans up."""
    tracing = Coverage.current()
    if tracing is not None and hasattr(session.config, "workerinput"):
        tracing.stop()
        tracing.save()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a directory once in a run, whichever process asks first; return it.

    The maker is given a new directory and fills it. Tests must not change it afterwards. Makers
    that disturb each other name the same `lock`.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def find_or_make(name: str, make: Callable[[Path], object], *, lock: str | None = None) -> Path:
        path, done = shared / f"once-{name}", shared / f"once-{name}.done"
        with (shared / f"once-{lock or name}.lock").open("w", encoding="utf-8") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)  # until the file is closed
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)  # what a maker that failed has left
                path.mkdir()
                make(path)
                done.touch()
        return path

    return find_or_make


def key_usage(*, signs: bool) -> x509.KeyUsage:
    """Return the extension of a certificate for TLS, which may sign others."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


class Certificate:
    """A certificate of a test, in files, which can sign others."""

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        issuer: "Certificate | None" = None,
        days: float = 30,
        organization: str = "",
    ) -> None:
        """Make `NAME.pem` and `NAME.key` for this machine; signed by itself without an issuer."""
        self.private_key = ec.generate_private_key(ec.SECP256R1())
        parts = [(x509.NameOID.ORGANIZATION_NAME, organization), (x509.NameOID.COMMON_NAME, name)]
        self.name = x509.Name([x509.NameAttribute(kind, text) for kind, text in parts if text])
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        now, parent = datetime.now(UTC), issuer or self
        public, signer = self.private_key.public_key(), parent.private_key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(parent.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=365))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(
                x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True
            )
            # Python 3.13 asks for what RFC 5280 asks for
            .add_extension(key_usage(signs=issuer is None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False
            )
        )
        self._certificate = builder.sign(parent.private_key, hashes.SHA256())
        self.path, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self.write_key(self.key)

    @property
    def serial(self) -> int:
        """Its number."""
        return self._certificate.serial_number

    def write_key(self, path: Path, *, password: bytes = b"") -> None:
        """Write the private key, encrypted if there is a password."""
        encryption = (
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption()
        )
        path.write_bytes(
            self.private_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )


@pytest.fixture
def make_certificate(tmp_path: Path) -> Callable[..., Certificate]:
    """Make a certificate in the directory of the test; see `Certificate`."""

    def make(name: str, **options: Any) -> Certificate:
        return Certificate(tmp_path, name, **options)

    return make


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run the coroutines among the tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def times() -> int:
    """How many times as often as usual a test repeats what it does; `scripts/prove writers`."""
    return int(os.environ.get("PYFLY_PROOF_TIMES", "1"))


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return a port of the loopback interface that was free a moment ago.

    The system gives ports above these to connections, which could take it before a server starts.
    """

    def find() -> int:
        while True:
            port = 15_000 + secrets.randbelow(17_000)
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                return port

    return find


@pytest.fixture(scope="session")
def start_moto() -> Callable[[int], subprocess.Popen[bytes]]:
    """Start a moto server, a mock of S3 over a real socket; return it when it listens."""

    def start(port: int) -> subprocess.Popen[bytes]:
        with _processes_traced(are_traced=False):
            process = subprocess.Popen(
                [sys.executable, "-c", _MOTO, str(port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            assert process.poll() is None, "moto ended"
            assert time.monotonic() < deadline, "moto did not start"
            time.sleep(0.05)

    return start


@pytest.fixture(scope="session")
def moto(
    free_port: Callable[[], int], start_moto: Callable[[int], subprocess.Popen[bytes]]
) -> Iterator[str]:
    """The address of a moto server."""
    port = free_port()
    process = start_moto(port)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


_IMPORT_PATH = ("PYTHONPATH", "PYTHONSAFEPATH")


@pytest.fixture(autouse=True)
def _import_path_as_it_was() -> Iterator[None]:
    """Take back what `pyfly.config_cli.main` changes in the process that it runs in."""
    path, variables = [*sys.path], {name: os.environ.get(name) for name in _IMPORT_PATH}
    yield
    sys.path[:] = path
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
