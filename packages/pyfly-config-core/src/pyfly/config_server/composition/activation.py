"""Activation conditions of documents. Pure functions.

The rules: docs/reference/protocol.md, Documents of a file.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from pyfly.config_core import ConfigFormatError, FlatValue

_Test: TypeAlias = Callable[[frozenset[str]], bool]

_CONDITION: Final = re.compile(r"spring\.config\.activate\.(.*)", re.IGNORECASE)
_PROFILES: Final = re.compile(r"onprofile(\[[0-9]+\])?")
_PLATFORM: Final = re.compile(r"oncloudplatform")
_TOKEN: Final = re.compile(r"[()&|!]|[^()&|!]+")
_LONGEST: Final = 1_000
_DEEPEST: Final = 50


def is_active(flat: Mapping[str, FlatValue], profiles: frozenset[str]) -> bool:
    """True if a document is active for the requested profiles.

    If there are several profile expressions, in a list or separated by commas, one must hold. An
    empty text or list is not a condition. A document for a cloud platform is never active,
    because a server does not know the platform of its clients.

    >>> is_active({"spring.config.activate.on-profile": "prod & !eu"}, frozenset({"prod"}))
    True

    Raises:
        ConfigFormatError: An expression is malformed.
    """
    conditions = {key: _relaxed(found[1]) for key in flat if (found := _CONDITION.fullmatch(key))}
    if any(_PLATFORM.fullmatch(name) for name in conditions.values()):
        return False
    tests: list[_Test] = []
    for key, name in conditions.items():
        text = str(flat[key])
        if (found := _PROFILES.fullmatch(name)) and (found[1] or text):
            tests += _parsed_all(key, [text] if found[1] else text.split(","))
    return not tests or any(test(profiles) for test in tests)


def _parsed_all(key: str, expressions: Sequence[str]) -> list[_Test]:
    try:
        return [_parsed(one) for one in expressions]
    except ConfigFormatError as error:  # it shows no value
        raise ConfigFormatError(f"{key}: {error}") from None


def _relaxed(name: str) -> str:
    """Return a name in lower case, without dashes and underscores, which Spring ignores."""
    return name.replace("-", "").replace("_", "").lower()


@functools.lru_cache(maxsize=1024)
def _parsed(expression: str) -> _Test:
    if len(expression) > _LONGEST:
        raise _malformed()
    tokens = [text for token in _TOKEN.findall(expression) if (text := token.strip())]
    test, rest = _parse_terms(tokens, 0)
    if rest:
        raise _malformed()
    return test


def _parse_terms(tokens: list[str], depth: int) -> tuple[_Test, list[str]]:
    """Parse terms joined by one kind of operator; return the test and the tokens after it."""
    first, rest = _parse_term(tokens, depth)
    terms = [first]
    operator = rest[0] if rest and rest[0] in {"&", "|"} else None
    while operator is not None and rest and rest[0] == operator:
        term, rest = _parse_term(rest[1:], depth)
        terms.append(term)
    if rest and rest[0] != ")":  # another operator without parentheses, or a missing operator
        raise _malformed()
    combine = all if operator == "&" else any
    return (lambda profiles: combine(term(profiles) for term in terms)), rest


def _parse_term(tokens: list[str], depth: int) -> tuple[_Test, list[str]]:
    if not tokens or tokens[0] in {"&", "|", ")"} or depth > _DEEPEST:
        raise _malformed()
    first, rest = tokens[0], tokens[1:]
    if first == "!":
        negated, rest = _parse_term(rest, depth + 1)
        return (lambda profiles: not negated(profiles)), rest
    if first == "(":
        inner, rest = _parse_terms(rest, depth + 1)
        if not rest:
            raise _malformed()
        return inner, rest[1:]
    return (lambda profiles: first in profiles), rest


def _malformed() -> ConfigFormatError:
    return ConfigFormatError("the profile expression is malformed")
