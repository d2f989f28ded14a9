"""The published suite of every store, with the abilities of this one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyfly_config_template import TemplateConfigBackend

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


class TestTemplate(
    BackendConformance,
    BaseBundlesConformance,
    ChangesConformance,
    CheckConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    KeysConformance,
    LabelsConformance,
):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[TemplateConfigBackend]:
        self.url = f"template://{tmp_path}/store.db?timeout=120"
        backend = TemplateConfigBackend.from_url(self.url)
        yield backend
        asyncio.run(backend.aclose())

    async def open_another(self) -> TemplateConfigBackend:
        return TemplateConfigBackend.from_url(self.url)
