"""Selecting keys of a document: docs/reference/protocol.md, Selected keys. Pure functions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self, TypeVar

from pyfly.config_core import Environment, InvalidConfigKeyError, PropertySource
from pyfly.config_core.limits import MAX_SELECTED_KEY_LENGTH, MAX_SELECTED_KEYS
from pyfly.config_core.property_names import canonical, elements

_T = TypeVar("_T")

_ALL: Final = "*"
_BELOW: Final = ".*"
_COMMA: Final = re.compile(r"\[[^\[\]]*\]|,")
"""A comma, or text in brackets, whose commas do not separate names."""
_UNREADABLE: Final = re.compile("[\\x00-\\x1f\\x7f\ufffd]")
"""Control characters, and the replacement of bytes that are not UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySelection:
    """The keys that a request asks for. Spellings and order of the same names give equal values."""

    trees: tuple[str, ...]
    """Canonical names, each with a dot behind it: selects the key itself and all below it."""
    insides: tuple[str, ...]
    """The same for names with `.*`: selects all below the key. An empty text selects all keys."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the selection of a comma list such as `db,feature.*`.

        Raises:
            InvalidConfigKeyError: A name is empty, too long or no key, or there are too many.
        """
        names = [*_split(text)]
        if len(names) > MAX_SELECTED_KEYS:
            reason = f"{len(names):,} names, more than {MAX_SELECTED_KEYS}; name what is above them"
            raise InvalidConfigKeyError("keys", text, reason)
        trees: set[str] = set()
        insides: set[str] = set()
        for name in names:
            if fault := _fault(name):
                raise InvalidConfigKeyError("keys", name, fault)
            if name == _ALL:
                insides.add("")
            elif name.endswith(_BELOW):
                insides.add(f"{canonical(name.removesuffix(_BELOW))}.")
            else:
                trees.add(f"{canonical(name)}.")
        return cls(trees=tuple(sorted(trees)), insides=tuple(sorted(insides)))

    def selects(self, key: str) -> bool:
        """True if a key, in any spelling, is selected."""
        name = canonical(key)
        return f"{name}.".startswith(self.trees) or name.startswith(self.insides)

    def select(self, properties: Mapping[str, _T]) -> dict[str, _T]:
        """Return the selected properties, in the same order."""
        below = _SelectionBelow(self)
        selected: dict[str, _T] = {}
        for key, value in properties.items():
            first, dot, _ = key.partition(".")
            answer = below[first] if dot else None
            if answer or (answer is None and self.selects(key)):
                selected[key] = value
        return selected


class _SelectionBelow(dict[str, "bool | None"]):
    """The answers for all keys that go on with a dot behind a first element, by that element.

    `None` if the rest of a key decides. Most keys need no canonical name of their own.
    """

    def __init__(self, keys: KeySelection) -> None:
        super().__init__()
        self._names = keys.trees + keys.insides
        self._firsts = {name.partition(".")[0] for name in self._names}

    def __missing__(self, first: str) -> bool | None:
        self[first] = answer = self._decide(first)
        return answer

    def _decide(self, first: str) -> bool | None:
        if "[" in first:  # the dot behind it may be in brackets
            return None
        name = canonical(first)
        if f"{name}.".startswith(self._names):
            return True
        return None if name in self._firsts else False


def select_keys(environment: Environment, keys: KeySelection) -> Environment:
    """Return a document with the selected keys only.

    All sources stay, also those without a selected key. The version is `None`, because it changes
    with keys that are not selected.
    """
    sources = tuple(_selected(source, keys) for source in environment.property_sources)
    return replace(environment, version=None, property_sources=sources)


def _selected(source: PropertySource, keys: KeySelection) -> PropertySource:
    selected = keys.select(source.source)
    origins = {key: source.origins[key] for key in selected if key in source.origins}
    return replace(source, source=selected, origins=origins)


def _split(text: str) -> Iterator[str]:
    """Yield the elements of a comma list."""
    start = 0
    for found in _COMMA.finditer(text):
        if found[0] == ",":
            yield text[start : found.start()]
            start = found.end()
    yield text[start:]


def _fault(name: str) -> str | None:
    """Return the reason why a name is refused; `None` if it is acceptable."""
    if not name:
        return "the list has an empty element; name keys separated by commas, as in 'db,feature.*'"
    if len(name) > MAX_SELECTED_KEY_LENGTH:
        return f"it has more than {MAX_SELECTED_KEY_LENGTH:,} characters"
    if _UNREADABLE.search(name):
        return "it has a control character or is not UTF-8"
    if name != name.strip():
        return "it begins or ends with a blank"
    return None if name == _ALL else _fault_of_key(name.removesuffix(_BELOW))


def _fault_of_key(key: str) -> str | None:
    plain = [element for element, in_brackets in elements(key) if not in_brackets]
    if not all(plain):
        return "nothing stands before or behind a dot"
    if any("[" in element or "]" in element for element in plain):
        return "a bracket has no counterpart"
    if any("*" in element for element in plain):
        return (
            "'*' stands alone or behind the last dot; put a '*' that is part of a key in brackets"
        )
    return None
