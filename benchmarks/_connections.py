"""Connections of watchers: many that wait, many that go away, and all when the server ends."""

import argparse
import asyncio
import contextlib
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from _fleet import HOST, Fleet, run
from _load import percentile
from _processes import (
    ask,
    descriptors,
    free_port,
    rate,
    resident,
    running,
    serve,
    settle,
)
from _publisher import connect, publish
from _publishes import PATIENCE, Figures, paths_for
from _stores import BEARER, LIVE, SETTINGS, TOKEN, path_of, serving, serving_app, write_files
from pyfly.config_litestar import create_app
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    InMemoryConfigBackend,
    SharedCredential,
)

TASKS = "/_tasks"
WARM_CYCLES = 2_000
TOGETHER = 200
RESET = struct.pack("ii", 1, 0)


def measure_idle(options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Return the rate of plain reads without watchers and beside many, in turns."""
    rounds: list[Figures] = []
    with serving(options.store, 1) as server:
        for _ in range(options.rounds):
            settle(server.pid)
            before = resident(server.pid)
            alone = rate(server.port, path_of(0), seconds=options.wrk, headers=BEARER)
            fleet, beside, held = run(_idle(server.port, server.pid, options))
            rounds.append(
                {
                    "watchers": options.idle,
                    "alone_per_second": alone,
                    "beside_per_second": beside,
                    "ratio": beside / alone,
                    "kb_per_watcher": (held - before) / options.idle,
                    "wrong": fleet.refused + fleet.cut,
                }
            )
    return {f"{options.store}": rounds}


async def _idle(port: int, pid: int, options: argparse.Namespace) -> tuple[Fleet, float, float]:
    fleet = Fleet(port, paths_for(options.idle, 1), headers=BEARER)
    await fleet.connect()
    settle(pid)
    held = resident(pid)
    beside = await asyncio.to_thread(rate, port, path_of(0), seconds=options.wrk, headers=BEARER)
    missing = options.idle - fleet.held
    fleet.close()
    await asyncio.sleep(0)
    fleet.refused += missing
    return fleet, beside, held


# --- clients that go away -------------------------------------------------------------


def make_counted() -> Any:
    """Serve one document from memory; say at a path of its own how many tasks there are."""
    backend = InMemoryConfigBackend()
    asyncio.run(backend.save(ConfigSource(application="app00000", profile="prod", properties={})))
    app = create_app(ConfigServer(backend), auth=SharedCredential.bearer(TOKEN))
    answer = app.asgi_handler

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != TASKS:
            await answer(scope, receive, send)
            return
        body = b"%d" % len(asyncio.all_tasks())
        fields = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    app.asgi_handler = counted
    return app


def measure_aborts(options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Return what is left of requests whose clients went away while they were held."""
    with serving_app("_connections:make_counted") as server:
        port, pid = server.port, server.pid
        etag = ask(port, path_of(0), headers=BEARER).headers["etag"]
        fields = {"Host": HOST, **BEARER, "Prefer": "wait=290", "If-None-Match": etag}
        lines = [f"GET {path_of(0)} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
        request = "\r\n".join(lines).encode()
        abort_all(port, request, min(WARM_CYCLES, options.aborts))
        settle(pid)
        tasks, files, memory = _tasks(port), descriptors(pid), resident(pid)
        began = time.perf_counter()
        abort_all(port, request, options.aborts)
        seconds = time.perf_counter() - began
        deadline = time.monotonic() + PATIENCE
        tasks_more, files_more = _tasks(port) - tasks, descriptors(pid) - files
        while time.monotonic() < deadline and (tasks_more > 0 or files_more > 0):
            time.sleep(0.1)
            files_more = descriptors(pid) - files  # before a question opens one more
            tasks_more = _tasks(port) - tasks
        back = time.perf_counter() - began - seconds
        figures: Figures = {
            "cycles": options.aborts,
            "cycles_per_second": options.aborts / seconds,
            "seconds_until_back": back,
            "tasks_more": tasks_more,
            "descriptors_more": files_more,
            "kb_more": resident(pid) - memory,
            "wrong": (tasks_more > 0) + (files_more > 0),
        }
    return {"memory": [figures]}


def _tasks(port: int) -> int:
    return int(ask(port, TASKS).body)


def abort_all(port: int, request: bytes, cycles: int) -> None:
    """Make so many requests that are held, and go away; every second one without a goodbye."""
    for first in range(0, cycles, TOGETHER):
        count = min(TOGETHER, cycles - first)
        connections = [socket.create_connection((HOST, port)) for _ in range(count)]
        for connection in connections:
            connection.sendall(request)
        ask(port, path_of(0), headers=BEARER)  # asked later, so these are held when it is answered
        for number, connection in enumerate(connections):
            if number % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()


# --- the end of the server ------------------------------------------------------------


def measure_stop(options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Return how a server with watchers ends, and how they go on at a second one."""
    rounds: list[Figures] = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            write_files(Path(directory), 1)
            ports = free_port(), free_port()
            first, _ = (
                stack.enter_context(running(serve(port, directory), port, LIVE, variables=SETTINGS))
                for port in ports
            )
            rounds.append(run(_stop(first, *ports, options)))
    return {"files": rounds}


async def _stop(
    process: "subprocess.Popen[bytes]", port: int, other: int, options: argparse.Namespace
) -> Figures:
    fleet = Fleet(port, paths_for(options.watchers, 1), headers=BEARER)
    await fleet.connect()
    settle(process.pid)
    fleet.port = other
    began = time.perf_counter()
    process.terminate()

    def wait() -> float:
        process.wait(PATIENCE)
        return time.perf_counter() - began

    ended = asyncio.ensure_future(asyncio.to_thread(wait))
    fleet.expect(1)
    writer = await connect(other)
    await publish(writer, 1, BEARER)
    missed = await fleet.informed(PATIENCE)
    took = await ended
    back = [moment - began for moment in fleet.times]
    figures: Figures = {
        "watchers": options.watchers,
        "exit_seconds": took,
        "answers_with_close": fleet.closing,
        "without_answer": fleet.cut,
        "current_p50_seconds": percentile(back, 0.5),
        "current_max_seconds": max(back, default=0),
        "missed": missed,
        "wrong": fleet.refused + fleet.cut + fleet.backward + (process.returncode != 0),
    }
    fleet.close()
    return figures
