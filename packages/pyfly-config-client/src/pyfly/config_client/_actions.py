"""The commands `get`, `env` and `run`, and the exit codes."""

import argparse
import json
import os
import re
import shlex
import signal
import sys
from typing import Final

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._integration import variables_of
from pyfly.config_client._merging import Origin, UnresolvedValue, as_text
from pyfly.config_client._nodes import plain
from pyfly.config_client._properties import Properties
from pyfly.config_client.errors import ConfigClientError, PropertyTypeError
from pyfly.config_core import FlatValue, JsonValue
from pyfly.config_core.property_names import below

_SHELL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IGNORED_SIGNALS: Final = ("SIGPIPE", "SIGXFSZ")
"""Signals that Python ignores. A command would inherit that."""

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_MISSING: Final = 3
EXIT_CANNOT_RUN: Final = 126
EXIT_NO_COMMAND: Final = 127
EXIT_INTERRUPTED: Final = 130

EXIT_CODES: Final = {
    0: "done",
    EXIT_FAILED: "there is no configuration, or it cannot be used",
    EXIT_USAGE: "an argument or a variable is wrong",
    EXIT_MISSING: "there is no such property",
    EXIT_CANNOT_RUN: "'run': the command cannot be executed",
    EXIT_NO_COMMAND: "'run': there is no such command",
    EXIT_INTERRUPTED: "interrupted",
}


def print_result(text: str) -> None:
    """Print a result.

    Raises:
        ConfigClientError: The output is closed, or its encoding lacks some of the characters.
        OSError: The output cannot be written.
    """
    if sys.stdout is None:
        raise ConfigClientError("the standard output is closed")
    try:
        print(text)  # noqa: T201 - the command's output
    except UnicodeEncodeError as error:  # not chained: it contains the text
        encoding = error.encoding
    else:
        return
    raise ConfigClientError(
        f"the encoding of the output, {encoding}, lacks some characters of the configuration; "
        "set PYTHONIOENCODING=utf-8"
    )


def print_note(text: str) -> None:
    """Print a message to the standard error, unless that is closed."""
    if sys.stderr is not None:
        print(text, file=sys.stderr)  # noqa: T201 - the command's output


def get(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Print properties, their origins, or the whole document."""
    properties = client.fetch()
    if arguments.document:
        print_result((client.document or b"").decode())
    elif arguments.explain:
        if arguments.key is None:
            raise ValueError("--explain needs a KEY")
        _explain(properties, arguments.key, as_json=arguments.json)
    elif arguments.key is None:
        _print_all(properties, as_json=arguments.json)
    else:
        _print_one(properties, arguments.key, as_json=arguments.json)
    return 0


def _print_one(properties: Properties, key: str, *, as_json: bool) -> None:
    """Print a value, the elements of a list, or a section."""
    value = properties.get(key)
    if value is not None:
        print_result(json.dumps(value, ensure_ascii=False) if as_json else as_text(value))
        return
    section = properties.section(key)
    if not section:
        properties.origin(key)  # raises, and names a similar key
    listed = _as_list(section)
    if listed is None:
        _print_all(section, as_json=as_json)
    elif as_json:
        print_result(json.dumps(listed, ensure_ascii=False, indent=2))
    elif any(isinstance(item, dict | list) for item in listed):
        _print_all(section, as_json=False)
    else:
        print_result(
            "\n".join(as_text(item) for item in listed if isinstance(item, str | int | float))
        )


def _as_list(section: Properties) -> list[JsonValue] | None:
    """Return a section as a list; `None` if it is no list or cannot be resolved."""
    try:
        found = plain(section.root)
    except PropertyTypeError:
        return None  # `_print_all` prints the rest, and names what cannot be resolved
    return found if isinstance(found, list) else None


def _explain(properties: Properties, key: str, *, as_json: bool) -> None:
    """Print the origin of a property, or of all properties of a section or a list."""
    keys = [key] if key in properties else [below(key, one) for one in properties.section(key)]
    found = [properties.explain(one) for one in keys or [key]]  # raises if there is nothing
    if as_json:
        rows = {
            one.key: {"winner": _place(one.winner), "losers": [_place(o) for o in one.losers]}
            for one in found
        }
        print_result(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        print_result("\n".join(str(one) for one in found))


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
        print_result(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        for name in [name for name in found if not _SHELL_NAME.fullmatch(name)]:
            print_note(f"pyfly-config-client: left out {name}: shells do not accept this name")
            del found[name]
        print_result(
            "\n".join(f"export {name}={shlex.quote(text)}" for name, text in found.items())
        )
    return 0


def run(arguments: argparse.Namespace, client: SyncConfigClient) -> int:
    """Replace this process by the command."""
    found = _variables(arguments, client)
    ignored = [getattr(signal, name) for name in _IGNORED_SIGNALS if hasattr(signal, name)]
    before = {one: signal.signal(one, signal.SIG_DFL) for one in ignored}
    try:
        os.execvpe(arguments.command[0], arguments.command, {**os.environ, **found})  # noqa: S606
    except (FileNotFoundError, ValueError):  # `ValueError`: the name is empty
        print_note(f"pyfly-config-client: there is no command {arguments.command[0]!r}")
        return EXIT_NO_COMMAND
    except OSError as error:
        print_note(f"pyfly-config-client: {arguments.command[0]!r} cannot run: {error.strerror}")
        return EXIT_CANNOT_RUN
    finally:  # this process goes on, because there is no command
        for one, handler in before.items():
            signal.signal(one, handler)


def _print_all(properties: Properties, *, as_json: bool) -> None:
    """Print keys and values. Values that cannot be resolved are left out and named."""
    found: dict[str, FlatValue] = {}
    for key, value in properties.entries().values():
        if isinstance(value, UnresolvedValue):
            print_note(f"pyfly-config-client: left out: {value.error()}")
        else:
            found[key] = value
    if as_json:
        print_result(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print_result("\n".join(f"{key}={as_text(value)}" for key, value in found.items()))


def _variables(arguments: argparse.Namespace, client: SyncConfigClient) -> dict[str, str]:
    return variables_of(client.fetch(), arguments.prefix, besides=os.environ)
