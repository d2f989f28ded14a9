"""What the tests of every package share."""

import sys
import threading
from collections.abc import Iterator

import pytest


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
