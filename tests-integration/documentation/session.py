"""Runs the commands of a page as a reader would, and compares what they print.

- Blocks with the same title share a terminal, a shell that lives as long as the page.
- Every `$ command` ends with 0, or shows what it printed. What it prints is what the block shows;
  `…` stands for anything in a line, and alone in a line for any number of lines. All dates count
  as equal.
- A command goes on, as a server does, if the next block of its terminal begins with `^C`, which
  ends it, or with what it prints then; and the last command of a terminal with a title may go on.
- A command that only looks, such as `curl`, is repeated until it shows what the page shows, because
  a change arrives within a second or two and not at once.
- Ports are other ones, because those of the page may be in use.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path

from pages import CHECKOUT, Block

SECONDS = 60.0
"""How long a command may take; then the test fails instead of hanging."""

_READERS = ("curl ", "cat ", "tail ", "pyfly-config-client get ")
_PORTS = re.compile(r"(?:127\.0\.0\.1:|localhost:|--port |-p |--bind :)(\d{4,5})\b")
_DATES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_INTERRUPT = "^C"

# Runs what it reads, one command up to each NUL, without the standard input of a terminal.
_SHELL = """
trap : INT
while IFS= read -r -u 9 -d '' command; do
    eval "$command" </dev/null
    printf '\\n%s %d\\n' "$END_OF_COMMAND" $?
done 9<&0
"""


class Terminal:
    """A shell, and everything that was printed in it."""

    def __init__(self, directory: Path, environment: Mapping[str, str], log: Path) -> None:
        self._end = secrets.token_hex(8)
        self._log = log
        self._seen = 0  # of what was printed, in bytes
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                # a run in the background ignores Ctrl-C, and so would all that it starts
                ["env", "--default-signal=INT", "bash", "-c", _SHELL],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**environment, "END_OF_COMMAND": self._end},
                start_new_session=True,
            )
        self.is_busy = False

    def start(self, command: str) -> None:
        """Start a command, after the end of the one before."""
        assert not self.is_busy, f"before '$ {command}' the page has to end what runs, with ^C"
        self._seen = self._log.stat().st_size
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\0")
        self._process.stdin.flush()
        self.is_busy = True

    def wait(self, expected: str, *, may_go_on: bool = False) -> str:
        """Wait for the end of the command; return what differs from what was expected, if any.

        A command that may go on is waited for until it has printed what was expected.
        """
        deadline = time.monotonic() + SECONDS
        while True:
            text = self._log.read_bytes()[self._seen :].decode(errors="replace")
            printed, end, code = text.partition(f"\n{self._end} ")
            if end and "\n" in code:
                self.is_busy = False
                if matches(printed, expected) and (expected or code.strip() == "0"):
                    return ""
                return f"it ended with {code.strip()} and printed\n{printed}"
            if may_go_on and expected and matches(printed, expected + "…\n"):
                self._seen += len(printed.encode())
                return ""
            if time.monotonic() > deadline or self._process.poll() is not None:
                return f"it has not ended and printed\n{printed}"
            time.sleep(0.02)

    def interrupt(self) -> None:
        """End the running command as Ctrl-C does."""
        os.killpg(self._process.pid, signal.SIGINT)
        self.wait("…\n")

    def close(self) -> None:
        """End the shell, and what runs in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(SECONDS / 4)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def matches(printed: str, expected: str) -> bool:
    """True if a command printed what a page shows."""
    pattern = ""
    for line in _lines(expected):
        pieces = [re.escape(piece) for piece in line.split("…")]
        pattern += "(?:[^\n]*\n)*" if line == "…" else "[^\n]*".join(pieces) + "\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed))) is not None


def _lines(text: str) -> Sequence[str]:
    """Return the lines without what may differ: dates, spaces at the end, empty lines around."""
    lines = [line.rstrip() for line in _DATES.sub("a date", text).split("\n")]
    return "\n".join(lines).strip("\n").split("\n") if text.strip() else []


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Return the commands of a session with what each prints; first what is printed before any."""
    command, shown, is_open = "", "", False
    for line in text.splitlines():
        if is_open:
            command += f"\n{line}"
        elif line.startswith("$ ") or line == _INTERRUPT:
            yield command, shown
            command, shown = line.removeprefix("$ "), ""
        else:
            shown += f"{line}\n"
            continue
        is_open = command.endswith("\\")
    yield command, shown


@contextlib.contextmanager
def _terminals(
    directory: Path, environment: Mapping[str, str]
) -> Generator[Callable[..., Terminal]]:
    opened: dict[str, Terminal] = {}

    def find_or_open(title: str) -> Terminal:
        if title not in opened:
            log = directory.with_name(f"terminal-{len(opened)}.txt")
            opened[title] = Terminal(directory, environment, log)
        return opened[title]

    try:
        yield find_or_open
    finally:
        for terminal in opened.values():
            terminal.close()


def run_page(
    blocks: Sequence[Block], directory: Path, *, programs: Path, free_port: Callable[[], int]
) -> None:
    """Run the sessions of a page from the top, in an empty directory with an empty home.

    Programs are found in `programs` first. A page that refers to `docs/examples` finds a copy.
    """
    ports = {port: str(free_port()) for block in blocks for port in _PORTS.findall(block.text)}
    ports.setdefault("8888", str(free_port()))

    def with_ports(text: str) -> str:
        return re.sub(r"\b\d{4,5}\b", lambda match: ports.get(match[0], match[0]), text)

    home = directory.with_name("home")
    home.mkdir()
    environment = {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "USER": "you",
        "PYTHONUNBUFFERED": "1",
        "PYFLY_CONFIG_SERVER_PORT": ports["8888"],
    }
    if any("docs/examples" in block.text + block.title for block in blocks):
        _copy_examples(directory, with_ports)
    sessions = [block for block in blocks if block.treatment == "session"]
    with _terminals(directory, environment) as terminal:
        for block in blocks:
            match block.treatment:
                case "session":
                    later = sessions[sessions.index(block) + 1 :]
                    may_go_on = _may_go_on(block, later)
                    _run_session(with_ports, block, terminal(block.title), may_go_on=may_go_on)
                case "file":
                    file = directory / block.title
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(with_ports(block.text), encoding="utf-8")
                case _:
                    pass


def _copy_examples(directory: Path, with_ports: Callable[[str], str]) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "pyfly-config-example-backend", "target")
    target = directory / "docs" / "examples"
    shutil.copytree(CHECKOUT / "docs" / "examples", target, ignore=ignored)
    for file in target.rglob("*.*"):
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if (changed := with_ports(text)) != text:
            file.write_text(changed, encoding="utf-8")


def _may_go_on(block: Block, later: Sequence[Block]) -> bool:
    """True if the last command of a block need not have ended at the end of the block."""
    following = next((other for other in later if other.title == block.title), None)
    return bool(block.title) if following is None else not following.text.startswith("$ ")


def _run_session(
    with_ports: Callable[[str], str], block: Block, terminal: Terminal, *, may_go_on: bool
) -> None:
    (_, first), *commands = commands_of(with_ports(block.text))
    if first:
        assert terminal.is_busy, f"{block}: there is output before any command"
        problem = terminal.wait(first, may_go_on=True)
        assert not problem, f"{block}: expected\n{first}\nbut {problem}"
    for number, (command, shown) in enumerate(commands, 1):
        if command == _INTERRUPT:
            terminal.interrupt()
            continue
        goes_on = may_go_on and number == len(commands)
        deadline = time.monotonic() + SECONDS
        while True:
            terminal.start(command)
            problem = terminal.wait(shown, may_go_on=goes_on)
            if not problem or not command.startswith(_READERS) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert not problem, f"{block}: $ {command}\nexpected\n{shown}\nbut {problem}"
