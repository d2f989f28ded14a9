"""Running git: with a deadline, in a process group of its own, without secrets in errors."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyfly.config_core import BackendUnavailableError

_MAX_FILE_BLOCKS: Final = 8 * 1024 * 1024
"""The largest file that git may write, in blocks of 512 bytes: 4 GiB."""
_SHELL: Final = 'ulimit -f "$1" 2>/dev/null; shift; exec nice -n 10 "$@"'
"""A limit that is lower already stays."""
_MAX_REASON: Final = 300
_LINES: Final = 4
_NOISE: Final = ("hint:", "Please make sure", "and the repository exists", "@")
"""Lines of git that say nothing about the reason."""
_MIN_SECONDS: Final = 0.05


class GitError(Exception):
    """A command of git failed, or did not end in time.

    Args:
        reason: The last lines of git's errors, without secrets.
        code: The exit code; `None` if it did not end in time.
        output: What the command had written.
    """

    def __init__(self, reason: str, code: int | None, output: bytes = b"") -> None:
        super().__init__(reason, code, output)
        self.reason = reason
        self.code = code
        self.output = output

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """The git command for one repository."""

    directory: Path
    """The bare repository."""
    environment: Mapping[str, str] = field(repr=False)
    options: tuple[str, ...] = field(default=(), repr=False)
    """Options before the name of the command."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Texts that no error may show."""
    is_polite: bool = False
    """True for commands that may take long: they get less of the processor, and the size of their
    files is limited."""
    running: "RunningProcesses | None" = field(default=None, repr=False)
    """Where the processes are noted, so that they can be ended."""
    inherited: tuple[int, ...] = ()
    """Open files that the processes keep, such as a lock that lasts as long as they run."""

    def run(
        self, *arguments: str, deadline: float, data: bytes = b"", then: Sequence[str] = ()
    ) -> bytes:
        """Return the output of a command.

        Args:
            arguments: The command and its arguments.
            then: A command that runs if the first one succeeds, and whose output is the result.
                While a process starts, all threads of this one wait, so that one start is better
                than two.
            deadline: A time of the monotonic clock. Then the command and its children are killed.
            data: Its input.

        Raises:
            GitError: The command failed, or did not end in time.
            BackendUnavailableError: There is no git, or no process can be started.
        """
        command = self._command(arguments)
        if then:
            script = f"{shlex.join(command)} >&2 && exec {shlex.join(self._command(then))}"
            command = ["/bin/sh", "-c", script]
        return self.run_command(command, name=arguments[0], deadline=deadline, data=data)

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return ["git", f"--git-dir={self.directory}", *self.options, *arguments]

    def run_command(
        self, command: Sequence[str], *, name: str, deadline: float, data: bytes = b""
    ) -> bytes:
        """Return the output of a command of git that needs no repository.

        Args:
            command: The program and its arguments.
            name: The name of the command for errors.
            deadline: As in `run`.
            data: As in `run`.

        Raises:
            GitError: As `run`.
            BackendUnavailableError: As `run`.
        """
        process = self.start(command)
        try:
            seconds = max(_MIN_SECONDS, deadline - time.monotonic())
            output, errors = process.communicate(data, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise GitError(f"git {name} did not end in time", None) from None
        finally:
            kill(process)
            if self.running is not None:
                self.running.discard(process)
        if process.returncode != 0:
            raise GitError(self._reason(name, errors, output), process.returncode, output)
        return output

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own."""
        if self.is_polite:
            command = ["/bin/sh", "-c", _SHELL, "sh", str(_MAX_FILE_BLOCKS), *command]
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell reads the arguments
                command,
                env={**self.environment},
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=self.inherited,
            )
        except FileNotFoundError as error:
            raise BackendUnavailableError(
                "the program 'git' is not installed; install Git 2.30 or newer"
            ) from error
        except OSError as error:
            raise BackendUnavailableError(f"git cannot be started: {error.strerror}") from error
        if self.running is not None and not self.running.add(process):
            kill(process)
            raise BackendUnavailableError("the backend is closed")
        return process

    def _reason(self, command: str, errors: bytes, output: bytes) -> str:
        text = (errors + b"\n" + output).decode(errors="replace")
        for secret in self.secrets:
            text = text.replace(secret, "…")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith(_NOISE)]
        shown = "".join(one if one.isprintable() else " " for one in "; ".join(told[-_LINES:]))
        return f"git {command}: {shown[:_MAX_REASON]}" if shown else f"git {command} failed"


class RunningProcesses:
    """The running processes of a store. Safe for use from several threads."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._closed = False

    def add(self, process: subprocess.Popen[bytes]) -> bool:
        """Note a process; false if the store is closed."""
        with self._guard:
            if self._closed:
                return False
            self._processes.add(process)
            return True

    def discard(self, process: subprocess.Popen[bytes]) -> None:
        """Forget a process that has ended."""
        with self._guard:
            self._processes.discard(process)

    def close(self) -> None:
        """Kill all, and refuse further ones."""
        with self._guard:
            self._closed = True
            for process in self._processes:
                _signal(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, if they have not ended, and close its pipes."""
    if process.poll() is None:
        _signal(process)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # input that nobody has read
                continue
    process.wait()


def _signal(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
