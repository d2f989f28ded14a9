"""What the start of a server costs: `pyfly-config serve` with 10,000 bundles in several stores.

A start is measured from the start of the process to its first answer, a small document; the time
until the report is complete is told, too. The baseline is a process that imports what the server
is built on, Litestar and uvicorn, and ends. All modules are compiled before.

The bucket is that of `scripts/bench s3`: without a store in AWS_ENDPOINT_URL_S3 it is in a moto
server, whose own work is most of the time of a listing.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import list as files
import s3
import sql

from _load import compare, read_options, report
from _processes import free_port, program
from pyfly.config_cli import main as command

BUNDLES = 10_000
PATIENCE = 60
PAUSE = 0.002
BASELINE = [sys.executable, "-c", "import litestar, uvicorn"]


def environment() -> dict[str, str]:
    """Return the environment of a process that may keep compiled modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def bare() -> float:
    began = time.perf_counter()
    subprocess.run(BASELINE, check=True, env=environment())
    return 1 / (time.perf_counter() - began)


def start(store: str, application: str, seconds: list[float]) -> float:
    """Return how many such starts fit in a second; note when the report was complete."""
    port = free_port()
    line = [program("pyfly-config"), "serve", store, "--port", str(port)]
    began = time.perf_counter()
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=environment()) as process:
        try:
            document = first_answer(f"http://127.0.0.1:{port}/config/{application}/prod")
            answered = time.perf_counter() - began
            if not document["propertySources"]:
                raise RuntimeError(f"{store} holds no such bundle")
            await_report(process)
            seconds.append(time.perf_counter() - began)
        finally:
            process.terminate()
    return 1 / answered


def first_answer(url: str) -> Mapping[str, list[object]]:
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as response:  # noqa: S310 - http
                document: Mapping[str, list[object]] = json.load(response)
                return document
        except OSError:
            if time.monotonic() - began > PATIENCE:
                raise
            time.sleep(PAUSE)


def await_report(process: subprocess.Popen[bytes]) -> None:
    """Read the report to its last line."""
    for line in process.stdout or ():
        if line.startswith(b"  bundles") and int(line.split()[1]) < BUNDLES:
            raise RuntimeError(line.decode())
        if line.startswith(b"Try:"):
            return
    raise RuntimeError("there was no report")


def main() -> int:
    options = read_options(__doc__)
    with tempfile.TemporaryDirectory() as path, contextlib.ExitStack() as stack:
        directory, database = Path(path, "files"), Path(path, "store.db")
        files.fill(directory)
        with contextlib.redirect_stdout(sys.stderr):
            command(["db", "upgrade", f"sqlite:///{database}"])
        sql.fill(database, BUNDLES)
        endpoint = f"http://127.0.0.1:{stack.enter_context(s3.store())}"
        s3.fill(s3.client_of(int(endpoint.rpartition(":")[2])))
        stores = {
            "files": (str(directory), "service0"),
            "sqlite": (f"sqlite:///{database}", "app0000001"),
            "s3": (f"s3://{s3.BUCKET}/many?endpoint_url={endpoint}&region=us-east-1", "other00001"),
        }
        reported: dict[str, list[float]] = {name: [] for name in stores}
        measures: dict[str, Callable[[], float]] = {"imports": bare}
        for name, store in stores.items():
            measures[name] = partial(start, *store, reported[name])
        rates = compare(measures, options)
    seconds = {name: [1 / rate for rate in values] for name, values in rates.items()}
    report(rates, options, unit="starts", seconds=seconds, seconds_to_the_report=reported)
    return 0


if __name__ == "__main__":
    sys.exit(main())
