"""Prose refers to pages of this repository only, and keeps to plain technical English."""

import ast
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest

pytestmark = pytest.mark.untraced  # it reads the sources and runs none of them

CHECKOUT = Path(__file__).parents[3]
ROOTS = ("benchmarks", "docs", "packages", "proofs", "scripts", "tests-integration")
HIDDEN = {".venv", "__pycache__", "build", "dist", "node_modules", "target"}

MISSING_PAGES = re.compile(
    r"\b(?:contract|design|findings|style)(?:\.md\b|,? §)|\(design\b|\b(?:the|see) findings\b"
    r"|§",
    re.IGNORECASE,
)
"""The notes from which this project was designed, and sections of anything but RFCs."""

RFCS = re.compile(r"RFC \d+ §[\d.]+(?:,? (?:and )?§[\d.]+)*")

RIDDLES = re.compile(
    r"\bstrangers?\b|\bwhoever\b|\bnone of (?:ours|theirs|a|that)\b|\btheirs\b|\bours\b"
    r"|\bcom(?:es?|ing) to light\b|\bbad days?\b",
    re.IGNORECASE,
)
"""Words without a subject. Write who it is: a client, a writer, a third-party store, the server."""

TELLS = re.compile(r"\A\s*Tells? whether\b")
"""The beginning of a docstring. Write "True if"."""


COMMENT = re.compile(r"#[# ]*(.*)")
"""A comment; also the rest of a line after `#` in a string, which is prose, too."""


@cache
def texts(path: Path) -> Sequence[str]:
    """Return the prose of a file: comments and string constants of a module, else everything."""
    text = RFCS.sub("RFC", path.read_text(encoding="utf-8"))
    if path.suffix != ".py":
        return [text]
    constants = [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return [*COMMENT.findall(text), *constants]


@cache
def pages() -> Sequence[Path]:
    """Return all modules, pages and schemas of the project, except this module."""
    found: list[Path] = []
    for root in (CHECKOUT / name for name in ROOTS):
        for directory, inner, names in os.walk(root):
            inner[:] = [name for name in inner if name not in HIDDEN]
            found += [Path(directory, name) for name in names]
    return sorted(
        path
        for path in (*found, *CHECKOUT.glob("*.md"))
        if path.suffix in {".json", ".md", ".py", ".toml", ".yml"} and path != Path(__file__)
    )


def published(path: Path) -> bool:
    """True for pages and the sources of packages. Tests may call two sides ours and theirs."""
    return path.suffix == ".md" or "src" in path.relative_to(CHECKOUT).parts


def hits(path: Path, *patterns: re.Pattern[str]) -> list[str]:
    """Return the passages of a file that match one of the patterns."""
    return [
        f"{path.relative_to(CHECKOUT)}: …{text[max(0, hit.start() - 40) : hit.end() + 40]}…"
        for text in texts(path)
        for pattern in patterns
        for hit in pattern.finditer(text)
    ]


def test_no_reference_leads_out_of_the_repository() -> None:
    """Name the rule, or a section of docs/reference/protocol.md."""
    found = [hit for path in pages() for hit in hits(path, MISSING_PAGES)]
    assert not found, "\n".join(found)


def test_published_prose_names_its_subjects() -> None:
    found = [hit for path in pages() if published(path) for hit in hits(path, RIDDLES, TELLS)]
    assert not found, "\n".join(found)


def test_a_reference_to_the_protocol_names_one_of_its_sections() -> None:
    page = "docs/reference/protocol.md"
    sections = re.findall(r"(?m)^## (.*)$", (CHECKOUT / page).read_text(encoding="utf-8"))
    named = re.compile(rf"{re.escape(page)},\s+([A-Z][\w ]*?[a-z])(?=[.,;)\"\n]|\Z)")
    found = [
        (path.relative_to(CHECKOUT), section)
        for path in pages()
        if path.suffix == ".py"
        for text in texts(path)
        for section in named.findall(text)
    ]
    assert found
    assert [one for one in found if one[1] not in sections] == []


@pytest.mark.parametrize(
    "text",
    [
        "as contract §2.5 states it",
        "in one shape (design §5)",
        "(Contract, §3)",
        "see design.md",
        "what the findings say",
        "the rule of §4",
    ],
)
def test_a_reference_to_a_missing_page_is_noticed(text: str, tmp_path: Path) -> None:
    path = tmp_path / f"{uuid4()}.md"
    path.write_text(text, encoding="utf-8")
    assert [one for one in texts(path) if MISSING_PAGES.search(one)]


@pytest.mark.parametrize(
    "text",
    ["RFC 9110 §13.1, §13.2", "(RFC 9110 §12, RFC 9457)", "a list of findings", "by design"],
)
def test_rfcs_and_plain_words_are_no_references(text: str, tmp_path: Path) -> None:
    path = tmp_path / f"{uuid4()}.md"
    path.write_text(text, encoding="utf-8")
    assert not [one for one in texts(path) if MISSING_PAGES.search(one)]


@pytest.mark.parametrize(
    ("module", "count"),
    [
        ('"""Tell whether it is young."""', 1),
        ("x = 1  # whoever asked", 1),
        ("theirs, ours = 1, 2", 0),
        ('f"{theirs} of {ours}"', 0),
        ('raise ValueError("the cursor is none of ours")', 1),
        ('"""True if it was asked to tell whether it is young."""', 0),
    ],
)
def test_words_count_in_prose_and_not_in_code(module: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / f"{uuid4()}.py"  # what a file says is kept by its name
    path.write_text(module, encoding="utf-8")
    found = [hit for text in texts(path) for one in (RIDDLES, TELLS) for hit in one.finditer(text)]
    assert len(found) == count
