"""Replacing `${key}` and `${key:default}` by the values of keys (contract §4.4)."""

import re
from collections.abc import Callable
from typing import Final

from pyfly.config_core.errors import ConfigFormatError

MAX_PLACEHOLDER_DEPTH: Final = 64
MAX_RESOLVED: Final = 5_000_000
"""Characters in all values that one call may put in."""

_OPEN: Final = "${"
_ESCAPES: Final = ("\\\\" + _OPEN, "\\" + _OPEN)
_BRACE: Final = re.compile(r"[{}]")
_SHOWN_KEY_LENGTH: Final = 100


def resolve_placeholders(
    text: str, lookup: Callable[[str], str | None], *, trim: bool = False
) -> str:
    r"""Replace every placeholder in a text whose key has a value or that names a default.

    Placeholders inside of values, of keys and of defaults are replaced too. One that has neither
    value nor default is left as it is, and so is a `${` that is never closed; `\${x}` stands for
    `${x}`.

    >>> resolve_placeholders(r"${a}-${b:${a}!}-${c}-\${a}", {"a": "x"}.get)
    'x-x!-${c}-${a}'

    Args:
        text: What to resolve.
        lookup: Returns the value of a key, or `None`.
        trim: Whether blanks around a key and around what a placeholder holds are ignored.

    Raises:
        ConfigFormatError: A placeholder leads back to itself, placeholders are nested too
            deeply, or their values are too long together. Names the key, shows no value.
    """
    return _Resolver(lookup, trim=trim).resolve(text, ())


class _Resolver:
    """Resolves one text and counts what that costs."""

    def __init__(self, lookup: Callable[[str], str | None], *, trim: bool) -> None:
        self._lookup = lookup
        self._trim = trim
        self._spent = 0

    def resolve(self, text: str, path: tuple[str, ...]) -> str:
        """Replace the placeholders of `text`, which the keys in `path` have led to."""
        if _OPEN not in text:
            return text
        if len(path) > MAX_PLACEHOLDER_DEPTH:
            raise ConfigFormatError(f"placeholders are nested too deeply, at {_shown(path[-1])}")
        closings = _closings(text)
        done: list[str] = []
        position = 0
        while (start := text.find(_OPEN, position)) >= 0:
            escape = next((e for e in _ESCAPES if text.endswith(e, position, start + 2)), None)
            if escape is not None:
                done += [text[position : start + len(_OPEN) - len(escape)], _OPEN]
                position = start + len(_OPEN)
                continue
            end = closings.get(start + 1)
            if end is None:
                done.append(text[position : start + len(_OPEN)])
                position = start + len(_OPEN)
                continue
            inside = text[start + len(_OPEN) : end]
            value = self._value(inside, path)
            done += [text[position:start], text[start : end + 1] if value is None else value]
            position = end + 1
        return "".join((*done, text[position:]))

    def _value(self, inside: str, path: tuple[str, ...]) -> str | None:
        """Return what a placeholder stands for; `None` leaves it as it is."""
        inside = self.resolve(inside, (*path, inside))
        inside = inside.strip() if self._trim else inside
        if (found := self._lookup(inside)) is not None:
            return self._followed(inside, found, path)
        key, colon, default = inside.partition(":")
        if self._trim:
            key, default = key.strip(), default.strip()
        if colon and (found := self._lookup(key)) is not None:
            return self._followed(key, found, path)
        return default if colon else None

    def _followed(self, key: str, value: str, path: tuple[str, ...]) -> str:
        self._spent += len(value)
        if self._spent > MAX_RESOLVED:
            raise ConfigFormatError(f"placeholders put in too much text, at {_shown(key)}")
        if _key_mark(key) in path:
            raise ConfigFormatError(f"the placeholder {_shown(key)} leads back to itself")
        return self.resolve(value, (*path, _key_mark(key)))


def _key_mark(key: str) -> str:
    """Return a key as it stands in a path, where the insides of placeholders stand too."""
    return f"={key}"


def _closings(text: str) -> dict[int, int]:
    """Return for every brace that is closed where it is closed."""
    closings: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACE.finditer(text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif opened:
            closings[opened.pop()] = brace.start()
    return closings


def _shown(key: str) -> str:
    return repr(key.removeprefix("=")[:_SHOWN_KEY_LENGTH])
