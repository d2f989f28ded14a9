"""Reading `.properties` files as `java.util.Properties` and Spring Boot do (contract §3.5).

Flat keys to texts. A line `#---` or `!---` separates documents, unless a comment stands next to
it: the line before begins with the same mark, or one follows before the first key.
"""

import re
from typing import Final

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_server.storage import ConfigDocument

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_SEPARATOR: Final = re.compile(r"[#!]---\s*")
_BLANKS: Final = " \t\f"
_PAIR: Final = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_BROKEN_ESCAPE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u(?![0-9A-Fa-f]{4})")
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(data: bytes, *, limit: int) -> tuple[ConfigDocument, ...]:
    """Return the documents that hold anything, from first to last.

    The bytes are UTF-8, or ISO-8859-1 where they are not. Of a key given twice the last value
    counts, as in Java.

    Raises:
        ConfigFormatError: There are more than `limit` bytes, or an escape is broken.
    """
    if len(data) > limit:
        raise ConfigFormatError(f"larger than {limit:,} bytes")
    documents: list[ConfigDocument] = []
    properties: dict[str, JsonValue] = {}
    origins: dict[str, str] = {}
    mark_before = ""
    for number, line in _logical_lines(_decoded(data)):
        mark = _comment_mark(line)
        if not mark:
            _read_pair(line, number, properties, origins)
            mark_before = ""
        elif mark != mark_before and _SEPARATOR.fullmatch(line):
            if properties:
                documents.append(ConfigDocument(properties=properties, origins=origins))
                properties, origins = {}, {}
        else:
            if not properties and documents:  # Spring takes such a separator back
                reopened = documents.pop()
                properties, origins = dict(reopened.properties), dict(reopened.origins)
            mark_before = mark
    if properties:
        documents.append(ConfigDocument(properties=properties, origins=origins))
    return tuple(documents)


def _comment_mark(line: str) -> str:
    first = line.lstrip(_BLANKS)[:1]
    return first if first in {"#", "!"} else ""


def _read_pair(
    line: str, number: int, properties: dict[str, JsonValue], origins: dict[str, str]
) -> None:
    found = _PAIR.match(line)
    column = 0 if found is None else found.end()
    key = _unescaped("" if found is None else found[1], number)
    value = _unescaped(line[column:], number)
    if key:
        properties.pop(key, None)
        properties[key] = value
        origins[key] = f"{number}:{column + 1}"


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines with their numbers, continued ones joined, without leading blanks."""
    lines: list[tuple[int, str]] = []
    continued = False
    for number, line in enumerate(_LINE_END.split(text), start=1):
        stripped = line.lstrip(_BLANKS)
        if continued:
            first, before = lines.pop()
            lines.append((first, before + stripped))
        else:
            lines.append((number, line if _comment_mark(line) else stripped))
        comment = not continued and bool(_comment_mark(line))
        continued = not comment and _is_continued(stripped)
        if continued:
            first, before = lines.pop()
            lines.append((first, before[:-1]))
    return lines


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescaped(text: str, number: int) -> str:
    if "\\" not in text:
        return text
    if _BROKEN_ESCAPE.search(text):
        raise ConfigFormatError("a \\u escape needs four hexadecimal digits", line=number)
    plain = _ESCAPE.sub(_character, text)
    try:
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ConfigFormatError("an escape is half of a character", line=number) from error


def _character(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return _CONTROLS.get(escape, escape)
