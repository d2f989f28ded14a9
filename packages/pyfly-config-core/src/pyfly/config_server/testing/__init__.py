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

The first test, `test_the_store_has_the_shape_of_the_interface`, looks at the methods of the store
and calls none. While it fails, the others are skipped. The class fails when the store has an
ability whose mixin is missing, and names the mixin; `MIXINS` is the table of all. A test of the
suite cannot be replaced, except by one marked `xfail(strict=True, reason=…)`.

What the suite cannot do by itself is done by members that the class overrides:

| member | does |
|---|---|
| `ResourcesConformance.store_resource` | puts a plain file into the store |
| `ChangesConformance.open_another` | opens the same store once more, as another process would |
| `HistoryConformance.removals_without_remarks` | says why removals have no author, if so |

`BaseBundlesConformance` is for stores with base bundles. `WrapperConformance` is for stores around
another store, and stands alone.

All names used are ones that text stores can keep: no profile contains `-`, no application `/`.
Tests are async and run on asyncio through anyio's pytest plugin; no configuration is needed.
"""

import pytest

for _module in (
    "_changes",
    "_conditional",
    "_delete",
    "_hints",
    "_history",
    "_isolation",
    "_lifecycle",
    "_owned",
    "_reading",
    "_required",
    "_shape",
    "_suite",
    "_values",
    "_wrapped",
    "_wrappers",
):
    # Before the imports below; otherwise a failure would not show the values it compared.
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from pyfly.config_server.testing._changes import (  # noqa: E402 - as the comment above says
    ChangesConformance,
)
from pyfly.config_server.testing._conditional import (  # noqa: E402 - the same
    ConditionalSaveConformance,
)
from pyfly.config_server.testing._delete import DeleteConformance  # noqa: E402 - the same
from pyfly.config_server.testing._hints import ChangeHintsConformance  # noqa: E402 - the same
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
from pyfly.config_server.testing._suite import MIXINS  # noqa: E402 - the same
from pyfly.config_server.testing._wrappers import WrapperConformance  # noqa: E402 - the same

__all__ = [
    "MIXINS",
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
    "WrapperConformance",
]
