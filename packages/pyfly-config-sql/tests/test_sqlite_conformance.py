"""SQLite passes the suite of every store."""

import pytest

from pyfly.config_server.testing import (
    BackendConformance,
    BaseBundlesConformance,
    BatchFetchConformance,
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


class TestSqlite(
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
    """The fixture is that of this directory."""

    @pytest.fixture(autouse=True)
    def keep_url(self, url: str) -> None:
        self.url = url

    async def open_another(self) -> SqlConfigBackend:
        return SqlConfigBackend.from_url(self.url)
