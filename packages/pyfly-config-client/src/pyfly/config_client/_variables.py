"""The environment variables that tell a client what to fetch."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

PREFIX: Final = "PYFLY_CONFIG_"
SERVER_PREFIX: Final = "PYFLY_CONFIG_SERVER_"

_LOG: Final = logging.getLogger("pyfly.config_client")
_TRUE: Final = {"true", "1", "yes", "on"}
_FALSE: Final = {"false", "0", "no", "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable, without its prefix."""

    argument: str
    """The argument of a client that it stands for."""
    text: str
    """What it means, for those who ask for help."""
    read: Callable[[str], Any] = str


def _flag(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text.lower() in _TRUE


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]


def _number(kind: type[int] | type[float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return kind(text)
        except ValueError:
            raise ValueError("must be a number") from None

    return read


KNOWN: Final = {
    "URL": Variable(
        argument="server_url", text="address of the server; several with commas", read=_listed
    ),
    "APPLICATION": Variable(argument="application", text="name of the application"),
    "PROFILE": Variable(argument="profile", text="profiles, the last one wins (default)"),
    "LABEL": Variable(
        argument="label", text="label; of several with commas the first that exists", read=_listed
    ),
    "BASE_PATH": Variable(argument="base_path", text="where the routes are mounted (/config)"),
    "USERNAME": Variable(argument="username", text="user name"),
    "PASSWORD": Variable(argument="password", text="password"),
    "TOKEN": Variable(argument="token", text="bearer token, instead of those two"),
    "TOKEN_FILE": Variable(argument="token_file", text="file that holds the token"),
    "TIMEOUT": Variable(
        argument="timeout", text="seconds for everything (10)", read=_number(float)
    ),
    "ATTEMPTS": Variable(
        argument="attempts", text="how often all servers are asked at most", read=_number(int)
    ),
    "POLICY": Variable(
        argument="policy", text="prefer_server (the default), require_server, offline"
    ),
    "STRATEGY": Variable(argument="strategy", text="always (the default), connection-timeout-only"),
    "ALLOW_EMPTY": Variable(
        argument="allow_empty", text="true: nothing stored is accepted", read=_flag
    ),
    "ALLOW_SHRINK": Variable(
        argument="allow_shrink", text="true: losing most properties is accepted", read=_flag
    ),
    "PLACEHOLDERS": Variable(
        argument="placeholders", text="false: ${...} is left as it is", read=_flag
    ),
    "SNAPSHOT_DIR": Variable(argument="snapshot_dir", text="where snapshots live; off: nowhere"),
    "SNAPSHOT_KEY": Variable(
        argument="snapshot_key", text="32 bytes in base64 to encrypt snapshots with"
    ),
    "BASELINE": Variable(argument="baseline", text="document to use when all else fails"),
    "CA_FILE": Variable(argument="ca_file", text="certificates to recognise the server by"),
    "CLIENT_CERT": Variable(argument="client_cert", text="certificate to be recognised by"),
    "CLIENT_KEY": Variable(argument="client_key", text="its key, if that is another file"),
}
"""All variables, by their names behind the prefix."""

_REQUIRED: Final = ("URL", "APPLICATION")


def read_variables(environ: Mapping[str, str], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client; those given win over variables.

    An empty variable counts as absent, except `BASE_PATH`, which may be empty. One that is not
    known is logged: it may be misspelt, or somebody else's.

    Raises:
        ValueError: A variable is missing or cannot be read; names it, shows no value.
    """
    found: dict[str, Any] = {}
    for name, variable in KNOWN.items():
        text = environ.get(PREFIX + name)
        if text is None or (not text and name != "BASE_PATH"):
            continue
        try:
            found[variable.argument] = variable.read(text)
        except ValueError as error:
            raise ValueError(f"{PREFIX}{name} {error}") from None
    _note_unknown(environ)
    given = {name: value for name, value in arguments.items() if value is not None}
    if {"token", "token_file"} & given.keys():
        found = {k: v for k, v in found.items() if k not in {"token", "token_file"}}
    found |= given
    missing = [name for name in _REQUIRED if KNOWN[name].argument not in found]
    if missing:
        raise ValueError(f"set {' and '.join(PREFIX + name for name in missing)}")
    return found


def _note_unknown(environ: Mapping[str, str]) -> None:
    """Log variables that may be misspelt; not those that Kubernetes injects for its Services."""
    for name, value in environ.items():
        short = name.removeprefix(PREFIX)
        if short == name or name.startswith(SERVER_PREFIX) or short in KNOWN:
            continue
        from pyfly.config_core.service_links import is_service_link  # noqa: PLC0415 - if need be

        if not is_service_link(short, value):
            _LOG.warning("%s is not a variable of this client%s", name, _hint(short))


def _hint(short: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a warning

    close = get_close_matches(short, KNOWN, 1)
    return f"; did you mean {PREFIX}{close[0]}?" if close else ""
