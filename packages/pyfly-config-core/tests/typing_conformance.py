"""Never run: the type checker proves here that the built-in backends fit the Protocols."""

from pyfly.config_server import FilesystemConfigBackend, InMemoryConfigBackend, StandbyBackend
from pyfly.config_server import storage as s


def the_memory_backend_has_every_ability(backend: InMemoryConfigBackend) -> None:
    _required: s.ConfigBackend = backend
    _keys: s.SupportsKeys = backend
    _labels: s.SupportsLabels = backend
    _batch: s.SupportsBatchFetch = backend
    _conditional: s.SupportsConditionalSave = backend
    _delete: s.SupportsDelete = backend
    _freezes: s.SupportsFreezes = backend
    _history: s.SupportsHistory = backend
    _changes: s.SupportsChanges = backend
    _hints: s.SupportsChangeHints = backend
    _resources: s.SupportsResources = backend
    _check: s.SupportsCheck = backend
    _close: s.SupportsClose = backend


def the_filesystem_backend_has_those_of_files(backend: FilesystemConfigBackend) -> None:
    _required: s.ConfigBackend = backend
    _keys: s.SupportsKeys = backend
    _labels: s.SupportsLabels = backend
    _batch: s.SupportsBatchFetch = backend
    _conditional: s.SupportsConditionalSave = backend
    _delete: s.SupportsDelete = backend
    _freezes: s.SupportsFreezes = backend
    _check: s.SupportsCheck = backend
    _close: s.SupportsClose = backend


def the_standby_has_those_that_it_changes(backend: StandbyBackend) -> None:
    _required: s.ConfigBackend = backend
    _labels: s.SupportsLabels = backend
    _batch: s.SupportsBatchFetch = backend
    _snapshots: s.SupportsSnapshots = backend
    _conditional: s.SupportsConditionalSave = backend
    _delete: s.SupportsDelete = backend
    _changes: s.SupportsChanges = backend
    _resources: s.SupportsResources = backend
    _close: s.SupportsClose = backend
