"""What `serve` needs to know, from its arguments and the environment. Nothing is opened here."""

import argparse
import difflib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyfly.config_core import DEFAULT_LABEL, ConfigError
from pyfly.config_server import SharedCredential

PREFIX: Final = "PYFLY_CONFIG_SERVER_"

KNOWN: Final[dict[str, str]] = {
    "BACKEND": "directory or URL to serve, when none is given as an argument",
    "HOST": "address to listen on (127.0.0.1)",
    "PORT": "port to listen on (8888)",
    "BASE_PATH": "where the routes are mounted (/config)",
    "WORKERS": "number of processes (1)",
    "DEFAULT_LABEL": "label of requests that name none (main)",
    "USERNAME": "user name that clients must present, with PASSWORD",
    "PASSWORD": "password that clients must present, with USERNAME",
    "TOKEN": "bearer token that clients must present, instead of USERNAME and PASSWORD",
    "INSECURE": "'true' to listen beyond this machine without a credential",
}

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_TRUE: Final = frozenset({"1", "on", "true", "yes"})
_FALSE: Final = frozenset({"", "0", "off", "false", "no"})
_MAX_PORT: Final = 65_535
_MAX_WORKERS: Final = 256


class SettingsError(ConfigError, ValueError):
    """A setting or an argument cannot be used; says which and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Everything that `serve` was told."""

    backend: str = field(repr=False)
    """URL of the store; may carry credentials."""
    shown: str
    """The store as it may be shown."""
    host: str
    port: int
    base_path: str
    workers: int
    default_label: str
    credential: SharedCredential | None

    @property
    def url(self) -> str:
        """Where the documents are found."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.base_path}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `serve`."""
    parser.add_argument("store", nargs="?", metavar="DIRECTORY-OR-URL", help="what to serve")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (default: 8888)")
    parser.add_argument("--base-path", help="where the routes are mounted (default: /config)")
    parser.add_argument("--workers", help="number of processes (default: 1)")
    parser.add_argument(
        "--insecure",
        action="store_true",
        default=None,
        help="listen beyond this machine although no credential is configured",
    )


def to_environment(arguments: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings by their names without prefix; arguments win over the environment.

    Raises:
        SettingsError: The environment holds a setting that does not exist.
    """
    found = {
        name.removeprefix(PREFIX): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    for name in found:
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, 1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "known are: " + ", ".join(KNOWN)
            raise SettingsError(f"there is no setting {PREFIX}{name}; {hint}")
    given = {
        "BACKEND": arguments.store,
        "HOST": arguments.host,
        "PORT": arguments.port,
        "BASE_PATH": arguments.base_path,
        "WORKERS": arguments.workers,
        "INSECURE": "true" if arguments.insecure else None,
    }
    return found | {name: value for name, value in given.items() if value is not None}


def parse_settings(values: Mapping[str, str]) -> ServeSettings:
    """Check every setting.

    Args:
        values: By name without prefix.

    Raises:
        SettingsError: One of them cannot be used.
    """
    backend, shown = _backend(values.get("BACKEND", ""))
    settings = ServeSettings(
        backend=backend,
        shown=shown,
        host=values.get("HOST", "127.0.0.1"),
        port=_number(values, "PORT", default=8888, limit=_MAX_PORT),
        base_path=values.get("BASE_PATH", "/config"),
        workers=_number(values, "WORKERS", default=1, limit=_MAX_WORKERS),
        default_label=values.get("DEFAULT_LABEL", DEFAULT_LABEL),
        credential=_credential(values),
    )
    if settings.workers > 1 and backend.startswith("memory:"):
        raise SettingsError("'memory:' is one process's own; serve it with one worker")
    insecure = _flag(values, "INSECURE")
    if settings.credential is None and not insecure and not _is_loopback(settings.host):
        raise SettingsError(
            f"{settings.host} is reachable from other machines and no credential is configured; "
            f"set {PREFIX}TOKEN, or {PREFIX}USERNAME and {PREFIX}PASSWORD, or say --insecure"
        )
    return settings


def _backend(text: str) -> tuple[str, str]:
    if not text:
        raise SettingsError(
            f"what shall be served? Name a directory or a URL, or set {PREFIX}BACKEND; "
            "for example: pyfly-config serve ./config"
        )
    if _SCHEME.match(text):
        return text, text.partition(":")[0] + ":"
    path = Path(text)
    if not path.exists():
        raise SettingsError(f"there is no directory {text!r}")
    if not path.is_dir():
        raise SettingsError(f"{text!r} is a file; name the directory that holds the labels")
    return path.resolve().as_uri(), text


def _number(values: Mapping[str, str], name: str, *, default: int, limit: int) -> int:
    text = values.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= limit):
        low = name.lower().replace("_", " ")
        raise SettingsError(f"the {low} must be a number from 1 to {limit}, not {text[:40]!r}")
    return int(text)


def _flag(values: Mapping[str, str], name: str) -> bool:
    text = values.get(name, "").lower()
    if text not in _TRUE | _FALSE:
        raise SettingsError(f"{PREFIX}{name} must be 'true' or 'false'")
    return text in _TRUE


def _credential(values: Mapping[str, str]) -> SharedCredential | None:
    username, password = values.get("USERNAME"), values.get("PASSWORD")
    token = values.get("TOKEN")
    if token is not None and (username is not None or password is not None):
        raise SettingsError(f"set either {PREFIX}TOKEN or a user name and a password, not both")
    if (username is None) != (password is None):
        raise SettingsError(f"{PREFIX}USERNAME and {PREFIX}PASSWORD belong together")
    try:
        if token is not None:
            return SharedCredential.bearer(token)
        if username is not None and password is not None:
            return SharedCredential.basic(username=username, password=password)
    except ValueError as error:
        raise SettingsError(f"the credential cannot be used: {error}") from error
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
