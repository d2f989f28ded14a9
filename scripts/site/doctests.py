"""Shows the examples of docstrings, which are doctests between paragraphs, as code."""

import re
from typing import Any, Final

import griffe

_EXAMPLE: Final = re.compile(r"(?m)^>>> .*\n?(?:^(?!$).*\n?)*")
"""The lines from a prompt to the next empty line."""


class FencedExamples(griffe.Extension):
    """Puts fences around the doctests of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was loaded."""
        if obj.docstring and ">>> " in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Return a docstring with its examples in fences."""
    return _EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text)
