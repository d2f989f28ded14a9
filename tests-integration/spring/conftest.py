"""Spring's own programs, built with Maven and run beside ours."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyfly.config_server import KeyStoreFile
from reference_corpus import LOCATIONS

HERE = Path(__file__).parent
BUILD_SECONDS = 600
START_SECONDS = 300
GENERATIONS = {
    "Boot 4.0": {"boot.version": "4.0.8", "cloud.version": "2025.1.4"},
    "Boot 3.5": {"boot.version": "3.5.16", "cloud.version": "2025.0.1"},
}


@pytest.fixture(scope="session")
def jar(once: Callable[..., Path]) -> Callable[..., Path]:
    """Build a Maven project with properties, of this directory if no other; return its program."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        reason = f"needs a JDK 17 and Maven; missing: {', '.join(missing)}"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)

    def build(name: str, *, root: Path = HERE, **properties: str) -> Path:
        chosen = [f"-D{key}={value}" for key, value in properties.items()]

        def make(directory: Path) -> None:
            project = directory / name
            shutil.copytree(root / name, project, ignore=shutil.ignore_patterns("target"))
            done = subprocess.run(
                ["mvn", "--quiet", "--batch-mode", "-DskipTests", *chosen, "package"],
                cwd=project,
                capture_output=True,
                encoding="utf-8",
                timeout=BUILD_SECONDS,
                check=False,
                env={**os.environ, "MAVEN_OPTS": "-XX:TieredStopAtLevel=1"},  # half the work
            )
            assert done.returncode == 0, done.stdout + done.stderr

        # Maven writes to one directory of libraries, so that builds run one after the other.
        directory = once("-".join([name, *properties.values()]), make, lock="maven")
        return directory / name / "target" / f"{name}-1.jar"

    return build


@pytest.fixture(scope="session", params=GENERATIONS)
def client(request: pytest.FixtureRequest, jar: Callable[..., Path]) -> Path:
    """A Spring Boot service of the current generation, and of the one before."""
    return jar("client", **GENERATIONS[request.param])


@pytest.fixture(scope="session")
def run_jar(
    free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """Run a program with a web server; return its address when it answers at `path`."""
    started: list[subprocess.Popen[bytes]] = []

    def run(program: Path, *arguments: str, path: str) -> str:
        port = free_port()
        log = tmp_path_factory.mktemp("java") / "output.txt"
        options = ["-XX:TieredStopAtLevel=1"]  # half the work of a start
        command = ["java", *options, "-jar", str(program), f"--server.port={port}", *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(url + path, timeout=5).close()
            except urllib.error.HTTPError:
                return url
            except OSError:
                time.sleep(0.1)
            else:
                return url
        raise RuntimeError(log.read_text(encoding="utf-8", errors="replace"))

    yield run
    for process in started:
        process.terminate()
    for process in started:
        process.wait(30)


@pytest.fixture(scope="session")
def stronger_keys(key_store: KeyStoreFile) -> KeyStoreFile:
    """The key store with the settings for RSA that are not the defaults."""
    return replace(key_store, algorithm="OAEP", strong=True, salt="pepper")


@pytest.fixture(scope="session")
def reference(
    jar: Callable[..., Path],
    run_jar: Callable[..., str],
    stronger_keys: KeyStoreFile,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path]:
    """Return the address of a Spring Cloud Config server, and a directory of its own.

    Each directory in that is what the server serves under the label of its name.
    """
    base = tmp_path_factory.mktemp("repositories")
    native = "--spring.cloud.config.server.native"
    key_store = "--encrypt.key-store"
    url = run_jar(
        jar("reference-server"),
        "--spring.profiles.active=native",
        f"{native}.search-locations={base.as_uri()}/{{label}}/",
        f"{native}.add-label-locations=false",
        f"{native}.default-label=main",
        f"{key_store}.location={stronger_keys.location.as_uri()}",
        f"{key_store}.password={stronger_keys.password}",
        f"{key_store}.alias={stronger_keys.alias}",
        f"--encrypt.rsa.algorithm={stronger_keys.algorithm}",
        "--encrypt.rsa.strong=true",
        f"--encrypt.rsa.salt={stronger_keys.salt}",
        path="/orders/default",
    )
    return url, base


@pytest.fixture(scope="session")
def located_reference(
    jar: Callable[..., Path], run_jar: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """Return the address of a Spring Cloud Config server with search locations, and a directory.

    Each directory in that is what the server serves under the label of its name.
    """
    base = tmp_path_factory.mktemp("located")
    native = "--spring.cloud.config.server.native"
    root = f"{base.as_uri()}/{{label}}/"
    places = ",".join(f"{root}{place}/" if place else root for place in LOCATIONS)
    url = run_jar(
        jar("reference-server"),
        "--spring.profiles.active=native",
        f"{native}.search-locations={places}",
        f"{native}.add-label-locations=false",
        f"{native}.default-label=main",
        path="/orders/default",
    )
    return url, base
