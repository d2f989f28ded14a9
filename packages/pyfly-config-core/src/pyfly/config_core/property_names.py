"""Canonical names of properties, and the environment variables of properties. Pure functions.

Clients look up properties by their canonical names, and servers select the keys of a document by
them, so that all spellings of a name are the same property everywhere. The rules are those of
Spring Boot's relaxed binding.
"""

import re
from collections.abc import Container, Iterator
from typing import Final, TypeAlias

__all__ = [
    "Element",
    "below",
    "canonical",
    "elements",
    "folded",
    "is_index",
    "join",
    "quoted",
    "snake_variable",
    "variable",
    "without_prefix",
]

_QUOTED_DOT: Final = "\0"
"""Replaces a dot within brackets in a canonical name."""
_MAX_INDEX_LENGTH: Final = 9
_ELEMENT: Final = re.compile(r"([^.\[\]]+)|\[([^\[\]]*)\]")
_WELL_FORMED: Final = re.compile(r"[^.\[\]]+(?:\[[^\[\]]*\])*(?:\.[^.\[\]]+(?:\[[^\[\]]*\])*)*")
_INDEXED: Final = re.compile(r"[^.\[\]]+(?:\[[0-9]+\])*(?:\.[^.\[\]]+(?:\[[0-9]+\])*)*")
"""Matches keys whose brackets hold numbers only."""
# Compiled when they are used: few keys need them, and the starts of clients are counted.
_BRACKET: Final = r"[\[\]]"
_SEPARATORS: Final = r"[.\[]+"
_REMOVED: Final = r"[-\]]"
_NOT_IN_NAMES: Final = r"[^A-Z0-9_]"
_HUMP: Final = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"

Element: TypeAlias = tuple[str, bool]
"""One part of a key as spelled, and whether it is in brackets."""


def canonical(key: str) -> str:
    """Return the canonical name of a key, which is equal for all its spellings.

    Elements are joined with dots. Case, dashes and underscores do not count, except in brackets.
    So `hosts[0]` and `hosts.0` are one key, and `m[a.b]` and `m.a.b` are two.

    >>> {canonical(key) for key in ("db.pool-size", "DB.poolSize", "db.pool_size")}
    {'db.poolsize'}
    >>> canonical("Hosts[0].User-Name"), canonical("labels[App-Name]")
    ('hosts.0.username', 'labels.App-Name')
    """
    dotted = key
    if "[" in key and _INDEXED.fullmatch(key):
        dotted = key.replace("[", ".").replace("]", "")
    if "[" not in dotted and dotted.isascii():  # a Greek sigma has two lower cases
        form = dotted.lower().replace("-", "").replace("_", "")
        # Fast path, unless an element consists of dashes and underscores only.
        if form and ".." not in form and form.strip(".") == form:
            return form
    return ".".join(map(_canonical_element, elements(key)))


def folded(name: str) -> str:
    """Return the canonical form of one element without brackets.

    >>> folded("pool-Size"), folded("__")
    ('poolsize', '__')
    """
    return name.lower().replace("-", "").replace("_", "") or name


def quoted(name: str) -> str:
    """Return the canonical form of one element in brackets."""
    return name.replace(".", _QUOTED_DOT)


def _canonical_element(element: Element) -> str:
    name, in_brackets = element
    return quoted(name) if in_brackets else folded(name)


def elements(key: str) -> list[Element]:
    """Return the elements of a key, as spelled.

    A bracket without its counterpart is an ordinary character.

    >>> elements("m[a.b].c[0]")
    [('m', False), ('a.b', True), ('c', False), ('0', True)]
    """
    if "[" not in key:
        return [(name, False) for name in key.split(".")]
    if _WELL_FORMED.fullmatch(key):
        return [(name or inside, not name) for name, inside in _ELEMENT.findall(key)]
    return list(_iter_elements(key))


def _iter_elements(key: str) -> Iterator[Element]:
    closings = _closings(key)
    position = 0
    while True:
        if position in closings:
            yield key[position + 1 : closings[position]], True
            position = closings[position] + 1
            if position == len(key):
                return
            position += key[position] == "."
            if position in closings:
                continue
        end = _end_of_name(key, position, closings)
        yield key[position:end], False
        if end == len(key):
            return
        position = end + (key[end] == ".")


def _end_of_name(key: str, position: int, closings: Container[int]) -> int:
    """Return the end of the name that begins at a position: a dot or a bracket."""
    for end in range(position, len(key)):
        if key[end] == "." or (end > position and end in closings):
            return end
    return len(key)


def _closings(key: str) -> dict[int, int]:
    """Return the start and the end of each outermost pair of brackets."""
    closed: dict[int, int] = {}
    opened: list[int] = []
    for bracket in re.finditer(_BRACKET, key):
        if bracket[0] == "[":
            opened.append(bracket.start())
        elif opened:
            closed[opened.pop()] = bracket.start()
    pairs: dict[int, int] = {}
    end = -1
    for start in sorted(closed):
        if start > end:
            end = pairs[start] = closed[start]
    return pairs


def is_index(name: str) -> bool:
    """True if the name of an element is a number that can be an index of a list."""
    if not (name.isascii() and name.isdigit() and len(name) <= _MAX_INDEX_LENGTH):
        return False
    return name == "0" or name[0] != "0"


def join(parts: list[Element]) -> str:
    """Return the key that has these elements.

    >>> join([("a", False), ("0", True), ("b", False)])
    'a[0].b'
    """
    text = ""
    after_empty = False
    for name, in_brackets in parts:
        dot = "." if after_empty or not in_brackets else ""
        text += f"{dot}[{name}]" if in_brackets else f".{name}"
        after_empty = not (name or in_brackets)
    return text[1:] if parts and not parts[0][1] else text


def without_prefix(key: str, count: int) -> str:
    """Return a key without its first elements.

    >>> without_prefix("db.pool.size", 1), without_prefix("hosts[0]", 1)
    ('pool.size', '[0]')
    """
    return key.split(".", count)[-1] if "[" not in key else join(elements(key)[count:])


def below(prefix: str, key: str) -> str:
    """Return a key with a prefix before it.

    >>> below("db", "url"), below("hosts", "[0]"), below("", "a")
    ('db.url', 'hosts[0]', 'a')
    """
    in_brackets = key.startswith("[") and elements(key)[0][1] and not prefix.endswith(".")
    return f"{prefix}{key}" if not prefix or in_brackets else f"{prefix}.{key}"


def variable(key: str) -> str:
    """Return the environment variable of a key by Spring's rule.

    >>> variable("db.pool-size"), variable("db.poolSize"), variable("hosts[0].name")
    ('DB_POOLSIZE', 'DB_POOLSIZE', 'HOSTS_0_NAME')
    """
    return re.sub(_NOT_IN_NAMES, "_", re.sub(_REMOVED, "", re.sub(_SEPARATORS, "_", key)).upper())


def snake_variable(key: str) -> str:
    """Return the environment variable of a key, with an underscore between all words.

    >>> snake_variable("db.pool-size"), snake_variable("db.poolSize"), snake_variable("hosts[0]")
    ('DB_POOL_SIZE', 'DB_POOL_SIZE', 'HOSTS_0')
    """
    return variable(re.sub(_HUMP, "_", key).replace("-", "_"))
