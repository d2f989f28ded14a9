"""The suite that every store of configuration has to pass: the storage interface as tests.

Comes with the extra `pyfly-config-core[testing]`. A store is tested by one class that names
`BackendConformance`, one mixin for each ability of the store, and a fixture `backend` that
returns (or yields) a fresh, empty store; the fixture may be async.

```python
class TestMyBackend(BackendConformance, KeysConformance, CloseConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> MyBackend:
        return MyBackend(tmp_path)
```

The class fails when the store has an ability whose mixin is missing. A test of the suite cannot
be replaced, except by one marked `xfail(strict=True, reason=…)`. What only the owner of a store
can put in place, a plain file, is put there by a method that the class overrides,
`ResourcesConformance.store_resource`. `BaseBundlesConformance` is for stores with base bundles.

All names used are ones that text stores can keep: no profile contains `-`, no application `/`.
Tests are async and run on asyncio through anyio's pytest plugin; no configuration is needed.
"""

import pytest

for _module in (
    "_changes",
    "_conditional",
    "_history",
    "_isolation",
    "_lifecycle",
    "_owned",
    "_reading",
    "_required",
    "_suite",
    "_values",
):
    # Before the imports below; otherwise a failure would not show the values it compared.
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from pyfly.config_server.testing._changes import (  # noqa: E402 - as the comment above says
    ChangeHintsConformance,
    ChangesConformance,
)
from pyfly.config_server.testing._conditional import (  # noqa: E402 - the same
    ConditionalSaveConformance,
    DeleteConformance,
)
from pyfly.config_server.testing._history import HistoryConformance  # noqa: E402 - the same
from pyfly.config_server.testing._lifecycle import (  # noqa: E402 - the same
    CheckConformance,
    CloseConformance,
    UpgradeConformance,
)
from pyfly.config_server.testing._owned import (  # noqa: E402 - the same
    BaseBundlesConformance,
    ResourcesConformance,
)
from pyfly.config_server.testing._reading import (  # noqa: E402 - the same
    BatchFetchConformance,
    KeysConformance,
    LabelsConformance,
    SnapshotsConformance,
)
from pyfly.config_server.testing._required import BackendConformance  # noqa: E402 - the same

__all__ = [
    "BackendConformance",
    "BaseBundlesConformance",
    "BatchFetchConformance",
    "ChangeHintsConformance",
    "ChangesConformance",
    "CheckConformance",
    "CloseConformance",
    "ConditionalSaveConformance",
    "DeleteConformance",
    "HistoryConformance",
    "KeysConformance",
    "LabelsConformance",
    "ResourcesConformance",
    "SnapshotsConformance",
    "UpgradeConformance",
]
