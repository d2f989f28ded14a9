"""Reading `.properties` files as `java.util.Properties` and Spring Boot do.

The result maps flat keys to texts. A line `#---` or `!---` separates documents, unless a comment
is next to it: the line before begins with the same mark, or a comment follows before the first
key. The rules: docs/reference/protocol.md, Documents of a file.
"""

import re
from collections.abc import Iterator
from typing import Final

from pyfly.config_core import ConfigFormatError, FlatBudget, JsonValue
from pyfly.config_server.storage import ConfigDocument

__all__ = ["parse_properties"]

_LINE: Final = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_SEPARATOR: Final = re.compile(r"[#!]---\s*")
_MARKS: Final = frozenset("#!")
_BLANKS: Final = " \t\f"
_KEY_END: Final = re.compile(r"\\.|([=: \t\f])", re.DOTALL)
_BEFORE_VALUE: Final = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(data: bytes, *, limit: int) -> tuple[ConfigDocument, ...]:
    """Return the documents that are not empty, from first to last.

    The bytes are read as UTF-8, or as ISO-8859-1 if they are not valid UTF-8. If a key is given
    twice, the last value counts, as in Java.

    Raises:
        ConfigFormatError: There are more than `limit` bytes, more than 20,000 properties or more
            than 4 MiB of keys and values, or an escape is broken.
    """
    if len(data) > limit:
        raise ConfigFormatError(f"larger than {limit:,} bytes")
    documents = [_Document()]
    budget = FlatBudget()
    mark_before = ""
    for number, line in _logical_lines(_decoded(data)):
        if not line:
            mark_before = ""
            continue
        mark = _comment_mark(line)
        if not mark:
            documents[-1].read_pair(line, number, budget)
            mark_before = ""
        elif mark != mark_before and _SEPARATOR.fullmatch(line):
            if documents[-1].properties:
                documents.append(_Document())
        else:
            if not documents[-1].properties and len(documents) > 1:
                documents.pop()  # Spring ignores such a separator
            mark_before = mark
    return tuple(
        ConfigDocument(properties=one.properties, origins=one.origins)
        for one in documents
        if one.properties
    )


def _comment_mark(line: str) -> str:
    first = line.lstrip(_BLANKS)[:1]
    return first if first in _MARKS else ""


class _Document:
    """A document under construction."""

    __slots__ = ("origins", "properties")

    def __init__(self) -> None:
        self.properties: dict[str, JsonValue] = {}
        self.origins: dict[str, str] = {}

    def read_pair(self, line: str, number: int, budget: FlatBudget) -> None:
        """Add the key and the value of a logical line."""
        end = next((found.start() for found in _KEY_END.finditer(line) if found[1]), len(line))
        before = _BEFORE_VALUE.match(line, end)
        column = end if before is None else before.end()
        key = _unescaped(line[:end], number)
        value = _unescaped(line[column:], number)
        if key:
            budget.take(len(key.encode()) + len(value.encode()))
            self.properties.pop(key, None)
            self.properties[key] = value
            self.origins[key] = f"{number}:{column + 1}"


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the logical lines with their numbers; continued lines are joined and trimmed left."""
    pieces: list[str] = []
    first = 0
    for number, found in enumerate(_LINE.finditer(text), start=1):
        line = found[1]
        stripped = line.lstrip(_BLANKS)
        if not pieces:
            if not stripped or stripped[0] in _MARKS:
                yield number, line if stripped else ""
                continue
            first = number
        if _is_continued(stripped):
            pieces.append(stripped[:-1])
            continue
        yield first, "".join((*pieces, stripped))
        pieces.clear()
    if pieces:
        yield first, "".join(pieces)


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescaped(text: str, number: int) -> str:
    if "\\" not in text:
        return text
    try:
        return _ESCAPE.sub(_character, text).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ConfigFormatError("a \\u escape is a single surrogate", line=number) from error
    except ConfigFormatError as error:
        raise ConfigFormatError(error.reason, line=number) from error


def _character(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    if escape == "u":
        raise ConfigFormatError("a \\u escape needs four hexadecimal digits")
    return _CONTROLS.get(escape, escape)
