"""A page of a long history is found in the index, whichever database it is and where it begins."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy import event

from pyfly.config_core import ConfigKey
from pyfly.config_server import ConfigSource
from pyfly.config_sql import SqlConfigBackend

pytestmark = pytest.mark.anyio

VERSIONS = 20_002
COPIES = """
INSERT INTO pyfly_config_revision
SELECT n, label, application, profile, saved_at, author, message, properties
FROM pyfly_config_revision, {numbers} WHERE version = 1
"""
NUMBERS = {
    "postgresql": f"generate_series(3, {VERSIONS}) n",
    "mariadb": f"(SELECT seq AS n FROM seq_3_to_{VERSIONS}) numbers",
}


@pytest.fixture(params=["postgres", pytest.param("mariadb", marks=pytest.mark.external)])
async def backend(
    request: pytest.FixtureRequest, anyio_backend: str, open_empty: Any
) -> AsyncGenerator[SqlConfigBackend]:
    """A store with a bundle of very many versions, and another one."""
    server = request.getfixturevalue(request.param)
    async with open_empty(server.database("histories")) as backend:
        for application in ("orders", "billing"):
            await backend.save(ConfigSource(application=application, profile="prod", properties={}))
        dialect = "postgresql" if request.param == "postgres" else "mariadb"
        async with backend._database.engine.begin() as connection:
            await connection.exec_driver_sql(COPIES.format(numbers=NUMBERS[dialect]))
        yield backend


@pytest.mark.parametrize("before", [20_002, 10_000, 200])
async def test_a_page_is_found_where_it_begins(backend: SqlConfigBackend, before: int) -> None:
    sent: list[tuple[str, Any]] = []
    engine = backend._database.engine
    event.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda _, __, statement, values, *___: sent.append((statement, values)),
    )
    rows = await backend.history(
        ConfigKey(application="orders", profile="prod"), before=str(before)
    )
    assert [row.version for row in rows] == [str(before - n) for n in range(1, 101)]
    ((statement, values),) = sent
    async with engine.connect() as connection:
        plan = (await connection.exec_driver_sql(f"EXPLAIN {statement}", values)).all()
    if len(plan[0]) == 1:  # PostgreSQL's is a text
        steps = [str(row[0]).strip() for row in plan]
        assert len(steps) == 3, steps  # nothing is sorted
        assert steps[1].startswith("->  Index Scan Backward using pyfly_config_revision_label"), (
            steps
        )
        assert "(version <= " in steps[2], steps
    else:
        (step,) = plan
        assert (step.type, step.key, step.Extra) == ("range", "label", "Using where"), step
