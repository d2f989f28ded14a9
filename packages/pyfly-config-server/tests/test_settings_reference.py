"""The documentation of the settings is made from the model."""

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pyfly.config_cli._errors import SettingsError
from pyfly.config_cli._settings.loading import load_settings
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import fields_with_files, key_of, settings_of
from pyfly.config_cli._settings.reference import settings_schema, settings_table

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_the_table_in_the_documentation_is_that_of_the_model() -> None:
    page = (REFERENCE / "serve.md").read_text(encoding="utf-8")
    assert f"\n\n{settings_table()}\n\n" in page, "put the output of: pyfly-config settings table"


def test_the_schema_in_the_documentation_is_that_of_the_model() -> None:
    stored = json.loads((REFERENCE / "settings.schema.json").read_text(encoding="utf-8"))
    assert stored == settings_schema(), "put the output of: pyfly-config settings schema"


def test_every_setting_is_described() -> None:
    settings = settings_of(ServerSettings)
    assert settings.keys() == ServerSettings.model_fields.keys()
    for name, field in ServerSettings.model_fields.items():
        assert field.description, name


def test_the_schema_has_every_setting_of_the_file_and_no_other() -> None:
    schema: Any = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    known = {key_of(name) for name in ServerSettings.model_fields} - {"settings", "secret-keys"}
    with_files = {key_of(name) for name in fields_with_files(ServerSettings)}
    assert schema["properties"].keys() == known | with_files
    assert "token-file" in schema["properties"]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('backend = ["memory:"]\nport = 9000\naccept-empty = false', True),
        ('backend = "memory:"', True),
        ('[overrides]\n"a.b" = 1\n[encrypt-keys]\n2027 = "x"', True),
        ('token-file = "/run/secrets/token"', True),
        ('encrypt-rsa-algorithm = "OAEP"', True),
        ('port = "9000"\ninsecure = "Yes"\nhealth-enabled = 1', True),
        ("token = 12345", True),
        ('encrypt-rsa-algorithm = "oaep"', True),
        ('overrides = "{a: 1}"', True),
        ("prot = 1", False),
        ("port = '0'", False),
        ("port = '-1'", False),
        ("insecure = 2", False),
        ("token = true", False),
        ("token-file = ''", False),
        ("port = 70000", False),
        ("accept-empty = 'perhaps'", False),
        ("overrides = 1", False),
        ("encrypt-rsa-algorithm = 'X'", False),
        ('settings = "other.toml"', False),
        ("max-staleness = 1e-6", True),
        ("max-staleness = '0.000001'", True),
        ("max-staleness = 1e-9", False),
        ("max-staleness = '1e-9'", False),
    ],
)
def test_an_editor_marks_what_the_server_would_refuse(text: str, fits: bool) -> None:
    validator = jsonschema.Draft202012Validator(settings_schema())
    assert validator.is_valid(tomllib.loads(text)) is fits


_VALUES = ["x", "", "TRUE", "no", "0", "8080", "oaep", True, 0, 1, 8888, 65_536, -1, [], ["a"], [1]]
_TABLES = [{}, {"a": "b"}, {"a": {"b": 1}}]
_LEFT_TO_THE_SERVER = {  # settings that need one another, texts in YAML or headers, addresses
    *(
        "username",
        "password",
        "token",
        "encrypt-keys",
        "encrypt-bound-keys",
        "health-repositories",
        "overrides",
    ),
    *("audit-reads", "monitor-secret", "tls-key-file", "tls-client-ca-file"),
    *("identity-header", "trusted-proxies"),
}


@cache
def schema_validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(settings_schema())


@pytest.mark.parametrize(
    "key",
    [
        key_of(name)
        for name, setting in settings_of(ServerSettings).items()
        if setting.in_settings_file
        and key_of(name) not in _LEFT_TO_THE_SERVER
        and not name.startswith(("encrypt_key_store", "encrypt_rsa"))  # need one another
    ],
)
def test_the_schema_accepts_what_the_server_accepts(key: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    different = []
    for value in [*_VALUES, *_TABLES]:
        table = json.dumps(value).replace('": ', '" = ')
        file.write_text(f"{key} = {table}\n", encoding="utf-8")
        file.chmod(0o600)
        try:
            load_settings({"settings": str(file)})
            is_accepted = True
        except SettingsError:
            is_accepted = False
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        if schema_validator().is_valid(document) is not is_accepted:
            different.append((value, is_accepted))
    assert different == []


def test_the_example_of_the_documentation_fits_the_schema() -> None:
    page = (REFERENCE / "serve.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    jsonschema.validate(tomllib.loads(example), settings_schema())
