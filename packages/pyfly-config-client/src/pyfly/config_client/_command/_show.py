"""`get`, `env` and `run`."""

import argparse
import json
import os
import shlex

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._command._exit import EXIT_CANNOT_RUN, EXIT_NO_COMMAND, note, say
from pyfly.config_client._environ import variables_of
from pyfly.config_client._result.merging import Broken, as_text
from pyfly.config_client._result.names import below
from pyfly.config_client._result.nodes import plain
from pyfly.config_client._result.origin import Origin
from pyfly.config_client._result.properties import Properties
from pyfly.config_client.errors import PropertyTypeError
from pyfly.config_core import FlatValue, JsonValue


def get(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Print properties, or where they come from, or the whole document."""
    properties = client.fetch()
    if arguments.document:
        say((client.document or b"").decode())
    elif arguments.explain:
        if arguments.key is None:
            raise ValueError("--explain needs a KEY")
        _explain(properties, arguments.key, as_json=arguments.json)
    elif arguments.key is None:
        _say_all(properties, as_json=arguments.json)
    else:
        _say_one(properties, arguments.key, as_json=arguments.json)
    return 0


def _say_one(properties: Properties, key: str, *, as_json: bool) -> None:
    """Print a value, the elements of a list, or a section."""
    value = properties.get(key)
    if value is not None:
        say(json.dumps(value, ensure_ascii=False) if as_json else as_text(value))
        return
    section = properties.section(key)
    if not section:
        properties.origin(key)  # raises, and names what is close
    listed = _as_list(section)
    if listed is None:
        _say_all(section, as_json=as_json)
    elif as_json:
        say(json.dumps(listed, ensure_ascii=False, indent=2))
    elif any(isinstance(item, dict | list) for item in listed):
        _say_all(section, as_json=False)
    else:
        say("\n".join(as_text(item) for item in listed if isinstance(item, str | int | float)))


def _as_list(section: Properties) -> list[JsonValue] | None:
    """Return the list that a section is, or `None` if it is none or cannot be resolved."""
    try:
        found = plain(section.root)
    except PropertyTypeError:
        return None  # printed one by one, with a remark for what cannot be resolved
    return found if isinstance(found, list) else None


def _explain(properties: Properties, key: str, *, as_json: bool) -> None:
    """Print where a property comes from, or every property of a section or a list."""
    keys = [key] if key in properties else [below(key, one) for one in properties.section(key)]
    found = [properties.explain(one) for one in keys or [key]]  # raises if there is nothing
    if as_json:
        rows = {
            one.key: {"winner": _place(one.winner), "losers": [_place(o) for o in one.losers]}
            for one in found
        }
        say(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        say("\n".join(str(one) for one in found))


def _place(origin: Origin) -> dict[str, str | int | None]:
    return {
        "source": origin.source,
        "key": origin.key,
        "line": origin.line,
        "column": origin.column,
        "note": origin.note,
    }


def env(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Print environment variables."""
    found = _variables(arguments, client)
    if arguments.json:
        say(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for name in [name for name in found if name[0].isdigit()]:
            note(f"pyfly-config-client: left out {name}: no shell has such variables")
            del found[name]
        say("\n".join(f"export {name}={shlex.quote(text)}" for name, text in found.items()))
    return 0


def run(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Become the command."""
    found = _variables(arguments, client)
    try:
        os.execvpe(arguments.command[0], arguments.command, {**os.environ, **found})  # noqa: S606
    except FileNotFoundError:
        note(f"pyfly-config-client: there is no command {arguments.command[0]!r}")
        return EXIT_NO_COMMAND
    except OSError as error:
        note(f"pyfly-config-client: {arguments.command[0]!r} cannot run: {error.strerror}")
        return EXIT_CANNOT_RUN


def _say_all(properties: Properties, *, as_json: bool) -> None:
    """Print keys and values; what cannot be resolved is left out, with a remark."""
    found: dict[str, FlatValue] = {}
    for key, value in properties.entries().values():
        if isinstance(value, Broken):
            note(f"pyfly-config-client: left out: {value.error()}")
        else:
            found[key] = value
    if as_json:
        say(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        say("\n".join(f"{key}={as_text(value)}" for key, value in found.items()))


def _variables(arguments: argparse.Namespace, client: SyncConfigClient) -> dict[str, str]:
    return variables_of(client.fetch(), arguments.prefix, besides=os.environ)
