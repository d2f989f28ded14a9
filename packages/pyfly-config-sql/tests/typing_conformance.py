"""Never run: the type checker proves here that the backend fits the Protocols."""

from pyfly.config_server import storage as s
from pyfly.config_sql import SqlConfigBackend


def a_database_has_these_abilities(backend: SqlConfigBackend) -> None:
    _required: s.ConfigBackend = backend
    _keys: s.SupportsKeys = backend
    _labels: s.SupportsLabels = backend
    _batch: s.SupportsBatchFetch = backend
    _snapshots: s.SupportsSnapshots = backend
    _conditional: s.SupportsConditionalSave = backend
    _delete: s.SupportsDelete = backend
    _freezes: s.SupportsFreezes = backend
    _history: s.SupportsHistory = backend
    _changes: s.SupportsChanges = backend
    _hints: s.SupportsChangeHints = backend
    _upgrade: s.SupportsUpgrade = backend
    _check: s.SupportsCheck = backend
    _close: s.SupportsClose = backend
