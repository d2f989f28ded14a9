"""One request, one budget: the most expensive requests of each kind, measured in the server.

Each row is one request to a quiet server. CPU time and memory of the server process are measured,
never wall time, and a row fails at three times what is promised. `scripts/bench worst` prints the
figures.
"""

import pytest

from .cases import ATTACKS, FILE_READS, HISTORIES, LEGAL, Case
from .metered import MeteredServer

_TOLERANCE = 3.0


def check(server: MeteredServer, case: Case) -> None:
    status, cost = server.spend(case)
    assert status in case.statuses
    assert cost.loop_seconds <= _TOLERANCE * case.budget.loop_seconds
    assert cost.cpu_seconds <= _TOLERANCE * case.budget.cpu_seconds
    assert cost.megabytes <= _TOLERANCE * case.budget.megabytes


@pytest.mark.parametrize("case", LEGAL, ids=str)
def test_the_largest_bundles_in_every_store(metered_store: MeteredServer, case: Case) -> None:
    check(metered_store, case)


@pytest.mark.parametrize("case", FILE_READS, ids=str)
def test_the_worst_files(metered_files: MeteredServer, case: Case) -> None:
    check(metered_files, case)


@pytest.mark.parametrize("case", HISTORIES, ids=str)
def test_a_history_of_very_many_versions(metered_history: MeteredServer, case: Case) -> None:
    check(metered_history, case)


@pytest.mark.parametrize("case", ATTACKS, ids=str)
def test_requests_that_nobody_should_send(metered_files: MeteredServer, case: Case) -> None:
    check(metered_files, case)
