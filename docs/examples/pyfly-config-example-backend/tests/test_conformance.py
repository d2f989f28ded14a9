"""The published suite of every store, with the abilities of this one."""

from pathlib import Path

import pytest
from pyfly_config_example import ExampleConfigBackend

from pyfly.config_server.testing import (
    BackendConformance,
    BaseBundlesConformance,
    ChangesConformance,
    CheckConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    KeysConformance,
    LabelsConformance,
)


class TestExample(
    BackendConformance,
    BaseBundlesConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    KeysConformance,
    LabelsConformance,
    ChangesConformance,
    CheckConformance,
    CloseConformance,
):
    directory: Path

    @pytest.fixture
    def backend(self, tmp_path: Path) -> ExampleConfigBackend:
        self.directory = tmp_path
        return ExampleConfigBackend(tmp_path)

    async def open_another(self) -> ExampleConfigBackend:
        return ExampleConfigBackend(self.directory)
