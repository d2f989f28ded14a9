"""No regular expression of ours takes more than linear time, whatever it is given.

Every expression is found, in modules and in functions, and fed with repetitions of the characters
that it is about, in the ways in which its module uses it.
"""

import ast
import dataclasses
import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

LENGTH: Final = 8_192
SECONDS: Final = 0.02
"""More than enough for a linear expression, and a tenth of what a quadratic one takes."""

BOUNDED: Final[dict[str, int]] = {
    "pyfly.config_cli._settings.sources._PASSWORD_IN_URL[0]": 1_024,
}
"""Expressions for what only the operator gives, and for how many characters they are quick."""

MADE_OF_NAMES: Final[dict[str, int]] = {
    "pyfly.config_cli._console.masking": 1,
    "pyfly.config_server.files.search_locations": 2,
    "pyfly.config_server.storage.name_patterns": 2,
}
"""Expressions that are put together while the program runs, of escaped texts and `*`."""

HAND_MADE: Final = (
    "\n" * LENGTH,
    " \n" * (LENGTH // 2),
    "a" * LENGTH + "\n",
    "-" * (LENGTH // 2) + "." * (LENGTH // 2),
    "a=" * (LENGTH // 2),
    "\\" * LENGTH + "u12",
    '"' + "\\\\" * (LENGTH // 2),
    'a="' + "b" * LENGTH,
    "1:59" * (LENGTH // 4) + "x",
    "0_" * (LENGTH // 2) + "9",
    "[1]" * (LENGTH // 3) + "x",
    "%" + "2F" * (LENGTH // 2),
    "http://" + "a:" * (LENGTH // 2) + "@",
    "${" * (LENGTH // 2),
    "{a:b" * (LENGTH // 4),
    "{a:b}" * (LENGTH // 5),
    "x," * (LENGTH // 2),
    "a;q=0." * (LENGTH // 6),
)
_METHODS: Final = frozenset(
    {"findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn"}
)
_FUNCTIONS: Final = _METHODS | {"compile"}
_EVERYWHERE: Final = "aA0 \n/"


class Expression(NamedTuple):
    """An expression, where it stands, and the methods of it that are called."""

    name: str
    pattern: "re.Pattern[Any]"
    methods: frozenset[str]


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of every module of ours."""
    package: Any = importlib.import_module("pyfly")
    for found in pkgutil.walk_packages(package.__path__, "pyfly."):
        if ".migrations" in found.name or found.name.endswith(".__main__"):
            continue  # programs, which run when they are imported; they have no expressions
        path = getattr(importlib.import_module(found.name), "__file__", None)
        if path is not None:
            yield found.name, Path(path)


def expressions() -> Iterator[Expression]:
    """Yield every expression of every module."""
    sources = {name: path.read_text("utf-8") for name, path in modules()}
    for name, source in sources.items():
        tree = ast.parse(source)
        called = calls(tree)
        for key, value in vars(importlib.import_module(name)).items():
            for number, pattern in enumerate(patterns_in(value)):
                if key in assigned(tree):
                    methods = called.get(key) or set().union(*called.values()) or _METHODS
                    yield Expression(f"{name}.{key}[{number}]", pattern, frozenset(methods))
        yield from inline(name, tree)


def patterns_in(value: Any) -> list["re.Pattern[Any]"]:
    """Return the expressions that a value is or holds."""
    if isinstance(value, re.Pattern):
        return [value]
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, tuple | list | set | frozenset):
        return [pattern for item in value for pattern in patterns_in(item)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = [getattr(value, field.name) for field in dataclasses.fields(value)]
        return [pattern for item in held for pattern in patterns_in(item)]
    return []


def assigned(tree: ast.Module) -> set[str]:
    """Return the names that a module gives a value itself."""
    targets: list[ast.expr] = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets += node.targets
        elif isinstance(node, ast.AnnAssign):
            targets.append(node.target)
    return {target.id for target in targets if isinstance(target, ast.Name)}


def calls(tree: ast.Module) -> dict[str, set[str]]:
    """Return for the names in a module the methods of expressions that are called on them."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        if node.attr in _METHODS:
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


def inline(name: str, tree: ast.Module) -> Iterator[Expression]:
    """Yield the expressions that are written where they are used."""
    for node in ast.walk(tree):
        function = node.func if isinstance(node, ast.Call) else None
        if not isinstance(node, ast.Call) or not isinstance(function, ast.Attribute):
            continue
        if not isinstance(function.value, ast.Name) or function.value.id != "re":
            continue
        if function.attr in _FUNCTIONS and function.attr != "compile":
            written = node.args[0]
            if isinstance(written, ast.Name):
                pattern: Any = vars(importlib.import_module(name)).get(written.id)
            else:
                pattern = getattr(written, "value", None)
            assert isinstance(pattern, str | bytes), f"{name}:{node.lineno}: not a constant"
            place = f"{name}:{node.lineno}:{node.col_offset}"
            yield Expression(place, re.compile(pattern), frozenset({function.attr}))


def texts_for(expression: Expression) -> Iterator[str]:
    """Yield what may take long: repetitions of what the expression is about."""
    length = BOUNDED.get(expression.name, LENGTH)
    source = expression.pattern.pattern
    written = source.decode("latin-1") if isinstance(source, bytes) else source
    written = re.sub(r"\\[sSwWdDbBZAu]", "", written)
    marks = {one for one in written if not one.isalnum()} - {"\\"}
    letters = [one for one in dict.fromkeys(written) if one.isalnum()][:4]
    alphabet = sorted({*marks, *letters, *_EVERYWHERE})
    for one, other in product(alphabet, repeat=2):
        if one == other:
            yield one * length
            yield one * length + "\0"
            yield "a" + one * length + "\0"
        else:
            yield (one + other) * (length // 2) + "\0"
            yield one * (length // 2) + other * (length // 2)
    yield "\\" * length + "\0"
    yield from (text[:length] for text in HAND_MADE)


def seconds_of(expression: Expression, text: str) -> float:
    """Return the CPU time that an expression takes for a text, the best of three."""
    given: Any = text.encode() if isinstance(expression.pattern.pattern, bytes) else text
    best = SECONDS * 100
    for _ in range(3):
        before = time.thread_time()
        for method in expression.methods:
            function = getattr(expression.pattern, method)
            if method in {"sub", "subn"}:
                function(given[:0], given)
            elif method == "finditer":
                for _found in function(given):
                    pass
            else:
                function(given)
        best = min(best, time.thread_time() - before)
        if best < SECONDS:
            break
    return best


@pytest.fixture(scope="module")
def found() -> list[Expression]:
    """All expressions; to find them takes seconds, which a collection of tests has not."""
    return sorted(expressions())


def test_every_expression_is_found(found: list[Expression]) -> None:
    used = r"\bre\.(?:compile|" + "|".join(_METHODS) + r")\("
    for name, path in modules():
        written = len(re.findall(used, path.read_text("utf-8"))) - MADE_OF_NAMES.get(name, 0)
        here = [one for one in found if re.match(rf"{re.escape(name)}(?::|\.\w+\[)", one.name)]
        assert len(here) >= written, name
    assert not BOUNDED.keys() - {expression.name for expression in found}


@pytest.mark.measured
@pytest.mark.slow
def test_every_expression_takes_linear_time(found: list[Expression]) -> None:
    slow = [
        f"{expression.name}: {expression.pattern.pattern!r}: {text[:20]!r}"
        for expression in found
        for text in texts_for(expression)
        if seconds_of(expression, text) >= SECONDS
    ]
    assert not slow


@pytest.mark.measured
@pytest.mark.parametrize(
    ("pattern", "method"),
    [(r"^\s*x", "search"), (r"(.+?)((?:\[[0-9]+\])*)", "fullmatch"), (r"[^-]*-.*\.y", "search")],
)
def test_a_quadratic_expression_would_be_noticed(pattern: str, method: str) -> None:
    expression = Expression("x", re.compile(pattern, re.MULTILINE), frozenset({method}))
    assert any(seconds_of(expression, text) >= SECONDS for text in texts_for(expression))
