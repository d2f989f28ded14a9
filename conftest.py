"""What the tests of every package share."""

import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

SERVERS = frozenset(
    {"start_server", "moto", "rgw", "s3", "postgres", "tcp_postgres", "pgbouncer", "mariadb"}
    | {"open_empty", "run_jar"}
)
"""Fixtures that start a server process."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark tests that start a server process, so that `scripts/test --quick` leaves them out."""
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


@pytest.fixture(autouse=True)
def without_tracing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Measure CPU time of the code alone: coverage traces every line, which costs several times it.

    It applies to tests marked `measured`.
    """
    if request.node.get_closest_marker("measured") is None:
        yield
        return
    trace, trace_of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(trace_of_threads)
        sys.settrace(trace)
