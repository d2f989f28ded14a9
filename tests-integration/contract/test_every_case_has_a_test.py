"""No number of the contract's checklist is without a test, whichever tests are chosen to run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CASES = [*range(1, 106), *(f"S{number}" for number in range(1, 19))]
LATER = {
    "S13": "needs a backend with a token for every client",
}


def marked(source: str) -> Iterator[object]:
    """Yield what stands in every `pytest.mark.case(…)`, on tests and on their parameters."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr == "case" and ast.unparse(node.func) == "pytest.mark.case":
            assert node.args, f"line {node.lineno}: no number"
            for argument in node.args:
                assert isinstance(argument, ast.Constant), f"line {node.lineno}: not a number"
                yield argument.value


@pytest.fixture(scope="module")
def proven(checkout: Path) -> set[object]:
    files = [
        *checkout.glob("packages/*/tests/**/test_*.py"),
        *checkout.glob("tests-integration/**/test_*.py"),
    ]
    return {number for file in files for number in marked(file.read_text(encoding="utf-8"))}


def test_every_number_has_a_test_or_a_reason(proven: set[object]) -> None:
    missing = [case for case in CASES if case not in proven and case not in LATER]
    assert not missing, f"no test is marked with {missing}"


def test_no_number_is_unknown_or_waits_for_what_is_there(proven: set[object]) -> None:
    assert proven <= {*CASES}
    assert not proven & LATER.keys()


def test_marks_are_found_wherever_they_stand() -> None:
    source = """
pytestmark = [pytest.mark.case(1)]

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.case("S2", 3)), *(
    pytest.param(path, marks=pytest.mark.case(4)) for path in PATHS)])
@pytest.mark.case(5)
async def test_it(x): ...
"""
    assert {*marked(source)} == {1, "S2", 3, 4, 5}
