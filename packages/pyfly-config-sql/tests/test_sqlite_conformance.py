"""SQLite passes the suite of every store."""

from pyfly.config_server.testing import (
    BackendConformance,
    BatchFetchConformance,
    ChangeStreamConformance,
    ChangeTokenConformance,
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
    KeysConformance,
    LabelsConformance,
    BatchFetchConformance,
    SnapshotsConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    HistoryConformance,
    ChangeTokenConformance,
    ChangeStreamConformance,
    UpgradeConformance,
    CheckConformance,
    CloseConformance,
):
    """The fixture is that of this directory."""
