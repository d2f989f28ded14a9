"""One worker process as its supervisor sees it."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pyfly.config_cli._serving.limits import KILL_SECONDS
from pyfly.config_cli._serving.worker import WorkerOrder


@dataclass(frozen=True, eq=False, kw_only=True)
class WorkerProcess:
    """A worker process and the channel to it; the end of the channel is the end of the worker."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, order: WorkerOrder) -> Self:
        """Start a worker and send it its order.

        Raises:
            OSError: No process can be started.
        """
        own, inherited = socket.socketpair()
        isolated = "-I" if sys.flags.isolated else "-P"  # never the current directory
        with contextlib.ExitStack() as unless_started, inherited:
            unless_started.callback(own.close)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, isolated, "-m", "pyfly.config_cli._serving.child"),
                stdin=inherited.fileno(),
                pass_fds=order.listeners,
                process_group=0,  # the terminal's signals are for the supervisor
            )
            unless_started.pop_all()
        reader, writer = await asyncio.open_connection(sock=own)
        worker = cls(process=process, reader=reader, writer=writer)
        worker.send(order.encode())
        return worker

    def send(self, line: bytes) -> None:
        """Send a line to the worker."""
        self.writer.write(line.rstrip(b"\n") + b"\n")

    async def read_line(self) -> str:
        """Return the next line from the worker; empty when it has ended."""
        try:
            return (await self.reader.readline()).decode().strip()
        except (ConnectionError, ValueError):
            return ""

    async def ended(self) -> str:
        """Wait for the end of the process; return how it ended."""
        code = await self.process.wait()
        self.writer.close()
        if code >= 0:
            return f"with exit code {code}"
        return f"by {signal.Signals(-code).name}"


async def end_workers(workers: Sequence[WorkerProcess], *, after: float) -> None:
    """Wait for the end of workers; after `after` seconds send SIGTERM, later SIGKILL."""
    if not workers:
        return
    waiting = [asyncio.create_task(worker.ended()) for worker in workers]
    for step, seconds in ((signal.SIGTERM, after), (signal.SIGKILL, KILL_SECONDS - 0.5)):
        _, pending = await asyncio.wait(waiting, timeout=seconds)
        if not pending:
            return
        for worker in workers:
            if worker.process.returncode is None:
                _signal(worker.process.pid, step)
    await asyncio.wait(waiting)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
