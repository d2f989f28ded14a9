"""The published suite of every store, with the abilities of this one."""

from pathlib import Path

import pytest
from pyfly_config_example import ExampleConfigBackend

from pyfly.config_server.testing import (
    BackendConformance,
    CheckConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    KeysConformance,
    LabelsConformance,
)


class TestExample(
    BackendConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    KeysConformance,
    LabelsConformance,
    CheckConformance,
    CloseConformance,
):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> ExampleConfigBackend:
        return ExampleConfigBackend(tmp_path)
