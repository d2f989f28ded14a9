"""What a start costs, from the process to the configuration in hand.

Every measure is a new process that ends when it has the configuration of the examples. The
baseline is a script that knows httpx well: no certificates loaded, no settings of the
environment, one GET, the JSON decoded. Our client also verifies, writes a snapshot, reads it
back, merges, and tells origins. Each client is installed into an environment of its own.

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

from _load import compare, read_options, report
from _processes import EXAMPLES, HERE, free_port, program, running

THEIRS = "config-client==1.5.0"
PACKAGES = HERE.parent / "packages"
OUR_PACKAGES = ("pyfly-config-core", "pyfly-config-client")
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
DOCUMENT = """
from pyfly.config_client import SyncConfigClient
client = SyncConfigClient(server_url="{url}", application="orders", profile="prod,eu")
client.fetch()
print(client.document.decode())
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


def environment_with(directory: Path, *requirements: str | Path) -> str:
    """Install into an environment of its own, as a service has it; return its Python."""
    python = str(directory / "bin" / "python")
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, directory], check=True)
    install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    subprocess.run([*install, *requirements], check=True)
    return python


def main() -> int:
    options = read_options(__doc__, rounds=15)
    port, nowhere = free_port(), free_port()
    url, refused = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{nowhere}"
    with (
        tempfile.TemporaryDirectory() as name,
        running([program("pyfly-config"), "serve", str(EXAMPLES), "--port", str(port)], port, PATH),
    ):
        home = Path(name)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYFLY"))}
        environment["XDG_STATE_HOME"] = str(home / "state")
        ours = environment_with(home / "ours", *(PACKAGES / one for one in OUR_PACKAGES))
        theirs = environment_with(home / "theirs", THEIRS)

        def start(script: str, python: str = ours) -> Callable[[], float]:
            return partial(starts_per_second, python, script.format(url=url, more=""), environment)

        measures = {
            "careful httpx": start(CAREFUL),
            "plain httpx": start(PLAIN),
            "client": start(OURS),
            "config-client": start(OTHER, theirs),
        }
        rates = compare(measures, options)
        baseline = home / "baseline.json"
        document = [ours, "-c", DOCUMENT.format(url=url)]
        baseline.write_bytes(subprocess.check_output(document, env=environment))
        more = f", baseline={str(baseline)!r}"
        scripts = {
            "interpreter": "pass",
            "import pyfly.config_client": "import pyfly.config_client",
            "a client made": OURS.format(url=url, more="").partition("assert")[0],
            "offline": OURS.format(url=url, more=", policy='offline'"),
            "server refused": OURS.format(url=refused, more=more),
        }
        times = {
            name: milliseconds(partial(seconds, ours, script, environment), options.rounds)
            for name, script in scripts.items()
        }
    report(rates, options, unit="starts", milliseconds=times)
    return 0


if __name__ == "__main__":
    sys.exit(main())
