"""Real servers pass the suite of every store."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pyfly.config_server.testing import (
    BackendConformance,
    BaseBundlesConformance,
    BatchFetchConformance,
    ChangeHintsConformance,
    ChangesConformance,
    CheckConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    HistoryConformance,
    KeysConformance,
    LabelsConformance,
    SnapshotsConformance,
    UpgradeConformance,
)
from pyfly.config_sql import SqlConfigBackend


class SqlConformance(
    BackendConformance,
    BaseBundlesConformance,
    KeysConformance,
    LabelsConformance,
    BatchFetchConformance,
    SnapshotsConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    HistoryConformance,
    ChangesConformance,
    UpgradeConformance,
    CheckConformance,
    CloseConformance,
):
    """The abilities of every database."""

    url: str

    async def open_another(self) -> SqlConfigBackend:
        return SqlConfigBackend.from_url(self.url)


class TestPostgres(SqlConformance, ChangeHintsConformance):
    @pytest.fixture
    async def backend(
        self, anyio_backend: str, postgres: Any, open_empty: Any
    ) -> AsyncGenerator[SqlConfigBackend]:
        self.url = postgres.database("conformance")
        async with open_empty(self.url) as backend:
            yield backend


@pytest.mark.untraced
@pytest.mark.external
class TestPostgresOverTcpAndTls(SqlConformance, ChangeHintsConformance):
    @pytest.fixture
    async def backend(
        self, anyio_backend: str, tcp_postgres: Any, certificates: Any, open_empty: Any
    ) -> AsyncGenerator[SqlConfigBackend]:
        url = tcp_postgres.database("conformance")
        trust = f"sslmode=verify-full&sslrootcert={certificates.authority}"
        self.url = f"{url}?{trust}"
        async with open_empty(self.url) as backend:
            yield backend


@pytest.mark.untraced
@pytest.mark.external
class TestPostgresBehindPgbouncer(SqlConformance):
    @pytest.fixture
    async def backend(
        self, anyio_backend: str, pgbouncer: Any, open_empty: Any
    ) -> AsyncGenerator[SqlConfigBackend]:
        self.url = f"{pgbouncer.database('pooled')}?pgbouncer=true"
        async with open_empty(self.url) as backend:
            yield backend


@pytest.mark.external
class TestMariadb(SqlConformance):
    @pytest.fixture
    async def backend(
        self, anyio_backend: str, mariadb: Any, open_empty: Any
    ) -> AsyncGenerator[SqlConfigBackend]:
        self.url = mariadb.database("conformance")
        async with open_empty(self.url) as backend:
            yield backend
