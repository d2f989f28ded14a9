"""The documentation of the settings is made from the model."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import key_of, settings_of
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
    known = {key_of(name) for name in ServerSettings.model_fields} - {"settings"}
    assert {name for name in schema["properties"] if not name.endswith("-file")} == known
    assert "token-file" in schema["properties"]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('backend = ["memory:"]\nport = 9000\naccept-empty = false', True),
        ('backend = "memory:"', True),
        ('[overrides]\n"a.b" = 1\n[encrypt-keys]\n2027 = "x"', True),
        ('token-file = "/run/secrets/token"', True),
        ('encrypt-rsa-algorithm = "OAEP"', True),
        ("prot = 1", False),
        ("port = 70000", False),
        ("accept-empty = 'perhaps'", False),
        ("overrides = 1", False),
        ("encrypt-rsa-algorithm = 'X'", False),
        ('settings = "other.toml"', False),
    ],
)
def test_an_editor_marks_what_the_server_would_refuse(text: str, fits: bool) -> None:
    validator = jsonschema.Draft202012Validator(settings_schema())
    assert validator.is_valid(tomllib.loads(text)) is fits


def test_the_example_of_the_documentation_fits_the_schema() -> None:
    page = (REFERENCE / "serve.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    jsonschema.validate(tomllib.loads(example), settings_schema())
