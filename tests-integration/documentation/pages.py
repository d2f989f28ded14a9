"""The fenced blocks of a page, and what becomes of each of them in a test.

A page of the tutorial or of the guides says it in the block itself:

- a `console` block is a session: its commands run, and print what it shows; see `session`.
  If it only consists of `pip install`, what it names has to exist; the tutorial installs it
- a block with a `title` is a file: one of `docs/examples`, which it equals, or else a file that
  the session finds in its directory
- `python` without a title is a program that runs on its own, in `test_documentation.py`
- `mermaid` is a drawing
- every other block has a comment before it: `<!-- run by FILE -->` names the test that reads this
  page, `<!-- not run: REASON -->` says why nothing runs it.
"""

import re
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    page for kind in ("tutorial", "guides") for page in (CHECKOUT / "docs" / kind).glob("*.md")
)

Treatment = Literal[
    "session",
    "installation",
    "file",
    "example",
    "program",
    "drawing",
    "elsewhere",
    "not run",
    "nothing",
]

_FENCE = re.compile(
    r"(?:^[ ]*<!-- (?P<comment>[^\n]*?) -->\n\s*)?"
    r"^(?P<indent>[ ]*)```(?P<language>[\w-]+)(?P<options>[^\n`]*)\n"
    r"(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')
_PIP = re.compile(r"^\$ pip install (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    title: str
    """The name of a file or of a terminal; may be empty."""
    comment: str
    """The comment in front of it; may be empty."""
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(CHECKOUT)}:{self.line}"

    @property
    def treatment(self) -> Treatment:
        """What becomes of it; `nothing` if it does not say that."""
        lines = self.text.splitlines()
        rules: Sequence[tuple[bool, Treatment]] = (
            (self.comment.startswith("run by "), "elsewhere"),
            (self.comment.startswith("not run: "), "not run"),
            (all(line.startswith("$ pip install ") for line in lines), "installation"),
            (self.language == "console", "session"),
            (self.language == "mermaid", "drawing"),
            (self.title.startswith("docs/examples/"), "example"),
            (bool(self.title), "file"),
            (self.language == "python", "program"),
            (True, "nothing"),
        )
        return next(treatment for applies, treatment in rules if applies)

    def requirements(self) -> Sequence[str]:
        """Return what its `pip install` commands install."""
        return [
            word
            for arguments in _PIP.findall(self.text)
            for word in shlex.split(arguments, comments=True)
            if not word.startswith("-")
        ]


def blocks_of(page: Path) -> Sequence[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start("language")) + 1,
            language=match["language"],
            title=title[1] if (title := _TITLE.search(match["options"])) else "",
            comment=match["comment"] or "",
            text=textwrap.dedent(match["text"]),
        )
        for match in _FENCE.finditer(text)
    ]
