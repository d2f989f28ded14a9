"""The published suite of every store, with the abilities of this one."""

import pytest
from pyfly_config_template import TemplateConfigBackend

from pyfly.config_server.testing import BackendConformance, ConditionalSaveConformance


class TestTemplate(BackendConformance, ConditionalSaveConformance):
    @pytest.fixture
    def backend(self) -> TemplateConfigBackend:
        return TemplateConfigBackend()
