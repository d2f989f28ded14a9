"""The tutorial and the guides show what happens: every block runs, or says why it does not."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from pages import CHECKOUT, PAGES, Block, blocks_of
from session import matches, run_page

TUTORIAL = CHECKOUT / "docs" / "tutorial"
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SESSIONS = [
    page for page in PAGES if any(block.treatment == "session" for block in blocks_of(page))
]
_OTHERS = re.compile(r"```")


_PROGRAMS = re.compile(r"\b(?:curl|keytool|openssl|promtool)\b")


def need_programs(blocks: Sequence[Block]) -> None:
    """Skip the test of a page whose sessions need a program that is missing; fail it in CI."""
    sessions = [block.text for block in blocks if block.treatment == "session"]
    names = {name for text in sessions for name in _PROGRAMS.findall(text)}
    if missing := sorted(name for name in names if shutil.which(name) is None):
        reason = f"needs {', '.join(missing)}"
        pytest.fail(reason) if os.environ.get("PYFLY_CI") else pytest.skip(reason)


def named(blocks: list[Block]) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in blocks]


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.server
@pytest.mark.untraced
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem) for page in SESSIONS if page.parent != TUTORIAL],
)
def test_a_guide_shows_what_happens(
    page: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    blocks = blocks_of(page)
    need_programs(blocks)
    directory = tmp_path / "directory"
    directory.mkdir()
    programs = Path(sys.executable).parent
    run_page(blocks, directory, programs=programs, free_port=free_port)


@pytest.mark.external
@pytest.mark.packaging
@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem) for page in SESSIONS if page.parent == TUTORIAL],
)
def test_the_tutorial_shows_what_happens_with_what_it_installs(
    page: Path, tmp_path: Path, free_port: Callable[[], int], install: Callable[..., Path]
) -> None:
    blocks = blocks_of(page)
    names = [name for block in blocks for name in block.requirements()]
    assert names, "it installs nothing"
    need_programs(blocks)
    directory = tmp_path / "directory"
    directory.mkdir()
    run_page(blocks, directory, programs=install(*names).parent, free_port=free_port)


def test_every_block_runs_or_says_why_not() -> None:
    fences = sum(len(_OTHERS.findall(page.read_text(encoding="utf-8"))) for page in PAGES)
    assert fences == 2 * len(BLOCKS), "a fence is not read: each needs a language"
    silent = [str(block) for block in BLOCKS if block.treatment == "nothing"]
    assert not silent, "pages.py says what a block can say"


def test_files_are_used_by_the_session_of_their_page() -> None:
    unused = [str(b) for b in BLOCKS if b.treatment == "file" and b.page not in SESSIONS]
    assert not unused


def test_examples_are_shown_as_they_are() -> None:
    pages = (CHECKOUT / "docs").rglob("*.md")
    examples = [b for page in pages for b in blocks_of(page) if b.treatment == "example"]
    for block in examples:
        assert (CHECKOUT / block.title).read_text(encoding="utf-8") == block.text, str(block)


@pytest.mark.parametrize("block", named([b for b in BLOCKS if b.treatment == "elsewhere"]))
def test_the_test_that_runs_a_block_reads_its_page(block: Block) -> None:
    test = CHECKOUT / block.comment.removeprefix("run by ")
    assert block.page.name in test.read_text(encoding="utf-8")


@pytest.mark.parametrize("block", named([b for b in BLOCKS if b.treatment == "installation"]))
def test_what_a_page_installs_exists(block: Block) -> None:
    for name in block.requirements():
        plain, _, extras = name.removesuffix("]").partition("[")
        provided = distribution(plain).metadata.get_all("Provides-Extra") or []
        assert {*filter(None, extras.split(","))} <= {*provided}, name


@pytest.mark.parametrize(
    ("printed", "expected", "is_equal"),
    [
        ("", "", True),
        ("a\n", "", False),
        ("a\n", "a\n", True),
        ("a\nb\n", "a\n", False),
        ("a\nb\nc\n", "a\n…\nc\n", True),
        ("a\nb\nd\n", "a\n…\nc\n", False),
        ("stored 0123abcd\n", "stored …\n", True),
        ("2026-01-01 10:00:00 INFO x\n", "2027-02-02 11:11:11 INFO x\n", True),
    ],
)
def test_output_is_compared_by_line(printed: str, expected: str, is_equal: bool) -> None:
    assert matches(printed, expected) is is_equal
