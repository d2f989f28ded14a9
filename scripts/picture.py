"""Draws docs/images/terminal.svg: commands of the README, and what they really print.

Without an argument it writes the picture; with `--print` it prints it, which a test compares.
"""

import io
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

CHECKOUT = Path(__file__).resolve().parent.parent
PICTURE = CHECKOUT / "docs" / "images" / "terminal.svg"
SHOWN = "127.0.0.1:8888"
WIDTH = 112

SERVE = "pyfly-config serve docs/examples/config"
COMMANDS = (
    f"curl http://{SHOWN}/config/orders-prod.yml",
    (
        f"pyfly-config-client get --url http://{SHOWN} "
        "--application orders --profile prod --explain db.pool-size"
    ),
    "pyfly-config diff docs/examples/config orders dev --to-profile prod",
)


def environment() -> dict[str, str]:
    """Return variables without settings of ours, and with the commands of this environment."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_")}
    commands = Path(sys.executable).parent
    return {**kept, "PATH": f"{commands}:{kept['PATH']}", "PYFLY_CONFIG_SNAPSHOT_DIR": "off"}


def run(command: str, address: str) -> str:
    """Return what a command prints, on both streams."""
    words = command.replace(SHOWN, address).split()
    quiet = ["--silent"] if words[0] == "curl" else []
    done = subprocess.run(  # noqa: S603 - ours
        [*words, *quiet],
        cwd=CHECKOUT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


@contextmanager
def served() -> Iterator[tuple[str, str]]:
    """Serve the examples; yield the address, and what the server has printed at its start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603 - ours
        [*SERVE.split(), "--port", str(port)],
        cwd=CHECKOUT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        yield f"127.0.0.1:{port}", report_of(process)
    finally:
        process.terminate()
        process.wait()


def report_of(process: subprocess.Popen[str]) -> str:
    """Return the lines of the report at the start; its last line tells what to try."""
    lines: list[str] = []
    for line in process.stdout or ():
        lines.append(line)
        if line.startswith("Try: "):
            return "".join(lines)
    raise RuntimeError(f"the server did not start: {lines}")


def draw() -> str:
    """Return the picture: fonts are those of the reader, none is fetched."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    with served() as (address, report):
        parts = [(SERVE, report), *((command, run(command, address)) for command in COMMANDS)]
    for number, (command, output) in enumerate(parts):
        if number:
            console.print()
        console.print(Text.assemble(("$ ", "green"), (command, "bold")))
        console.print(Text(output.replace(address, SHOWN).rstrip("\n")))
    svg = console.export_svg(title="pyfly-config", unique_id="terminal")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


def main() -> int:
    """Write or print the picture."""
    svg = draw()
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(svg)
    else:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(svg, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
