"""`get`, `env` and `run`."""

import argparse
import json
import os
import shlex
from collections.abc import Mapping

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._command._exit import EXIT_CANNOT_RUN, EXIT_NO_COMMAND, note, say
from pyfly.config_client._environ import variables_of
from pyfly.config_core import FlatValue


def get(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Print properties, or where one comes from, or the whole document."""
    properties = client.fetch()
    if arguments.document:
        say((client.document or b"").decode())
        return 0
    if arguments.key is None:
        if arguments.explain:
            raise ValueError("--explain needs a KEY")
        _say_all(properties, as_json=arguments.json)
        return 0
    if arguments.explain:
        say(str(properties.explain(arguments.key)))
        return 0
    value = properties.get(arguments.key)
    if value is None:
        section = properties.section(arguments.key)
        if not section:
            properties.origin(arguments.key)  # raises, and names what is close
        _say_all(section, as_json=arguments.json)
    else:
        say(json.dumps(value, ensure_ascii=False) if arguments.json else _text(value))
    return 0


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


def _say_all(properties: Mapping[str, FlatValue], *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(dict(properties), ensure_ascii=False, indent=2))
    else:
        say("\n".join(f"{key}={_text(value)}" for key, value in properties.items()))


def _variables(arguments: argparse.Namespace, client: SyncConfigClient) -> dict[str, str]:
    found = variables_of(client.fetch(), arguments.prefix)
    return {name: text for name, text in found.items() if name not in os.environ}


def _text(value: FlatValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
