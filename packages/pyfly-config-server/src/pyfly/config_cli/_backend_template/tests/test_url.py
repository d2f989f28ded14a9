import asyncio
from pathlib import Path

import pytest
from pyfly_config_template import TemplateConfigBackend
from pyfly_config_template._settings import StoreSettings

from pyfly.config_core import BackendLookupError
from pyfly.config_server import open_backend


def test_it_is_opened_by_its_url(tmp_path: Path) -> None:
    backend = open_backend(f"template://{tmp_path}/a%20b.db?pool=1")
    assert isinstance(backend, TemplateConfigBackend)
    asyncio.run(backend.check())
    assert (tmp_path / "a b.db").exists()
    asyncio.run(backend.aclose())


def test_the_parameters_of_a_url_are_settings() -> None:
    found = StoreSettings.from_url("template:///x.db?timeout=3&pool=2")
    assert found == StoreSettings(path=Path("/x.db"), pool=2, timeout=3)


@pytest.mark.parametrize(
    "url",
    [
        "template:",
        "template:relative",
        "template:/",
        "template://u:hunter2@host/x",
        "template:///%00",
    ],
)
def test_another_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(BackendLookupError, match="is written") as error:
        TemplateConfigBackend.from_url(url)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("password=hunter2", "unknown parameter 'password'; known are pool, timeout"),
        ("pool=1&pool=2", "'pool' stands twice"),
        ("pool=hunter2", "'pool' must be a whole number"),
        ("pool=", "'pool' must be a whole number"),
        ("pool=0", "'pool' must be a number from 1 to 64"),
        ("timeout=301", "'timeout' must be a number from 1 to 300"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(query: str, said: str) -> None:
    with pytest.raises(BackendLookupError, match=said) as error:
        TemplateConfigBackend.from_url(f"template:///x.db?{query}")
    assert "hunter2" not in str(error.value)
