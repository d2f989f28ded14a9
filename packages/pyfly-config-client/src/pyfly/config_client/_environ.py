"""Environment variables: that set properties, are made of them, and configure a client."""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyfly.config_client._merging import UnresolvedValue, as_text
from pyfly.config_client.errors import PropertyTypeError, closest
from pyfly.config_core import PropertySource
from pyfly.config_core.property_names import (
    canonical,
    elements,
    is_index,
    join,
    snake_variable,
    variable,
)
from pyfly.config_core.service_links import is_service_link, is_service_url

if TYPE_CHECKING:
    from pyfly.config_client._properties import Properties

_LOG: Final = logging.getLogger("pyfly.config_client")

_NO_LETTERS: Final = re.compile(r"[^A-Z0-9]+")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9_]")


def environment_source(
    keys: Iterable[str], environ: Mapping[str, str], prefix: str = ""
) -> PropertySource:
    """Return the environment variables that set keys, as a source; their names are the origins.

    `db.pool-size` is set by `DB_POOLSIZE`, or else by `DB_POOL_SIZE`, as in Spring; names in
    lower case are read if those are not set. A list is set as a whole by `HOSTS=a,b`, or else by
    `HOSTS_0`, `HOSTS_1`, …, which may be more than the list had. Addresses that Kubernetes sets
    for Services are ignored: `REDIS_PORT=tcp://10.0.0.1:6379` does not set `redis.port`.

    The keys are those of all other sources, in all their spellings.
    """
    environ = {name: value for name, value in environ.items() if not is_service_url(name, value)}
    lists: dict[str, list[tuple[str, str, str]]] = {}
    wanted: dict[str, None] = {}
    for key in dict.fromkeys(keys):
        if (parts := _at_index(key)) is None:
            wanted[key] = None
        else:
            wanted[parts[0]] = None
            lists.setdefault(canonical(parts[0]), []).append(parts)
    names = _Names(environ, prefix, [*wanted, *(_join_at(*p) for ps in lists.values() for p in ps)])
    found = names.set_among(wanted)
    whole = {canonical(key) for key in found}
    for name, listed in lists.items():
        if name not in whole:
            found |= names.set_among(_elements(listed, names))
    return PropertySource(
        name="environment",
        source={key: environ[name] for key, name in found.items()},
        origins=found,
    )


def key_for_variable(name: str, spellings: Mapping[str, str]) -> str | None:
    """Return the key that a variable sets, of keys by canonical names; `None` if it sets no key.

    >>> key_for_variable("DB_POOL_SIZE", {"db.url": "db.url", "db.poolsize": "db.pool-size"})
    'db.pool-size'
    """
    letters = _letters(name)
    wanted = letters.lower()
    found: str | None = None
    for canonical_name, key in spellings.items():
        plain = canonical_name.replace(".", "")
        if plain != wanted and (plain.isalnum() or _letters(plain) != letters):
            continue
        if variable(key) == name:
            return key
        if found is None and snake_variable(key) == name:
            found = key
    return found


def _at_index(key: str) -> tuple[str, str, str] | None:
    """Return the parts of a key before, in and after its first index; `None` without one."""
    if "[" not in key:
        return None
    parts = elements(key)
    for place, (name, in_brackets) in enumerate(parts):
        if in_brackets and is_index(name):
            return join(parts[:place]), name, join(parts[place + 1 :])
    return None


def _join_at(stem: str, index: str, rest: str) -> str:
    """Return the key that `_at_index` split into these parts."""
    dot = "." if rest and rest[0] != "[" else ""
    return f"{stem}[{index}]{dot}{rest}"


def _elements(listed: list[tuple[str, str, str]], names: "_Names") -> Iterator[str]:
    """Yield the keys of a list that variables may set: existing and following elements."""
    for parts in listed:
        yield _join_at(*parts)
    shapes = dict.fromkeys((stem, rest) for stem, _, rest in listed)
    index, going_on = 0, True
    while going_on:
        made = [_join_at(stem, str(index), rest) for stem, rest in shapes]
        yield from made
        going_on = any(names.of(key) is not None for key in made)
        index += 1


class _Names:
    """The variables of an environment, looked up by key."""

    def __init__(self, environ: Mapping[str, str], prefix: str, keys: Iterable[str]) -> None:
        self._prefix = _folded(prefix)
        self._variables = {_folded(name): name for name in environ}
        self._variables.update((name, name) for name in environ if name in self._variables)
        self._letters = {_letters(name) for name in environ}
        self._start = _letters(prefix)
        likely = (key for key in keys if self._is_likely(key))
        self._claimed = {variable(key): canonical(key) for key in likely}

    def _is_likely(self, key: str) -> bool:
        """True if a variable has the letters and digits of a key; a fast test for most keys."""
        return self._start + _letters(key) in self._letters

    def of(self, key: str) -> str | None:
        """Return the name of the variable that sets a key; `None` if it is not set."""
        if not self._is_likely(key):
            return None
        found = self._variables.get(self._prefix + variable(key))
        if found is None:
            second = snake_variable(key)
            if self._claimed.get(second, canonical(key)) == canonical(key):
                found = self._variables.get(self._prefix + second)
        return found

    def set_among(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the keys that are set, each in one spelling, and the names of the variables."""
        found: dict[str, tuple[str, str]] = {}
        for key in keys:
            if (name := self.of(key)) is not None:
                found.setdefault(canonical(key), (key, name))
        return dict(found.values())


def _letters(name: str) -> str:
    return _NO_LETTERS.sub("", name.upper())


def _folded(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name.upper())


# --- made of properties ---------------------------------------------------------------


def apply_to_environ(
    properties: "Properties",
    environ: MutableMapping[str, str] | None = None,
    *,
    prefix: str = "",
    overwrite: bool = False,
) -> Mapping[str, str]:
    """Set environment variables from properties: `DB_POOL_SIZE` from `db.pool-size`.

    A variable that is already set is not changed, because the environment takes precedence over
    the server. It may also be set as `DB_POOLSIZE`, another name of the same property. A
    property whose placeholders cannot be resolved is left out and logged. A property with an
    empty name is left out.

    Args:
        properties: The result of a fetch.
        environ: Changed instead of the environment of this process.
        prefix: The start of every name, such as `ORDERS_`.
        overwrite: Replace variables that are already set.

    Returns:
        The variables that were set.

    Raises:
        PropertyTypeError: Two keys would have the same name. No variable was set.
        ValueError: The prefix contains `=` or a NUL.
    """
    target = os.environ if environ is None else environ
    chosen = variables_of(properties, prefix, besides=() if overwrite else target)
    target.update(chosen)
    return chosen


def variables_of(
    properties: "Properties", prefix: str = "", *, besides: Container[str] = ()
) -> dict[str, str]:
    """Return properties as environment variables, without those that are already set.

    Raises:
        PropertyTypeError: Two keys with different values would have the same name, or a value
            contains a NUL.
        ValueError: The prefix cannot be part of a name.
    """
    if "=" in prefix or "\0" in prefix:
        raise ValueError("the prefix of variables must not contain '=' or a NUL")
    texts = dict(_texts(properties))
    shared = Counter(map(snake_variable, texts))
    found: dict[str, str] = {}
    for key, text in texts.items():
        snake = snake_variable(key)
        name = prefix + (snake if shared[snake] == 1 else variable(key))
        other = found.setdefault(name, key)
        if texts[other] != text:
            raise PropertyTypeError(f"{other!r} and {key!r} would both be the variable {name}")
    return {
        name: texts[key]
        for name, key in found.items()
        if name not in besides and prefix + variable(key) not in besides
    }


def _texts(properties: "Properties") -> Iterator[tuple[str, str]]:
    for key, value in properties.entries().values():
        if isinstance(value, UnresolvedValue):
            _LOG.warning("%s; it is left out", value.error())
            continue
        text = as_text(value)
        if "\0" in text:
            raise PropertyTypeError(f"the property {key!r} contains a NUL, which no variable can")
        if variable(key):  # a key that consists of brackets has no name
            yield key, text


# --- of a client ----------------------------------------------------------------------

PREFIX: Final = "PYFLY_CONFIG_"
SERVER_PREFIX: Final = "PYFLY_CONFIG_SERVER_"

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
        Variable("server_url", "address of the server; several with commas", _listed),
        Variable("application", "name of the application"),
        Variable("profile", "profiles, the last one has the highest precedence (default)"),
        Variable("label", "label; of several with commas the first that exists", _listed),
        Variable("keys", "only these properties, with commas: db,feature.*"),
        Variable("base_path", "where the routes are mounted (/config)"),
        Variable("username", "user name"),
        Variable("password", "password"),
        Variable("token", "bearer token, instead of those two"),
        Variable("token_file", "file that contains the token"),
        Variable("timeout", "seconds for the whole fetch (10)", _number(float)),
        Variable("attempts", "limit of attempts at all servers", _number(int)),
        Variable("policy", "prefer_server (the default), require_server, offline"),
        Variable("strategy", "always (the default), connection-timeout-only"),
        Variable("allow_empty", "true: accept no properties", _flag),
        Variable("allow_shrink", "true: accept the loss of most properties", _flag),
        Variable("placeholders", "false: leave ${...} unresolved", _flag),
        Variable("snapshot_dir", "directory of snapshots; off: no snapshots"),
        Variable("snapshot_key", "32 bytes in base64 that encrypt snapshots"),
        Variable("decrypt_keys", "JSON object of keys that decrypt values bound to a place"),
        Variable("decrypt_keys_file", "file that contains these keys"),
        Variable("baseline", "document to use if nothing else is available"),
        Variable("ca_file", "certificates that the server's must be signed by"),
        Variable("client_cert", "certificate of the client"),
        Variable("client_key", "its key, if that is another file"),
    )
}
"""All variables, by their names without the prefix."""

_REQUIRED: Final = ("URL", "APPLICATION")


def read_variable(name: str, environ: Mapping[str, str]) -> Any:
    """Return the value of one variable, converted; `None` if it is not set.

    The name is without the prefix. An empty variable counts as not set, except `BASE_PATH`.

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
