"""Editing `.properties` files so that their documents have other keys and values."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pyfly.config_core import JsonValue, flatten
from pyfly.config_server.formats.editing.entries import InsertionPoints
from pyfly.config_server.formats.editing.text_lines import Replacement, replaced
from pyfly.config_server.formats.properties import (
    PropertyLine,
    decode_properties,
    property_lines,
)
from pyfly.config_server.formats.yaml_scalars import java_float

__all__ = ["dump_properties", "edit_properties", "property_texts"]

_BOM: Final = b"\xef\xbb\xbf"
_IN_KEY: Final = re.compile(r"[\\=: ]|^[#!]")
_IN_VALUE: Final = re.compile(r"\\|^ ")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_NOT_ASCII: Final = re.compile("[^\x00-\x7f]")
_NOT_LATIN: Final = re.compile("[^\x00-\xff]")
_NAMED: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
_SEPARATES: Final = re.compile("[=:]")
_NEWLINE: Final = re.compile("\r\n|\n|\r")


def property_texts(tree: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a tree as a `.properties` file can hold it: flat keys and texts.

    >>> property_texts({"server": {"port": 8080, "ssl": None}, "hosts": ["a"], "ratio": 1e10})
    {'server.port': '8080', 'server.ssl': '', 'hosts[0]': 'a', 'ratio': '1.0E10'}
    """
    return {key: _text_of(value) for key, value in flatten(tree).items()}


def edit_properties(data: bytes, wanted: Sequence[Mapping[str, JsonValue]]) -> bytes:
    """Return a text that should have these keys and texts in its documents.

    The caller has to parse it again. A value of several lines becomes one line. If a key is given
    twice in a document, its last line is changed.

    Raises:
        CannotEditError: Two replacements overlap.
    """
    text, encoding = decode_properties(data)
    found = _NEWLINE.search(text)
    newline = found[0] if found else "\n"
    to_escape = _NOT_LATIN if encoding == "latin-1" else _NOT_ASCII if text.isascii() else None
    editor = _Editor(text, newline, to_escape)
    documents: list[list[PropertyLine]] = [[] for _ in wanted]
    for line in property_lines(text):
        documents[line.document].append(line)
    replacements = [
        one
        for lines, tree in zip(documents, wanted, strict=True)
        for one in editor.edit(lines, {key: str(value) for key, value in tree.items()})
    ]
    is_mark = encoding != "latin-1" and data.startswith(_BOM)  # there it is a part of the text
    return (_BOM if is_mark else b"") + replaced(text, replacements).encode(encoding)


def dump_properties(texts: Mapping[str, JsonValue]) -> bytes:
    """Return a new text with these keys and texts."""
    lines = (
        f"{_key(key, _NOT_ASCII)}={_value(str(text), _NOT_ASCII)}" for key, text in texts.items()
    )
    return "".join(f"{line}\n" for line in lines).encode()


class _Editor:
    """Makes the replacements for one text."""

    def __init__(self, text: str, newline: str, to_escape: re.Pattern[str] | None) -> None:
        self._text = text
        self._newline = newline
        self._to_escape = to_escape

    def edit(
        self, lines: Sequence[PropertyLine], wanted: Mapping[str, str]
    ) -> Iterator[Replacement]:
        """Yield the replacements for one document."""
        last = {line.key: line for line in lines}
        for line in lines:
            if line.key not in wanted:
                yield Replacement(line.start, line.after, "")
            elif last[line.key] is line and line.value != wanted[line.key]:
                yield self._changed(line, wanted[line.key])
        added = [key for key in wanted if key not in last]
        if added:
            yield from self._added(lines, wanted, added)

    def _changed(self, line: PropertyLine, value: str) -> Replacement:
        written = _value(value, self._to_escape)
        separator = self._text[line.key_end : line.value_start]
        if written and _is_lost(separator, written):
            written = f"={written}"
        return Replacement(line.value_start, line.end, written)

    def _added(
        self, lines: Sequence[PropertyLine], wanted: Mapping[str, str], added: Iterable[str]
    ) -> Iterator[Replacement]:
        if not lines:
            blank = self._text and self._text[-1] not in "\r\n"
            written = [f"{self._pair(key, wanted[key], '=')}{self._newline}" for key in added]
            yield self._insertion(len(self._text), "".join(written), needs_break=bool(blank))
            return
        names = [line.key if line.key in wanted else None for line in lines]
        points = InsertionPoints(names, [*wanted], last=len(lines) - 1)
        by_line: dict[int, list[str]] = {}
        for key in added:
            near = points.before(key)
            separator = self._text[lines[near].key_end : lines[near].value_start]
            pair = self._pair(key, wanted[key], separator if "\\" not in separator else "=")
            by_line.setdefault(near, []).append(pair)
        for index, pairs in by_line.items():
            line = lines[index]
            needs_break = line.after == line.end
            new = "".join(f"{pair}{self._newline}" for pair in pairs)
            yield self._insertion(line.after, new, needs_break=needs_break)

    def _insertion(self, at: int, lines: str, *, needs_break: bool) -> Replacement:
        """Return an insertion of lines, also behind a last line without a line break."""
        if needs_break:
            lines = self._newline + lines.removesuffix(self._newline)
        return Replacement(at, at, lines)

    def _pair(self, key: str, value: str, separator: str) -> str:
        written = _value(value, self._to_escape)
        if _is_lost(separator, written):
            separator = "="
        return _key(key, self._to_escape) + separator + written


def _is_lost(separator: str, value: str) -> bool:
    """True if a value would not be read as one behind this separator."""
    return not separator or (value[:1] in {"=", ":"} and not _SEPARATES.search(separator))


def _text_of(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return java_float(value) if isinstance(value, float) else str(value)


def _key(key: str, to_escape: re.Pattern[str] | None) -> str:
    return _coded(_IN_KEY.sub(r"\\\g<0>", key), to_escape)


def _value(value: str, to_escape: re.Pattern[str] | None) -> str:
    return _coded(_IN_VALUE.sub(r"\\\g<0>", value), to_escape)


def _coded(text: str, to_escape: re.Pattern[str] | None) -> str:
    text = _CONTROL.sub(_escaped, text)
    return text if to_escape is None else to_escape.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    if found[0] in _NAMED:
        return _NAMED[found[0]]
    units = found[0].encode("utf-16-be").hex().upper()
    return "".join(f"\\u{units[index : index + 4]}" for index in range(0, len(units), 4))
