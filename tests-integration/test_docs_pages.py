"""What pages show of the code is in the code: diagrams, messages."""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parent.parent
SITE = CHECKOUT / "scripts" / "site"
MESSAGES = CHECKOUT / "docs" / "reference" / "messages.md"


def test_the_diagrams_are_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw them again with `scripts/docs diagrams`, and read the texts around them."""
    monkeypatch.syspath_prepend(SITE)
    spec: Any = importlib.util.spec_from_file_location("diagrams", SITE / "diagrams.py")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("canvas")
    drawn: dict[str, str] = module.diagrams()
    shown = {path.name: path.read_text(encoding="utf-8") for path in module.TARGET.iterdir()}
    assert drawn.keys() == shown.keys()
    assert [name for name, text in drawn.items() if text != shown[name]] == []


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module; what is put into one is `…`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )


def test_every_message_of_the_page_on_errors_is_in_the_code() -> None:
    page = MESSAGES.read_text(encoding="utf-8")
    headings = re.findall(r"(?m)^### (.*)$", page)
    quoted = [re.fullmatch(r"`(.*)`", one) for one in headings]
    assert None not in quoted, "a heading is a message in backquotes"
    sources = CHECKOUT.glob("packages/*/src/**/*.py")
    known = "\n".join({text.replace("\n", " ") for path in sources for text in texts(path)})
    missing = [
        one[1]
        for one in quoted
        if one and not re.search(".*".join(map(re.escape, re.split("…+", one[1]))), known)
    ]
    assert len(headings) > 30
    assert missing == []


def test_every_message_of_that_page_has_a_cause_and_a_remedy() -> None:
    page = MESSAGES.read_text(encoding="utf-8")
    sections = re.findall(r"(?ms)^### (.*?)\n(.*?)(?=^##|\Z)", page)
    assert [
        title
        for title, text in sections
        if not re.search(r"\*\*Cause\.\*\* .+ \*\*Remedy\.\*\* .+", text)
    ] == []
