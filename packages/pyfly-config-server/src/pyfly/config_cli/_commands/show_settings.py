"""`settings show`: the settings in effect, and where each of them was set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from pyfly.config_cli._cli.command import Command, sync_callback_of
from pyfly.config_cli._cli.parameters import json_option
from pyfly.config_cli._commands.serve import ServeArguments, setting_parameters
from pyfly.config_cli._console.masking import masked, secret_names
from pyfly.config_cli._console.output import json_text, print_json
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._stores.location import find_store, shown_url
from pyfly.config_core import ConfigError, JsonValue, flatten

_HELP: Final = """\
Show the settings with which 'pyfly-config serve' would run with the same arguments, environment
and settings file, and where each of them was set. Secrets are masked, always.
"""
_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowArguments(ServeArguments):
    """The arguments of `serve`, and how to show the settings."""

    as_json: bool


def show_settings(arguments: ShowArguments) -> int:
    """Print the settings; return the exit code."""
    # pydantic is not imported to complete a command line
    from pyfly.config_cli._settings.loading import load_settings  # noqa: PLC0415
    from pyfly.config_cli._settings.names import key_of  # noqa: PLC0415
    from pyfly.config_cli._settings.places import places_of  # noqa: PLC0415

    values: Mapping[str, JsonValue] = load_settings(arguments.values()).model_dump(mode="json")
    places = places_of(arguments.values())
    shown = {name: _shown(name, value) for name, value in values.items()}
    if arguments.as_json:
        print_json(
            {
                key_of(name): {"value": value, "source": places.get(name, _DEFAULT)}
                for name, value in shown.items()
            }
        )
        return 0
    rows = [
        (key_of(name), _text(value), places.get(name, _DEFAULT)) for name, value in shown.items()
    ]
    print_table(("SETTING", "VALUE", "SOURCE"), rows)
    return 0


def _shown(name: str, value: JsonValue) -> JsonValue:
    """Return the value of a setting without secrets."""
    if name == "backend":
        return [_store(str(one)) for one in cast("list[JsonValue]", value)]
    if name == "store":
        tables = cast("list[dict[str, JsonValue]]", value)
        return [{**one, "url": _store(str(one["url"]))} for one in tables]
    if name == "overrides":
        names = secret_names()
        flat = flatten(cast("dict[str, JsonValue]", value))
        return {key: masked(key, one, names) for key, one in flat.items()}
    return value  # a secret is masked by its type


def _store(text: str) -> str:
    try:
        return find_store(text).shown
    except ConfigError:
        return shown_url(text) if ":" in text else text


def _text(value: JsonValue) -> str:
    if value is None or value in ("", [], {}):
        return ""
    return value if isinstance(value, str) else json_text(value)


COMMAND: Final = Command(
    "show",
    callback=sync_callback_of(show_settings, ShowArguments),
    params=[*setting_parameters(), json_option()],
    help=_HELP,
    examples=[
        "pyfly-config settings show ./config --port 9000",
        "pyfly-config settings show --settings server.toml --json",
    ],
)
