"""SQLite passes the suite of every store."""

from pyfly.config_server.testing import (
    BackendConformance,
    BaseBundlesConformance,
    BatchFetchConformance,
    ChangesConformance,
    CheckConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    HistoryConformance,
    KeysConformance,
    LabelsConformance,
    SnapshotsConformance,
    UpgradeConformance,
)


class TestSqlite(
    BackendConformance,
    BaseBundlesConformance,
    KeysConformance,
    LabelsConformance,
    BatchFetchConformance,
    SnapshotsConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    HistoryConformance,
    ChangesConformance,
    UpgradeConformance,
    CheckConformance,
    CloseConformance,
):
    """The fixture is that of this directory."""
