"""What the tests of every package share."""

import fcntl
import gc
import os
import shutil
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

# Time fails no test, because another process may have the machine. The rest is what Hypothesis
# has chosen: in CI the same examples in every run.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

SERVERS = frozenset(
    {"start_server", "moto", "rgw", "s3", "postgres", "tcp_postgres", "pgbouncer", "mariadb"}
    | {"open_empty", "run_jar"}
)
"""Fixtures that start a server process."""

LONGEST = (
    "tests-integration/outages/",
    "tests-integration/spring/",
    "packages/pyfly-config-server/tests/test_copied_documents.py",
    "packages/pyfly-config-server/tests/test_copies_between_stores.py",
    "tests-integration/",
)
"""Where the longest files are. They come first, so that no process is left alone with one."""

UNTRACED = ("measured", "packaging")
"""Marks of tests that run without the tracing of coverage, as do the processes that they start."""

_TRACING = "COVERAGE_PROCESS_CONFIG"  # tells a process to trace itself

# The tests of the template run where a package was made of it.
collect_ignore_glob = ["packages/*/src/pyfly/config_cli/_backend_template/*"]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep thousands of tests out of the garbage collector, which would look at them in vain."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that start a server process, and put the longest files first."""
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: next(
            (rank for name, rank in ranks.items() if item.nodeid.startswith(name)), len(ranks)
        )
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Trace only tests without a mark in `UNTRACED`, and the processes that those start.

    The tracing of coverage takes as long as the code itself, and is part of every CPU time that is
    measured. The other tests reach the same lines.
    """
    if not any(item.get_closest_marker(name) for name in UNTRACED):
        return (yield)
    trace, trace_of_threads = sys.gettrace(), threading.gettrace()
    of_processes = os.environ.pop(_TRACING, None)
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        threading.settrace(trace_of_threads)
        sys.settrace(trace)
        if of_processes is not None:
            os.environ[_TRACING] = of_processes


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what a process beside others has traced: it may be killed while it still cleans up."""
    tracing = Coverage.current()
    if tracing is not None and hasattr(session.config, "workerinput"):
        tracing.stop()
        tracing.save()


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a directory once in a run, whichever process asks first; return it.

    The maker is given a new directory and fills it. Tests must not change it afterwards. Makers
    that disturb each other name the same `lock`.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def find_or_make(name: str, make: Callable[[Path], object], *, lock: str | None = None) -> Path:
        path, done = shared / f"once-{name}", shared / f"once-{name}.done"
        with (shared / f"once-{lock or name}.lock").open("w", encoding="utf-8") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)  # until the file is closed
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)  # what a maker that failed has left
                path.mkdir()
                make(path)
                done.touch()
        return path

    return find_or_make


@pytest.fixture(scope="session")
def times() -> int:
    """How many times as often as usual a test repeats what it does; `scripts/prove writers`."""
    return int(os.environ.get("PYFLY_PROOF_TIMES", "1"))


_IMPORT_PATH = ("PYTHONPATH", "PYTHONSAFEPATH")


@pytest.fixture(autouse=True)
def _import_path_as_it_was() -> Iterator[None]:
    """Take back what `pyfly.config_cli.main` changes in the process that it runs in."""
    path, variables = [*sys.path], {name: os.environ.get(name) for name in _IMPORT_PATH}
    yield
    sys.path[:] = path
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
