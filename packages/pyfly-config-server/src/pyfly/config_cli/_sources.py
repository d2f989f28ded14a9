"""Where settings come from: arguments over the environment over one TOML file over defaults."""

import argparse
import json
import re
import shlex
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, cast

from pyfly.config_cli._known import KNOWN, LISTS, MAPPINGS, PREFIX, SECRETS, SettingsError
from pyfly.config_cli._secret_files import FILE_SETTINGS, read_secret_files
from pyfly.config_cli._suggest import nearest
from pyfly.config_cli._utf8 import as_utf8
from pyfly.config_core import ConfigFormatError, copy_properties
from pyfly.config_core.service_links import is_service_link

_FILE: Final = "SETTINGS"
_FOR_OTHERS: Final = stat.S_IRWXO
_PASSWORD_IN_URL: Final = re.compile(r"://[^\s/@]*:[^\s@]*@")
_ARGUMENTS: Final = {
    "host": "HOST",
    "port": "PORT",
    "base_path": "BASE_PATH",
    "workers": "WORKERS",
    "allowed_hosts": "ALLOWED_HOSTS",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `serve`."""
    parser.add_argument(
        "stores",
        nargs="*",
        metavar="DIRECTORY-OR-URL",
        help="what to serve; of several the first has the highest precedence",
    )
    add_settings_argument(parser)
    for name, setting in _ARGUMENTS.items():
        known = KNOWN[setting]
        default = f" (default: {known.default})" if known.default else ""
        parser.add_argument("--" + name.replace("_", "-"), help=known.text + default)
    parser.add_argument(
        "--insecure",
        action="store_true",
        default=None,
        help="listen beyond this machine although no credential is configured",
    )


def add_settings_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the argument that names the settings file."""
    parser.add_argument("--settings", metavar="FILE", help="TOML file of settings")


def gather(arguments: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of `serve` by their names without prefix.

    Raises:
        SettingsError: A setting does not exist, or the file cannot be used.
    """
    given: dict[str, str | None] = {
        setting: getattr(arguments, name) for name, setting in _ARGUMENTS.items()
    }
    given["BACKEND"] = "\n".join(arguments.stores) or None
    given["INSECURE"] = "true" if arguments.insecure else None
    said = {name: value for name, value in given.items() if value is not None}
    return read_settings(arguments.settings, environ) | said


def read_settings(file: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the environment says, and below it a file, by names without prefix.

    Args:
        file: A TOML file, `None` for the one that the environment names.
        environ: The environment.

    Raises:
        SettingsError: A setting does not exist, or the file cannot be used.
    """
    given = settings_in(environ)
    for name, value in given.items():
        _check_known(name, [*KNOWN, _FILE, *FILE_SETTINGS], prefix=PREFIX)
        if (text := as_utf8(value)) is None:
            raise SettingsError(f"{PREFIX}{name} is not UTF-8")
        given[name] = text
    named = given.pop(_FILE, None)
    path = file or named
    from_file = read_file(Path(path)) if path else {}
    return from_file | read_secret_files(given, spelled=lambda name: PREFIX + name)


def settings_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in an environment by names without prefix, unchecked.

    Variables that Kubernetes injects for services are left out.
    """
    given = {
        name.removeprefix(PREFIX): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    return {name: value for name, value in given.items() if not is_service_link(name, value)}


def read_file(path: Path) -> dict[str, str]:
    """Read a TOML file of settings, whose keys are the names in lower case with dashes.

    Raises:
        SettingsError: It cannot be read, holds what does not exist, or holds a secret that
            everybody on the machine may read; or a file that it names cannot be used.
    """
    try:
        mode = path.stat().st_mode
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError:  # not chained: it holds the bytes
        raise SettingsError(f"{str(path)!r} is not UTF-8") from None
    except ValueError as error:  # broken TOML
        raise SettingsError(f"{str(path)!r}: {error}") from error
    known = {toml_key(name): name for name in [*KNOWN, *FILE_SETTINGS]}
    for key in document:
        _check_known(key, known, prefix="", where=f"{str(path)!r}: ")
    values = {
        known[key]: _text(known[key], value, f"{str(path)!r}: {key!r}")
        for key, value in document.items()
    }
    secret = values.keys() & SECRETS or _PASSWORD_IN_URL.search(values.get("BACKEND", ""))
    if secret and mode & _FOR_OTHERS:
        raise SettingsError(
            f"{str(path)!r} holds a secret and is open to everybody on this machine; "
            f"close it with: chmod o= {shlex.quote(str(path))}"
        )
    return read_secret_files(
        values, where=f"{str(path)!r}: ", spelled=lambda name: repr(toml_key(name))
    )


def toml_key(name: str) -> str:
    """Return how a settings file names a setting."""
    return name.lower().replace("_", "-")


def _text(name: str, value: object, where: str) -> str:
    """Return a TOML value in the form that the environment has."""
    if name in MAPPINGS:
        if not isinstance(value, dict):
            raise SettingsError(f"{where} is a table of keys and values")
        try:
            return json.dumps(copy_properties(cast("Mapping[str, object]", value)))  # TOML's own
        except ConfigFormatError as error:
            raise SettingsError(f"{where}: {error}") from error
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    if name in LISTS and isinstance(value, list):
        lines = cast("list[object]", value)  # TOML tells no more
        if all(isinstance(line, str) for line in lines):
            return LISTS[name].join(map(str, lines))
    raise SettingsError(f"{where} has a value of the wrong type")


def _check_known(name: str, known: Iterable[str], *, prefix: str, where: str = "") -> None:
    names = list(known)
    if name not in names:
        near = nearest(name, names)
        hint = f"did you mean {prefix}{near}?" if near else "known are: " + ", ".join(names)
        raise SettingsError(f"{where}there is no setting {prefix}{name}; {hint}")
