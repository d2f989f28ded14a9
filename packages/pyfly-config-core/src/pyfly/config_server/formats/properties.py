"""Reading `.properties` files as `java.util.Properties` and Spring Boot do.

The result maps flat keys to texts. A line `#---` or `!---` separates documents, unless a comment
is next to it: the line before begins with the same mark, or a comment follows before the first
key. The rules: docs/reference/protocol.md, Documents of a file.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyfly.config_core import ConfigFormatError, FlatBudget, JsonValue
from pyfly.config_server.storage import ConfigDocument

__all__ = ["PropertyLine", "decode_properties", "parse_properties", "property_lines"]

_LINE: Final = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_SEPARATOR: Final = re.compile(r"[#!]---\s*")
_MARKS: Final = frozenset("#!")
_BLANKS: Final = " \t\f"
_KEY_END: Final = re.compile(r"\\.|([=: \t\f])", re.DOTALL)
_BEFORE_VALUE: Final = re.compile(r"[ \t\f]*[=:]?[ \t\f]*")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyLine:
    """A key and its value, with their positions in the text."""

    document: int
    """The index of its document, among those that are not empty."""
    key: str
    value: str = field(repr=False)
    number: int
    """The number of its first line, counted from 1."""
    column: int
    """The column of its value in the joined lines, counted from 1."""
    start: int
    """The beginning of its first line."""
    key_end: int
    value_start: int
    end: int
    """The end of its last line, before the line break."""
    after: int
    """The beginning of the next line."""


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
    documents: list[tuple[dict[str, JsonValue], dict[str, str]]] = []
    budget = FlatBudget()
    text, _ = decode_properties(data)
    for line in property_lines(text):
        budget.take(len(line.key.encode()) + len(line.value.encode()))
        if line.document == len(documents):
            documents.append(({}, {}))
        properties, origins = documents[line.document]
        properties.pop(line.key, None)
        properties[line.key] = line.value
        origins[line.key] = f"{line.number}:{line.column}"
    return tuple(
        ConfigDocument(properties=properties, origins=origins) for properties, origins in documents
    )


def property_lines(text: str) -> Iterator[PropertyLine]:
    """Yield the lines with a key, those of the same key included.

    Raises:
        ConfigFormatError: An escape is broken.
    """
    document = 0
    has_keys = False
    mark_before = ""
    for line in _logical_lines(text):
        if not line.text:
            mark_before = ""
            continue
        mark = _comment_mark(line.text)
        if not mark:
            mark_before = ""
            found = _property(line, document)
            if found.key:
                has_keys = True
                yield found
        elif mark != mark_before and _SEPARATOR.fullmatch(line.text):
            if has_keys:
                document, has_keys = document + 1, False
        else:
            if not has_keys and document:
                document, has_keys = document - 1, True  # Spring ignores such a separator
            mark_before = mark


def _comment_mark(line: str) -> str:
    first = line.lstrip(_BLANKS)[:1]
    return first if first in _MARKS else ""


def _property(line: "_LogicalLine", document: int) -> PropertyLine:
    """Return the key and the value of a logical line."""
    text, number = line.text, line.number
    end = next((found.start() for found in _KEY_END.finditer(text) if found[1]), len(text))
    before = _BEFORE_VALUE.match(text, end)
    column = end if before is None else before.end()
    return PropertyLine(
        document=document,
        key=_unescaped(text[:end], number),
        value=_unescaped(text[column:], number),
        number=number,
        column=column + 1,
        start=line.start,
        key_end=line.position(end),
        value_start=line.position(column),
        end=line.end,
        after=line.after,
    )


def decode_properties(data: bytes) -> tuple[str, str]:
    """Return the text without a byte order mark, and the name of its encoding."""
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


@dataclass(slots=True, kw_only=True)
class _LogicalLine:
    """A line with the lines that continue it, joined and trimmed left."""

    number: int
    text: str
    start: int
    end: int
    after: int
    begins: Sequence[int] = ()
    """Where each line begins in `text`."""
    places: Sequence[int] = ()
    """Where that is in the file."""

    def position(self, offset: int) -> int:
        """Return the position in the file of a position in `text`."""
        line = bisect_right(self.begins, offset) - 1
        return self.places[line] + offset - self.begins[line]


_BLANK: Final = _LogicalLine(number=0, text="", start=0, end=0, after=0)


def _logical_lines(text: str) -> Iterator[_LogicalLine]:
    """Yield the logical lines. A blank line has no text; a comment keeps its blanks."""
    pieces: list[str] = []
    begins, places = array("L"), array("L")
    first = start = length = 0
    for number, found in enumerate(_LINE.finditer(text), start=1):
        line = found[1]
        stripped = line.lstrip(_BLANKS)
        if not pieces:
            if not stripped:
                yield _BLANK
                continue
            first, start, length = number, found.start(), 0
            begins, places = array("L"), array("L")
        if pieces or stripped[0] not in _MARKS:
            begins.append(length)
            places.append(found.end(1) - len(stripped))
            is_continued = _is_continued(stripped)
            stripped = stripped[:-1] if is_continued else stripped
            pieces.append(stripped)
            if is_continued and found.end() < len(text):
                length += len(stripped)
                continue
            line = "".join(pieces)
            pieces.clear()
        yield _LogicalLine(
            number=first,
            text=line,
            start=start,
            end=found.end(1),
            after=found.end(),
            begins=begins,
            places=places,
        )


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
