"""Never run: the type checker proves here that the backend fits the Protocols."""

from pyfly.config_s3 import S3ConfigBackend
from pyfly.config_server import storage as s


def the_backend_has_every_ability_but_hints_of_changes(backend: S3ConfigBackend) -> None:
    _required: s.ConfigBackend = backend
    _keys: s.SupportsKeys = backend
    _labels: s.SupportsLabels = backend
    _batch: s.SupportsBatchFetch = backend
    _conditional: s.SupportsConditionalSave = backend
    _delete: s.SupportsDelete = backend
    _freezes: s.SupportsFreezes = backend
    _history: s.SupportsHistory = backend
    _changes: s.SupportsChanges = backend
    _resources: s.SupportsResources = backend
    _check: s.SupportsCheck = backend
    _close: s.SupportsClose = backend
