"""The conformance suite: tests of the storage interface that every store must pass.

Install it with the extra `pyfly-config-core[testing]`. The test class of a store has the base
`BackendConformance`, one mixin for each ability of the store, and a fixture `backend` that
returns or yields a new, empty store. The fixture may be async.

```python
class TestMyBackend(BackendConformance, KeysConformance, CloseConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> MyBackend:
        return MyBackend(tmp_path)
```

The first test, `test_the_store_has_the_shape_of_the_interface`, checks the signatures of the
methods without calling them. While it fails, the other tests are skipped. If the store has an
ability without its mixin, a test fails and names the mixin; `MIXINS` is the table of all mixins. A
test class may replace a test of the suite only by one marked `xfail(strict=True, reason=…)`.

A test class overrides these members if it has the mixin:

| member | does |
|---|---|
| `ResourcesConformance.store_resource` | puts a plain file into the store |
| `ChangesConformance.open_another` | opens the same store again, as another process would |
| `Conformance.labels_without_children` | the reason why there is no label below another, if any |
| `LabelsConformance.labels_without_bundles` | the reason why a label outlives its bundles, if any |
| `SnapshotsConformance.versions_of_labels` | the reason why absent bundles have a version, if any |
| `SnapshotsConformance.equal_saves_make_no_version` | the reason for that, if it is so |
| `HistoryConformance.equal_content_has_one_version` | the reason for that, if it is so |
| `HistoryConformance.removals_without_remarks` | the reason why removals have no author, if any |

`BaseBundlesConformance` is for stores with base bundles. `WrapperConformance` is for stores around
another store, and is used alone.

Text stores can keep all names in the tests: no profile contains `-`, no application contains `/`.
The tests are async and run on asyncio through anyio's pytest plugin, without configuration.
"""

import pytest

for _module in (
    "_changes",
    "_conditional",
    "_delete",
    "_freezes",
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
    # Before the imports below, so that pytest rewrites their assertions.
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from pyfly.config_server.testing._changes import (  # noqa: E402 - as the comment above says
    ChangesConformance,
)
from pyfly.config_server.testing._conditional import (  # noqa: E402 - the same
    ConditionalSaveConformance,
)
from pyfly.config_server.testing._delete import DeleteConformance  # noqa: E402 - the same
from pyfly.config_server.testing._freezes import FreezesConformance  # noqa: E402 - the same
from pyfly.config_server.testing._hints import ChangeHintsConformance  # noqa: E402 - the same
from pyfly.config_server.testing._history import HistoryConformance  # noqa: E402 - the same
from pyfly.config_server.testing._lifecycle import (  # noqa: E402 - the same
    CheckConformance,
    CloseConformance,
    RefetchConformance,
    UpgradeConformance,
)
from pyfly.config_server.testing._owned import (  # noqa: E402 - the same
    BaseBundlesConformance,
    ResourcesConformance,
    SearchLocationsConformance,
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
    "FreezesConformance",
    "HistoryConformance",
    "KeysConformance",
    "LabelsConformance",
    "RefetchConformance",
    "ResourcesConformance",
    "SearchLocationsConformance",
    "SnapshotsConformance",
    "UpgradeConformance",
    "WrapperConformance",
]
