"""Edits of a text: the same text with another tree.

The lines that say the same stay as they are: comments, order, quotes, indentation, anchors and
line breaks. Every result is parsed again before it is returned. What cannot be done: a folded text
(`>`) with another value becomes a literal one (`|`), a comment above a removed key stays while one
inside of a removed value goes, and a renamed key is a removed and a new one.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.formats.editing.fragments import Fragment, Fragments
from pyfly.config_server.formats.editing.json_fragments import JsonFragments
from pyfly.config_server.formats.editing.json_nodes import json_root
from pyfly.config_server.formats.editing.nodes import MappingNode, Node
from pyfly.config_server.formats.editing.properties_editor import (
    dump_properties,
    edit_properties,
    property_texts,
)
from pyfly.config_server.formats.editing.text_lines import (
    CannotEditError,
    Lines,
    Replacement,
    replaced,
)
from pyfly.config_server.formats.editing.tree_editor import EditLevel, TreeEditor
from pyfly.config_server.formats.editing.yaml_fragments import YamlFragments
from pyfly.config_server.formats.editing.yaml_nodes import document_roots, with_closed_block
from pyfly.config_server.formats.text import (
    ROOT_KEY,
    dump_text,
    is_nothing,
    parse_documents,
    same_tree,
)
from pyfly.config_server.storage import ConfigDocument

__all__ = ["TextEdit", "UneditableTextError", "edit_documents", "edit_text"]

_BOM: Final = b"\xef\xbb\xbf"
_PROPERTIES: Final = ".properties"
_ATTEMPTS: Final = 3
"""Mappings that are written anew in turn, besides the outermost one."""


class UneditableTextError(ConfigFormatError):
    """There is no edit of a text after which it has the wanted trees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEdit:
    """A text with the wanted trees."""

    data: bytes = field(repr=False)
    level: EditLevel


def edit_text(data: bytes, wanted: Mapping[str, JsonValue], *, suffix: str) -> TextEdit:
    """Return a text of one document with another tree, in its old lines as far as possible.

    A text that does not parse is written anew. The values of a `.properties` file become texts.

    Raises:
        ConfigFormatError: The format cannot hold the tree, or the new text is too long.
        UneditableTextError: The text has several documents.
    """
    try:
        documents = parse_documents(data, suffix=suffix)
    except ConfigFormatError:
        return _anew(wanted, suffix)
    if len(documents) > 1:
        raise UneditableTextError("it holds several documents")
    try:
        return _edited(data, documents, [wanted], suffix)
    except UneditableTextError:
        return _anew(wanted, suffix)
    except ConfigFormatError:  # too long: perhaps not without its escapes, and JSON has no comments
        if suffix != ".json":
            raise
        return _anew(wanted, suffix)


def edit_documents(
    data: bytes, wanted: Sequence[Mapping[str, JsonValue]], *, suffix: str
) -> TextEdit:
    """Return a text with other trees in its documents, in its old lines as far as possible.

    Args:
        data: The text.
        wanted: One tree for each document that `parse_documents` returns.
        suffix: The format.

    Raises:
        ConfigFormatError: The text does not parse, or the new text is too long.
        UneditableTextError: There is no such edit.
    """
    return _edited(data, parse_documents(data, suffix=suffix), wanted, suffix)


def _edited(
    data: bytes,
    documents: Sequence[ConfigDocument],
    wanted: Sequence[Mapping[str, JsonValue]],
    suffix: str,
) -> TextEdit:
    trees = [property_texts(one) for one in wanted] if suffix == _PROPERTIES else wanted
    if _are_trees(documents, trees):
        return TextEdit(data=data, level=EditLevel.ENTRIES)
    for new, level in _candidates(data, trees, suffix):
        if len(new) > MAX_DOCUMENT_BYTES:
            raise ConfigFormatError(f"{len(new):,} bytes of text, more than {MAX_DOCUMENT_BYTES:,}")
        with contextlib.suppress(ConfigFormatError):  # the next candidate changes more
            if _are_trees(parse_documents(new, suffix=suffix), trees):
                return TextEdit(data=new, level=level)
    raise UneditableTextError("this change cannot be made in its text")


def _anew(wanted: Mapping[str, JsonValue], suffix: str) -> TextEdit:
    if suffix != _PROPERTIES:
        return TextEdit(data=dump_text(wanted, suffix=suffix), level=EditLevel.WHOLE)
    texts = property_texts(wanted)
    data = dump_properties(texts)
    if len(data) > MAX_DOCUMENT_BYTES or not _are_trees(
        parse_documents(data, suffix=suffix), [texts]
    ):
        raise ConfigFormatError("a .properties file cannot hold these properties")
    return TextEdit(data=data, level=EditLevel.WHOLE)


def _are_trees(
    documents: Sequence[ConfigDocument], wanted: Sequence[Mapping[str, JsonValue]]
) -> bool:
    """True if documents have these trees. A text without a document is one empty document."""
    found = [one.properties for one in documents]
    return same_tree(found, [*wanted]) or (not found and not any(wanted))


def _candidates(
    data: bytes, wanted: Sequence[Mapping[str, JsonValue]], suffix: str
) -> Iterator[tuple[bytes, EditLevel]]:
    """Yield texts that should have the wanted trees, the least changed one first."""
    if suffix == _PROPERTIES:
        with contextlib.suppress(CannotEditError):
            yield edit_properties(data, wanted), EditLevel.ENTRIES
        return
    bom = _BOM if data.startswith(_BOM) else b""
    text = data[len(bom) :].decode()
    lines = Lines(text)
    # While it is edited, every line has a line break.
    added = lines.newline if text and lines.start(len(text)) < len(text) else ""
    if not added:
        candidates = _edited_texts(text, lines, wanted, suffix)
        yield from ((bom + new.encode(), level) for new, level in candidates)
        return
    candidates = _edited_texts(text + added, Lines(text + added), wanted, suffix)
    for new, level in _with_open_block(text, added, candidates, wanted, suffix):
        yield bom + new.removesuffix(added).encode(), level
        yield bom + new.encode(), level


def _with_open_block(
    text: str,
    added: str,
    candidates: Iterator[tuple[str, EditLevel]],
    wanted: Sequence[Mapping[str, JsonValue]],
    suffix: str,
) -> Iterator[tuple[str, EditLevel]]:
    """Yield candidates for a text that ends with a block without a line break.

    If a line follows the block now, its header must say that its text has no line break.
    """
    yield from islice(candidates, 1)
    if suffix != ".json" and (closed := with_closed_block(text)) is not None:
        yield from islice(_edited_texts(closed + added, Lines(closed + added), wanted, suffix), 1)
    yield from candidates


def _edited_texts(
    text: str, lines: Lines, wanted: Sequence[Mapping[str, JsonValue]], suffix: str
) -> Iterator[tuple[str, EditLevel]]:
    if suffix == ".json":
        roots = [json_root(text)] if text.strip() else []
        fragments: Fragments = JsonFragments(text, lines.newline)
    else:
        roots = document_roots(text, lines)
        fragments = YamlFragments(text, lines, roots)
    filled = [root for root in roots if not is_nothing(root.value)]
    if not filled:
        with contextlib.suppress(CannotEditError):
            new = fragments.block(dict(wanted[0]), old=None, parent=-1, column=-1)
            yield _with_document(text, lines, roots, new), EditLevel.ENTRIES
        return
    changes = [(root, _root_value(root, tree)) for root, tree in zip(filled, wanted, strict=True)]
    around = _mappings_around(changes)
    for anew in (None, *around[: -_ATTEMPTS - 1 : -1], *around[:1]):
        editor = TreeEditor(text, lines, fragments, anew=anew)
        with contextlib.suppress(CannotEditError):
            for root, value in changes:
                editor.edit_document(root, value)
            yield replaced(text, editor.replacements), editor.level


def _root_value(root: Node, tree: Mapping[str, JsonValue]) -> JsonValue:
    """Return the value of a document. Its tree has a list at the top under the key `document`."""
    if isinstance(root.value, dict) or [*tree] != [ROOT_KEY] or isinstance(tree[ROOT_KEY], dict):
        return dict(tree)
    return tree[ROOT_KEY]


def _with_document(text: str, lines: Lines, roots: Sequence[Node], new: Fragment) -> str:
    """Return a text that had comments only with a document behind them."""
    written = lines.newline.join((*(new.lines or (new.head,)), ""))
    if not text.strip():
        return written
    at = lines.after(roots[0].start) if roots else len(text)
    return replaced(text, [Replacement(at, at, written)])


def _mappings_around(changes: Sequence[tuple[Node, JsonValue]]) -> list[Node]:
    """Return the mappings that contain all changes, the outermost first."""
    changed = [(root, value) for root, value in changes if not same_tree(root.value, value)]
    around: list[Node] = []
    while len(changed) == 1:
        node, value = changed[0]
        if not isinstance(node, MappingNode) or not isinstance(value, dict):
            break
        around.append(node)
        nodes = {pair.key: pair.node for pair in node.pairs}
        if nodes.keys() != value.keys():
            break
        changed = [
            (nodes[key], one) for key, one in value.items() if not same_tree(nodes[key].value, one)
        ]
    return around
