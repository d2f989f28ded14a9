"""Never run: a type checker proves here that the store fits the Protocols."""

from pyfly_config_example import ExampleConfigBackend

from pyfly.config_server import storage as s


def the_store_has_these_abilities(backend: ExampleConfigBackend) -> None:
    _required: s.ConfigBackend = backend
    _changes: s.SupportsChanges = backend
    _conditional: s.SupportsConditionalSave = backend
    _delete: s.SupportsDelete = backend
    _keys: s.SupportsKeys = backend
    _labels: s.SupportsLabels = backend
    _check: s.SupportsCheck = backend
    _close: s.SupportsClose = backend
