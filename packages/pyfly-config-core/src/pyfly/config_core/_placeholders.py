r"""Replacing `${key}` and `${key:default}` by the values of keys.

The rules are those of Spring Framework's `PlaceholderParser`, with which Spring Cloud Config
fills the flattened formats and plain files. Pure functions over texts; the caller looks up
keys.
"""

import re
from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from pyfly.config_core._quoting import shown
from pyfly.config_core.errors import ConfigFormatError
from pyfly.config_core.limits import MAX_FLAT_BYTES, MAX_PLACEHOLDERS

MAX_PLACEHOLDER_DEPTH: Final = 64

_OPEN: Final = "${"
_ESCAPE: Final = "\\"
_SEPARATOR: Final = ":"
_BRACE: Final = re.compile(r"\$?\{|\}")
_PLAIN_BRACE: Final = -1


def resolve_placeholders(
    text: str, lookup: Callable[[str], str | None], *, trim: bool = False
) -> str:
    r"""Return one text with its placeholders replaced. For several texts: `PlaceholderResolver`.

    >>> resolve_placeholders(r"${a}-${b:${a}!}-${c}-\${a}", {"a": "x"}.get)
    'x-x!-${c}-${a}'

    Raises:
        ConfigFormatError: As `PlaceholderResolver.resolve`.
    """
    return PlaceholderResolver(lookup, trim=trim).resolve(text)


class PlaceholderResolver:
    """Replaces the placeholders in all texts of one answer and limits the total cost.

    Make one for each answer, or for each set of properties, and give it every text. The value of
    a key is resolved once, however many texts refer to it. All texts share one budget of
    `MAX_PLACEHOLDERS` placeholders and `MAX_FLAT_BYTES` inserted bytes. The time is proportional
    to the length of the texts and of what is inserted.

    Args:
        lookup: Returns the value of a key as it is stored, or `None`. Called once for each key
            that has a value. Must return the same values while the resolver is in use.
        trim: True to ignore blanks around a key when it is looked up, as the flattened formats
            `.json` and `.yml` do.
    """

    def __init__(self, lookup: Callable[[str], str | None], *, trim: bool = False) -> None:
        self._lookup = lookup
        self._trim = trim
        self._resolved: dict[str, str] = {}
        self._under_way: dict[str, None] = {}
        """Keys whose values are being resolved, the innermost last."""
        self._placeholders = 0
        self._bytes = 0

    def resolve(self, text: str) -> str:
        r"""Return a text with its placeholders replaced by values or by their defaults.

        Placeholders inside values, keys and defaults are replaced too; those in a key before the
        key is looked up. A placeholder with neither a value nor a default stays, with its inner
        placeholders replaced. A `${` that is never closed stays as well. `\${x}` stands for
        `${x}`, and `\:` in a key for a colon (with `trim` in values only). The default begins
        after the first colon of the text itself, unless the whole content of a placeholder
        without inner placeholders is a key.

        >>> resolver = PlaceholderResolver({"q": "y", "x.y": "found", "a:b": "1"}.get)
        >>> [resolver.resolve(t) for t in ("${x.${q}}", "${x.${n:z}}", "${a:b}", "${n:a:b}")]
        ['found', '${x.z}', '1', 'a:b']

        Raises:
            ConfigFormatError: A placeholder leads back to itself, placeholders are nested more
                than 64 deep, or this resolver's budget is spent. The message names the key and
                shows no value. Once the budget is spent, further calls may raise it, too.
        """
        return self._expanded(text, 0)

    def _expanded(self, text: str, depth: int) -> str:
        if _OPEN not in text or (self._trim and not _holds_placeholder(text)):
            return text
        closings = _closings(text, MAX_PLACEHOLDERS - self._placeholders)
        source = _Source(
            text, closings, is_value=depth > 0, escapes_colons=depth > 0 or not self._trim
        )
        return self._filled(source, 0, len(text), depth)

    def _filled(self, source: "_Source", start: int, end: int, depth: int) -> str:
        """Return a part of a text with its placeholders replaced."""
        return "".join(
            self._replacement(source, part, depth + 1)
            if part.is_placeholder
            else source.text[part.start : part.end]
            for part in source.parts(start, end)
        )

    def _replacement(self, source: "_Source", inside: "_Part", depth: int) -> str:
        """Return the replacement of the placeholder with this content."""
        self._placeholders += 1
        if self._placeholders > MAX_PLACEHOLDERS:
            raise _too_many()
        if depth > MAX_PLACEHOLDER_DEPTH:
            place = "".join(f", in the value of {shown(key)}" for key in [*self._under_way][-1:])
            raise ConfigFormatError(
                f"placeholders are nested more than {MAX_PLACEHOLDER_DEPTH} deep{place}"
            )
        value = None
        if source.text.find(_OPEN, inside.start, inside.end) < 0:
            value = self._value(source.text[inside.start : inside.end], depth)
        if value is None:
            key, default = self._key(source, inside, depth)
            value = self._value(key, depth)
            if value is None and default is not None:
                value = self._filled(source, default, inside.end, depth)
            if value is None:
                value = f"{_OPEN}{key}}}"
        return value

    def _key(self, source: "_Source", inside: "_Part", depth: int) -> tuple[str, int | None]:
        """Return a placeholder's key, resolved, and where its default begins if it has one."""
        key: list[str] = []
        for part in source.parts(inside.start, inside.end):
            if part.is_placeholder:
                key.append(self._replacement(source, part, depth + 1))
                continue
            name, default = source.split(part)
            key.append(name)
            if default is not None:
                return "".join(key), default
        return "".join(key), None

    def _value(self, key: str, depth: int) -> str | None:
        """Return the resolved value of a key, or `None` if it has none."""
        key = key.strip() if self._trim else key
        found = self._resolved.get(key)
        if found is not None:
            self._spend(found, key)
            return found
        found = self._lookup(key)
        if found is None:
            return None
        self._spend(found, key)
        if _OPEN in found:
            if key in self._under_way:
                raise ConfigFormatError(f"the placeholder {shown(key)} leads back to itself")
            self._under_way[key] = None
            try:
                found = self._expanded(found, depth)
            finally:
                del self._under_way[key]
        self._resolved[key] = found
        return found

    def _spend(self, value: str, key: str) -> None:
        self._bytes += len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
        if self._bytes > MAX_FLAT_BYTES:
            raise ConfigFormatError(
                f"placeholders insert more than {MAX_FLAT_BYTES:,} bytes, at {shown(key)}"
            )


class _Part(NamedTuple):
    """A part of a text from `start` to before `end`: literal, or the inside of a placeholder."""

    start: int
    end: int
    is_placeholder: bool = False


class _Source(NamedTuple):
    """A text with the places where its placeholders close."""

    text: str
    closings: dict[int, int]
    is_value: bool
    """True for a value that was looked up: one backslash escapes a closed placeholder there."""
    escapes_colons: bool
    r"""True if `\:` in a key is a colon."""

    def parts(self, start: int, end: int) -> Iterator[_Part]:
        """Yield the parts between two places, without the backslashes of escapes."""
        text = self.text
        literal = position = start
        while (opened := text.find(_OPEN, position, end)) >= 0:
            behind = opened + len(_OPEN)
            closed = self.closings.get(opened)
            backslashes = self._backslashes(position, opened)
            if backslashes and not (self.is_value and closed is None):
                yield _Part(literal, opened - backslashes)
                literal = opened
            elif closed is not None:
                if opened > literal:
                    yield _Part(literal, opened)
                yield _Part(behind, closed, is_placeholder=True)
                literal = behind = closed + 1
            position = behind
        if literal < end:
            yield _Part(literal, end)

    def split(self, part: _Part) -> tuple[str, int | None]:
        r"""Return the key before the first colon, and where the default begins if there is one."""
        start = position = part.start
        while (colon := self.text.find(_SEPARATOR, position, part.end)) > start:
            if not self.escapes_colons or self.text[colon - 1] != _ESCAPE:
                break
            position = colon + 1
        key = self.text[start : part.end if colon < 0 else colon]
        if self.escapes_colons:
            key = key.replace(_ESCAPE + _SEPARATOR, _SEPARATOR)
        return key, None if colon < 0 else colon + 1

    def _backslashes(self, start: int, opened: int) -> int:
        """Return how many backslashes before a `${` belong to its escape."""
        most = 1 if self.is_value else 2
        count = 0
        while count < most and opened - count > start and self.text[opened - count - 1] == _ESCAPE:
            count += 1
        return count


def _holds_placeholder(text: str) -> bool:
    """True if there is text between some `${` and the next closing brace."""
    opened = text.find(_OPEN)
    while opened >= 0:
        closed = text.find("}", opened)
        if closed != opened + len(_OPEN):
            return closed >= 0
        opened = text.find(_OPEN, closed)
    return False


def _closings(text: str, limit: int) -> dict[int, int]:
    """Return the position of the closing brace for every `${` that is closed.

    Raises:
        ConfigFormatError: There are more than `limit`.
    """
    closings: dict[int, int] = {}
    opened = array("q")  # a text may hold millions of `${` that are never closed
    for brace in _BRACE.finditer(text):
        if brace[0] == _OPEN:
            opened.append(brace.start())
        elif brace[0] == "{":
            opened.append(_PLAIN_BRACE)
        elif opened and (start := opened.pop()) >= 0:
            closings[start] = brace.start()
            if len(closings) > limit:
                raise _too_many()
    return closings


def _too_many() -> ConfigFormatError:
    return ConfigFormatError(f"more than {MAX_PLACEHOLDERS:,} placeholders")
