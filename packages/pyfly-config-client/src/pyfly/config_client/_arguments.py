"""Checks of the types of a client's arguments, so that a wrong one is found before the first fetch.

No error shows a value, because it may be a credential.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

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
