"""What a start costs, from the process to the configuration in hand.

Every measure is a new process that ends when it has the configuration of the examples. The
baseline is a script that knows httpx well: no certificates loaded, no settings of the
environment, one GET, the JSON decoded. Our client also verifies, writes a snapshot, reads it
back, merges, and tells origins. `config-client` comes into an environment of its own.

The milliseconds beside them are for starts without a server, and for importing alone, with the
bare interpreter to compare with.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from _load import EXAMPLES, compare, free_port, program, read_options, report, running

THEIRS = "config-client==1.5.0"
PATH = "/config/orders/prod,eu"
CAREFUL = """
import ssl, httpx
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
with httpx.Client(verify=context, trust_env=False) as client:
    assert client.get("{url}/config/orders/prod,eu").json()["propertySources"]
"""
PLAIN = """
import httpx
assert httpx.get("{url}/config/orders/prod,eu").json()["propertySources"]
"""
OURS = """
from pyfly.config_client import SyncConfigClient
client = SyncConfigClient(server_url="{url}", application="orders", profile="prod,eu"{more})
assert client.fetch()["db.url"]
"""
OTHER = """
from config.spring import ConfigClient
client = ConfigClient(address="{url}/config", app_name="orders", profile="prod,eu", label="main")
client.get_config()
assert client.config["db"]["url"]
"""


def seconds(python: str, script: str, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([python, "-c", script], env=environment, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def starts_per_second(python: str, script: str, environment: dict[str, str]) -> float:
    return 1 / seconds(python, script, environment)


def milliseconds(run: Callable[[], float], rounds: int) -> list[float]:
    run()
    return [1000 * run() for _ in range(rounds)]


def other_python(directory: str) -> str:
    """Install the other client into an environment of its own."""
    python = str(Path(directory) / "bin" / "python")
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, directory], check=True)
    install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    subprocess.run([*install, THEIRS], check=True)
    return python


def main() -> int:
    options = read_options(__doc__, rounds=15)
    port, nowhere = free_port(), free_port()
    url, refused = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{nowhere}"
    ours = OURS.format(url=url, more="")
    with (
        tempfile.TemporaryDirectory() as state,
        tempfile.TemporaryDirectory() as theirs,
        running([program("pyfly-config"), "serve", str(EXAMPLES), "--port", str(port)], port, PATH),
    ):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYFLY"))}
        environment["XDG_STATE_HOME"] = state

        def start(script: str) -> Callable[[], float]:
            return partial(starts_per_second, sys.executable, script, environment)

        measures = {
            "careful httpx": start(CAREFUL.format(url=url)),
            "plain httpx": start(PLAIN.format(url=url)),
            "client": start(ours),
            "config-client": partial(
                starts_per_second, other_python(theirs), OTHER.format(url=url), environment
            ),
        }
        rates = compare(measures, options)
        baseline = Path(state) / "baseline.json"
        command = [program("pyfly-config-client"), "get", "--document", "--url", url]
        with baseline.open("wb") as file:
            names = ["--application", "orders", "--profile", "prod,eu"]
            subprocess.run([*command, *names], env=environment, stdout=file, check=True)
        more = f", baseline={str(baseline)!r}"
        scripts = {
            "interpreter": "pass",
            "import pyfly.config_client": "import pyfly.config_client",
            "a client made": OURS.format(url=url, more="").partition("assert")[0],
            "offline": OURS.format(url=url, more=", policy='offline'"),
            "server refused": OURS.format(url=refused, more=more),
        }
        times = {
            name: milliseconds(
                partial(seconds, sys.executable, script, environment), options.rounds
            )
            for name, script in scripts.items()
        }
    report(rates, options, unit="starts", milliseconds=times)
    return 0


if __name__ == "__main__":
    sys.exit(main())
