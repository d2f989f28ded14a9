"""Conditions under which a document is meant for a request (contract §3.5). Pure functions."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from pyfly.config_core import ConfigFormatError, FlatValue

_Test: TypeAlias = Callable[[frozenset[str]], bool]

_CONDITION: Final = "spring.config.activate."
_PROFILE_KEYS: Final = re.compile(
    r"spring\.config\.activate\.(?:on-profile|onProfile)(?:\[[0-9]+\])?"
)
_PLATFORM_KEYS: Final = re.compile(
    r"spring\.config\.activate\.(?:on-cloud-platform|onCloudPlatform)"
)
_TOKEN: Final = re.compile(r"[()&|!]|[^()&|!]+")
_LONGEST: Final = 1_000
_DEEPEST: Final = 50


def is_active(flat: Mapping[str, FlatValue], profiles: frozenset[str]) -> bool:
    """Tell whether a document is active for the requested profiles.

    Of several profile expressions, in a list or separated by commas, one suffices. A document
    for a cloud platform never is: a server does not know the platform of its clients.

    >>> is_active({"spring.config.activate.on-profile": "prod & !eu"}, frozenset({"prod"}))
    True

    Raises:
        ConfigFormatError: An expression is malformed.
    """
    conditions = [key for key in flat if key.startswith(_CONDITION)]
    if any(_PLATFORM_KEYS.fullmatch(key) for key in conditions):
        return False
    texts = [str(flat[key]) for key in conditions if _PROFILE_KEYS.fullmatch(key)]
    tests = [_parsed(part) for text in texts for part in text.split(",")]
    return not tests or any(test(profiles) for test in tests)


@functools.lru_cache(maxsize=1024)
def _parsed(expression: str) -> _Test:
    tokens = [text for token in _TOKEN.findall(expression) if (text := token.strip())]
    if len(expression) > _LONGEST:
        raise _malformed(expression)
    test, rest = _parse_terms(tokens, expression, 0)
    if rest:
        raise _malformed(expression)
    return test


def _parse_terms(tokens: list[str], expression: str, depth: int) -> tuple[_Test, list[str]]:
    """Parse terms joined by one kind of operator; return the test and the tokens behind."""
    first, rest = _parse_term(tokens, expression, depth)
    terms = [first]
    operator = rest[0] if rest and rest[0] in {"&", "|"} else None
    while operator is not None and rest and rest[0] == operator:
        term, rest = _parse_term(rest[1:], expression, depth)
        terms.append(term)
    if rest and rest[0] != ")":  # another operator without parentheses, or none at all
        raise _malformed(expression)
    combine = all if operator == "&" else any
    return (lambda profiles: combine(term(profiles) for term in terms)), rest


def _parse_term(tokens: list[str], expression: str, depth: int) -> tuple[_Test, list[str]]:
    if not tokens or tokens[0] in {"&", "|", ")"} or depth > _DEEPEST:
        raise _malformed(expression)
    first, rest = tokens[0], tokens[1:]
    if first == "!":
        negated, rest = _parse_term(rest, expression, depth + 1)
        return (lambda profiles: not negated(profiles)), rest
    if first == "(":
        inner, rest = _parse_terms(rest, expression, depth + 1)
        if not rest:
            raise _malformed(expression)
        return inner, rest[1:]
    return (lambda profiles: first in profiles), rest


def _malformed(expression: str) -> ConfigFormatError:
    return ConfigFormatError(f"the profile expression {expression[:60]!r} is malformed")
