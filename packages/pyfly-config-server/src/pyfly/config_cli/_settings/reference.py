"""The documentation of the settings, made from the model: table, help, JSON schema."""

from collections.abc import Iterable, Iterator
from typing import Final

from pyfly.config_cli._settings.fields import Setting
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import (
    fields_with_files,
    key_of,
    settings_of,
    variable_of,
)
from pyfly.config_core import JsonValue

_HEADINGS: Final = (
    "argument",
    "environment",
    "in the file",
    "default",
    "meaning",
    "Spring: `spring.cloud.config.server.`",
)


def description_of(field: str) -> str:
    """Return the meaning of a setting, in Markdown."""
    return ServerSettings.model_fields[field].description or ""


def default_of(field: str) -> str:
    """Return the default of a setting as it is written in the environment; empty for none."""
    default: object = ServerSettings.model_fields[field].default
    if isinstance(default, bool):
        return "true" if default else "false"
    return str(default) if isinstance(default, str | int) else ""


def settings_table() -> str:
    """Return the table of all settings, in Markdown."""
    rows = [_row(field, setting) for field, setting in settings_of(ServerSettings).items()]
    lines = [_line(_HEADINGS), "|---" * len(_HEADINGS) + "|", *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _row(field: str, setting: Setting) -> tuple[str, ...]:
    return (
        _code(setting.argument),
        _code(variable_of(field)),
        _code(key_of(field) if setting.in_settings_file else ""),
        _code(default_of(field)),
        description_of(field),
        _code(setting.spring),
    )


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def help_of(field: str) -> str:
    """Return the meaning and the default of a setting, for `--help`."""
    default = default_of(field)
    suffix = f" (default: {default})" if default else ""
    return description_of(field).replace("`", "'") + suffix


def help_rows() -> Iterator[tuple[str, str]]:
    """Yield the variable of each setting and its meaning, for `--help`."""
    for field in settings_of(ServerSettings):
        yield variable_of(field), help_of(field)


def variable_for_option(option: str) -> str | None:
    """Return the variable of the setting that an option is named after; `None` if there is none."""
    variables = {f"--{key_of(field)}": variable_of(field) for field in settings_of(ServerSettings)}
    return variables.get(option)


def file_variables() -> list[str]:
    """Return the names without prefix of the settings that a file of their own may hold."""
    return [name.upper() for name in fields_with_files(ServerSettings).values()]


def settings_schema() -> dict[str, JsonValue]:
    """Return the JSON schema of the settings file."""
    model: dict[str, JsonValue] = ServerSettings.model_json_schema()
    fields = model["properties"]
    properties: dict[str, JsonValue] = {}
    for name, setting in settings_of(ServerSettings).items():
        if setting.in_settings_file and isinstance(fields, dict):
            schema = fields[name]
            properties[key_of(name)] = schema
    for name, field in fields_with_files(ServerSettings).items():
        properties[key_of(name)] = {
            "type": "string",
            "minLength": 1,
            "description": f"file that holds `{key_of(field)}`",
        }
    for schema in properties.values():
        if isinstance(schema, dict):
            schema.pop("title", None)
            if schema.get("default") in ("", None):
                schema.pop("default", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of pyfly-config serve",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


__all__ = [
    "default_of",
    "description_of",
    "file_variables",
    "help_of",
    "help_rows",
    "settings_schema",
    "settings_table",
    "variable_for_option",
]
