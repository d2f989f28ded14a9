import pytest
from pyfly_config_template import TemplateConfigBackend

from pyfly.config_core import BackendLookupError
from pyfly.config_server import open_backend


def test_it_is_opened_by_its_url() -> None:
    assert isinstance(open_backend("template:"), TemplateConfigBackend)


def test_a_url_takes_nothing_behind_the_colon() -> None:
    with pytest.raises(BackendLookupError, match="just 'template:'"):
        open_backend("template:x")
