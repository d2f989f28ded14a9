"""The setting `store`: stores by pattern, from a file, the environment, and to the workers."""

from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._serving.setup import open_server, store_locations
from pyfly.config_cli._serving.start_report import make_report
from pyfly.config_cli._settings.loading import load_settings
from pyfly.config_cli._settings.transfer import decode_settings, encode_settings
from pyfly.config_server import ConfigSource

pytestmark = pytest.mark.anyio

THREE = """
[[store]]
url = "memory:"
applications = ["orders*"]

[[store]]
url = "memory:"
applications = ["billing", "*s"]

[[store]]
url = "memory:"
"""


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(text: str, **arguments: object) -> Any:
        file = tmp_path / "settings.toml"
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return load_settings({"settings": str(file), **arguments})

    return load


async def test_the_first_match_serves_a_request(load: Any) -> None:
    settings = load(THREE)
    assert [one.url for one in store_locations(settings)] == ["memory:"] * 3
    async with open_server(settings) as server:
        for number, store in enumerate(server.backends):
            source = ConfigSource(application="application", profile="x", properties={"n": number})
            await store.save(source)
        for application, number in (("orders-eu", 0), ("billing", 1), ("cars", 1), ("other", 2)):
            found: Any = await server.fetch(application, "x")
            assert [one["source"] for one in found["propertySources"]] == [{"n": number}]
        report = await make_report(server, settings)
        assert "memory:: orders*" in report
        assert "orders* decides where *s matches, too" in report


def test_the_environment_and_the_workers_get_the_same(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(THREE)
    assert decode_settings(encode_settings(settings)).store == settings.store
    text = '[{"url": "memory:", "applications": ["a*"]}, {"url": "memory:"}]'
    monkeypatch.setenv("PYFLY_CONFIG_SERVER_STORE", text)
    found = load_settings({})
    assert [one.applications for one in found.store] == [("a*",), ()]
    assert "hunter2" not in repr(load(THREE.replace("memory:", "x://u:hunter2@h/b")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('store = ["x"]', "store 1 must be a table"),
        ("store = 1", "must be tables"),
        ('[[store]]\nurl = "memory:"\nname = "x"', "'url' and 'applications' only"),
        ('[[store]]\napplications = ["a"]', "'url' must be"),
        ('[[store]]\nurl = ""', "'url' must be"),
        ('[[store]]\nurl = "memory:"\napplications = "a"', "must be a list"),
        ('[[store]]\nurl = "memory:"\napplications = [1]', "must be a list"),
        ('[[store]]\nurl = "memory:"\napplications = ["a"]', "store 1, the last one"),
        ('[[store]]\nurl = "memory:"\n' * 2, "store 1 has no 'applications'"),
        ('[[store]]\nurl = "file:///x/{application}"', "placeholder"),
        ('backend = "memory:"\n' + THREE, "not both"),
        ("workers = 2\n" + THREE, "one worker"),
        (THREE.replace("billing", "orders-eu"), "never decides"),
        (THREE.replace("billing", "a/b"), "no patterns"),
    ],
)
def test_what_cannot_be_used_is_refused(load: Any, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        open_server(load(text))


def test_a_password_in_a_url_must_not_be_open_to_everybody(load: Any, tmp_path: Path) -> None:
    (tmp_path / "open.toml").write_text('[[store]]\nurl = "x://u:p@h/b"', encoding="utf-8")
    (tmp_path / "open.toml").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod"):
        load_settings({"settings": str(tmp_path / "open.toml")})
