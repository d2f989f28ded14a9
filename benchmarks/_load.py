"""What the benchmarks share: a free port, a server that is up, a request rate."""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

SECONDS = 3


def need_wrk() -> None:
    """Exit with what to do when the load generator is missing."""
    if shutil.which("wrk") is None:
        print("wrk is needed: apt-get install wrk", file=sys.stderr)
        sys.exit(2)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(port: int, path: str) -> None:
    """Wait until the server answers, twenty seconds at most."""
    for _ in range(400):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


def rate(port: int, path: str) -> float:
    """Return wrk's requests per second over 32 connections."""
    output = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{SECONDS}s", f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None or "Non-2xx" in output:
        raise RuntimeError(output)
    return float(found[1])
