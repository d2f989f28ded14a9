"""The arguments of a client: the environment variables that give them, and checks of their types.

A wrong type is found before the first fetch. No error shows a value, because it may be a
credential.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

from pyfly.config_client.errors import closest
from pyfly.config_core.service_links import is_service_link

_MAX_SECONDS: Final = 86_400

_Kind: TypeAlias = tuple[str, Callable[[object], bool]]
"""What an argument may be: a name for errors, and a function that accepts a value."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_names(value: object) -> bool:
    if isinstance(value, str):
        return True
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray | memoryview):
        return False
    return all(isinstance(one, str) for one in cast("Sequence[object]", value))


def _is_texts_by_name(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    items = cast("Mapping[object, object]", value).items()
    return all(isinstance(name, str) and isinstance(text, str) for name, text in items)


def _is_path(value: object) -> bool:
    if not isinstance(value, str | os.PathLike):
        return False
    path: object = os.fspath(cast("os.PathLike[Any]", value))
    return isinstance(path, str)  # it may be bytes


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_TEXT: Final[_Kind] = ("a text", _is_text)
_NAMES: Final[_Kind] = ("a text or a sequence of texts", _is_names)
_PATH: Final[_Kind] = ("a path", _is_path)
_FLAG: Final[_Kind] = ("True or False", _is_flag)
_NUMBER: Final[_Kind] = ("a number", _is_number)
_COUNT: Final[_Kind] = ("a whole number", _is_count)
_KEYS: Final[_Kind] = (
    "a text or a mapping of texts",
    lambda value: _is_text(value) or _is_texts_by_name(value),
)
_FUNCTION: Final[_Kind] = ("a function", callable)

_KINDS: Final[Mapping[str, _Kind]] = {
    "server_url": _NAMES,
    "application": _TEXT,
    "profile": _NAMES,
    "label": _NAMES,
    "keys": _NAMES,
    "base_path": _TEXT,
    "username": _TEXT,
    "password": _TEXT,
    "token": _TEXT,
    "token_file": _PATH,
    "timeout": _NUMBER,
    "attempts": _COUNT,
    "policy": _TEXT,
    "strategy": _TEXT,
    "allow_empty": _FLAG,
    "allow_shrink": _FLAG,
    "placeholders": _FLAG,
    "validate": _FUNCTION,
    "snapshot_dir": _PATH,
    "snapshot_key": _TEXT,
    "decrypt_keys": _KEYS,
    "decrypt_keys_file": _PATH,
    "baseline": _PATH,
    "ca_file": _PATH,
    "client_cert": _PATH,
    "client_key": _PATH,
}


def check_argument(name: str, value: object) -> None:
    """Reject a value of a wrong type, and a path that no file can have.

    Args:
        name: The name of an argument of `ClientConfig`; `transport` is checked elsewhere.
        value: Not a default of `None`.

    Raises:
        TypeError: It has a wrong type.
        ValueError: It is an empty path, or a path with a character that is not possible.
    """
    expected, accepts = kind = _KINDS[name]
    if not accepts(value):
        raise TypeError(f"{name} must be {expected}, not {_described(value)}")
    if kind is _PATH:
        _check_path(name, os.fspath(cast("str | os.PathLike[str]", value)))


def check_transport(transport: object) -> None:
    """Reject what is not a `Transport`.

    Raises:
        TypeError: It lacks a member of `Transport`, or is a class.
    """
    members = ("in_memory", "send", "start")
    if isinstance(transport, type) or not all(hasattr(transport, one) for one in members):
        raise TypeError(
            f"{_described(transport)} is not a Transport of this package, which has "
            f"{', '.join(members)}; wrap a transport of httpx: transport=HttpxTransport(…)"
        )


def check_seconds(name: str, seconds: float) -> None:
    """Reject a time that an operating system cannot wait for, such as infinity.

    Raises:
        TypeError: It is not a number.
        ValueError: It is not more than 0, or more than a day.
    """
    if not _is_number(seconds):
        raise TypeError(f"{name} must be {_NUMBER[0]}, not {_described(seconds)}")
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(f"{name} must be more than 0 seconds and at most a day")


def _check_path(name: str, path: str) -> None:
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # not chained: it contains the text
        possible = False
    if not path:
        raise ValueError(f"{name} must not be empty")
    if not possible:
        raise ValueError(f"{name} contains a character that no path can have")


def _described(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


# --- variables ------------------------------------------------------------------------

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
        Variable(
            argument="decrypt_keys", help="JSON object of keys that decrypt values bound to a place"
        ),
        Variable(argument="decrypt_keys_file", help="file that contains these keys"),
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
