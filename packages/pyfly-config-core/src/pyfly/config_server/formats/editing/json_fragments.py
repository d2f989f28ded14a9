"""Writing single values into an existing JSON text."""

import json
import re
from typing import Final

from pyfly.config_core import JsonValue
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.formats.editing.fragments import Fragment
from pyfly.config_server.formats.editing.nodes import Node
from pyfly.config_server.formats.editing.text_lines import CannotEditError

__all__ = ["JsonFragments"]

_FIRST_INDENT: Final = re.compile(r"[\[{]\r?\n([ \t]{1,8})(?![ \t])")
_TIGHT_COLON: Final = re.compile(r'":[^ \t\r\n]')
_SPACED_COLON: Final = re.compile(r'":[ \t\r\n]')


class JsonFragments:
    """Writes values with the indentation, the escapes and the blanks of a text."""

    def __init__(self, text: str, newline: str) -> None:
        found = _FIRST_INDENT.search(text)
        self._indent: str | None = None if found is None else found[1]
        self._escapes = text.isascii() and "\\u" in text
        self._newline = newline
        is_tight = _TIGHT_COLON.search(text) and not _SPACED_COLON.search(text)
        self._colon = ":" if is_tight else ": "
        self._comma = "," if is_tight or self._indent is not None else ", "

    def key(self, key: str, *, in_flow: bool) -> str:
        """Return a key with its `:`."""
        del in_flow
        return json.dumps(key, ensure_ascii=self._escapes) + self._colon

    def flow(self, value: JsonValue, *, old: Node | None, indent: str) -> str:
        """Return a value, with one line for each entry if the text is written so.

        Raises:
            CannotEditError: It holds an infinity or NaN, or its lines are indented too far.
        """
        del old
        try:
            text = json.dumps(
                value,
                ensure_ascii=self._escapes,
                allow_nan=False,
                indent=self._indent,
                separators=(self._comma, self._colon),
            )
        except ValueError as error:
            raise CannotEditError from error
        if text.count("\n") * len(indent) > MAX_DOCUMENT_BYTES:
            raise CannotEditError
        return text.replace("\n", self._newline + indent)

    def block(self, value: JsonValue, *, old: Node | None, parent: int, column: int) -> Fragment:
        """Return the value of the whole text."""
        del parent, column
        return Fragment(head=self.flow(value, old=old, indent=""))

    def item(self, value: JsonValue, *, old: Node | None, parent: int) -> Fragment:
        """Return a value; JSON has no lists without brackets."""
        del parent
        return Fragment(head=self.flow(value, old=old, indent=""))
