"""Spring's own programs, built with Maven and run beside ours."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD_SECONDS = 600
START_SECONDS = 60


@pytest.fixture(scope="session")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build one of the Maven projects beside this file; return its program."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        reason = f"needs a JDK 17 and Maven; missing: {', '.join(missing)}"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)

    def build(name: str) -> Path:
        project = tmp_path_factory.mktemp("maven") / name
        shutil.copytree(HERE / name, project, ignore=shutil.ignore_patterns("target"))
        done = subprocess.run(
            ["mvn", "--quiet", "--batch-mode", "-DskipTests", "package"],
            cwd=project,
            capture_output=True,
            encoding="utf-8",
            timeout=BUILD_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return project / "target" / f"{name}-1.jar"

    return build


@pytest.fixture(scope="session")
def run_jar(
    jar: Callable[[str], Path],
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., str]]:
    """Run a program with a web server; return its address when it answers at `path`."""
    started: list[subprocess.Popen[bytes]] = []

    def run(name: str, *arguments: str, path: str) -> str:
        port = free_port()
        log = tmp_path_factory.mktemp("java") / "output.txt"
        command = ["java", "-jar", str(jar(name)), f"--server.port={port}", *arguments]
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
