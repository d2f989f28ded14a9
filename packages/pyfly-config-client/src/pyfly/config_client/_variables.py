"""The environment variables that configure a client."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pyfly.config_client.errors import closest
from pyfly.config_core.service_links import is_service_link

PREFIX: Final = "PYFLY_CONFIG_"
SERVER_PREFIX: Final = "PYFLY_CONFIG_SERVER_"

_LOG: Final = logging.getLogger("pyfly.config_client")
_TRUE: Final = {"true", "1", "yes", "on"}
_FALSE: Final = {"false", "0", "no", "off"}


class Variable(NamedTuple):
    """One variable."""

    argument: str
    """The argument of `ClientConfig` that it sets."""
    help: str
    """Its meaning and its default, for `--help`."""
    read: Callable[[str], Any] = str
    """Converts its text; raises `ValueError`."""


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


VARIABLES: Final = {
    variable.argument.upper().removeprefix("SERVER_"): variable
    for variable in (
        Variable(
            argument="server_url", help="address of the server; several with commas", read=_listed
        ),
        Variable(argument="application", help="name of the application"),
        Variable(
            argument="profile", help="profiles, the last one has the highest precedence (default)"
        ),
        Variable(
            argument="label",
            help="label; of several with commas the first that exists",
            read=_listed,
        ),
        Variable(argument="keys", help="only these properties, with commas: db,feature.*"),
        Variable(argument="base_path", help="where the routes are mounted (/config)"),
        Variable(argument="username", help="user name"),
        Variable(argument="password", help="password"),
        Variable(argument="token", help="bearer token, instead of those two"),
        Variable(argument="token_file", help="file that contains the token"),
        Variable(argument="timeout", help="seconds for the whole fetch (10)", read=_number(float)),
        Variable(argument="attempts", help="limit of attempts at all servers", read=_number(int)),
        Variable(argument="policy", help="prefer_server (the default), require_server, offline"),
        Variable(argument="strategy", help="always (the default), connection-timeout-only"),
        Variable(argument="allow_empty", help="true: accept no properties", read=_flag),
        Variable(
            argument="allow_shrink", help="true: accept the loss of most properties", read=_flag
        ),
        Variable(argument="placeholders", help="false: leave ${...} unresolved", read=_flag),
        Variable(argument="snapshot_dir", help="directory of snapshots; off: no snapshots"),
        Variable(argument="snapshot_key", help="32 bytes in base64 that encrypt snapshots"),
        Variable(argument="baseline", help="document to use if nothing else is available"),
        Variable(argument="ca_file", help="certificates that the server's must be signed by"),
        Variable(argument="client_cert", help="certificate of the client"),
        Variable(argument="client_key", help="its key, if that is another file"),
    )
}
"""All variables, by their names without the prefix."""

_REQUIRED: Final = ("URL", "APPLICATION")


def read_variable(name: str, environ: Mapping[str, str]) -> Any:
    """Return the value of one variable, converted; `None` if it is not set.

    An empty variable counts as not set, except `BASE_PATH`, which may be empty.

    Args:
        name: Without the prefix.
        environ: Names to values.

    Raises:
        ValueError: It cannot be converted. The error names it and shows no value.
    """
    text = environ.get(PREFIX + name)
    if text is None or (not text and name != "BASE_PATH"):
        return None
    try:
        return VARIABLES[name].read(text)
    except ValueError as error:
        raise ValueError(f"{PREFIX}{name} {error}") from None


def read_variables(environ: Mapping[str, str], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ClientConfig`. `arguments` take precedence, except `None`.

    An unknown variable is logged: it may be misspelled.

    Raises:
        ValueError: A variable is missing or cannot be converted. The error names it and shows no
            value.
    """
    read = {one.argument: read_variable(name, environ) for name, one in VARIABLES.items()}
    found = {name: value for name, value in read.items() if value is not None}
    _log_unknown(environ)
    given = {name: value for name, value in arguments.items() if value is not None}
    if {"token", "token_file"} & given.keys():
        found = {k: v for k, v in found.items() if k not in {"token", "token_file"}}
    found |= given
    missing = [name for name in _REQUIRED if VARIABLES[name].argument not in found]
    if missing:
        raise ValueError(f"set {' and '.join(PREFIX + name for name in missing)}")
    return found


def _log_unknown(environ: Mapping[str, str]) -> None:
    """Log variables that may be misspelled, but not those that Kubernetes sets for Services."""
    for name, value in environ.items():
        short = name.removeprefix(PREFIX)
        if short == name or name.startswith(SERVER_PREFIX) or short in VARIABLES:
            continue
        if not is_service_link(short, value):
            near = closest(short, VARIABLES)
            hint = f"; did you mean {PREFIX}{near}?" if near else ""
            _LOG.warning("%s is not a variable of this client%s", name, hint)
