"""Finding the places of a change in a bundle of several files or documents.

Pure functions. Nested and dotted keys are equal; a list is one value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_server.files.layouts import PROPERTIES_SUFFIX
from pyfly.config_server.formats.editing.properties_editor import property_texts
from pyfly.config_server.formats.merged_documents import (
    Leaves,
    Path,
    leaves_of,
    merged_leaves,
    parts_of,
)
from pyfly.config_server.formats.text import same_tree
from pyfly.config_server.storage import ConfigDocument

__all__ = ["edit_one_file"]

_Tree: TypeAlias = Mapping[str, JsonValue]
_Files: TypeAlias = Mapping[str, Sequence[ConfigDocument]]

_ABSENT: Final = object()
_CONDITION: Final = "spring.config.activate."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A change of a bundle."""

    paths: frozenset[Path]
    after: Leaves


def edit_one_file(files: _Files, wanted: _Tree) -> tuple[str, list[_Tree]] | None:
    """Return the only file that must change for a bundle to have the wanted properties.

    A file must change if it has a key that is removed or gets another value. New keys go to that
    file if it has one document.

    Args:
        files: The documents of all files: the files with the highest precedence first, the
            documents of a file with the lowest first.
        wanted: The wanted properties of the bundle, as `merged_properties` returns them.

    Returns:
        The name of the file with the new trees of its documents; `None` if there is not exactly
        one such file.

    Raises:
        ConfigFormatError: A changed key is not in exactly one document of the file, or it is in
            one document twice, or it is removed and is the condition of a document that stays.
            Names the key and the lines.
    """
    change = _change(files, wanted)
    concerned = [
        name
        for name, documents in files.items()
        if any(change.paths & leaves_of(one.properties).keys() for one in documents)
    ]
    if len(files) == 1:
        concerned = [*files]
    if len(concerned) != 1:
        return None
    name = concerned[0]
    trees = _edited_trees(files[name], change)
    edited = {**files, name: [ConfigDocument(properties=tree) for tree in trees]}
    result = merged_leaves(_in_order(edited))
    is_wanted = result.keys() == change.after.keys() and all(
        same_tree(result[path], value) for path, value in change.after.items()
    )
    return (name, trees) if is_wanted else None


def _change(files: _Files, wanted: _Tree) -> _Change:
    before, after = merged_leaves(_in_order(files)), leaves_of(wanted)
    for name, documents in files.items():
        if name.endswith(PROPERTIES_SUFFIX):
            after |= _same_texts(documents, before, after)
    paths = {
        path
        for path in before.keys() | after.keys()
        if not same_tree(before.get(path, _ABSENT), after.get(path, _ABSENT))
    }
    return _Change(paths=frozenset(paths), after=after)


def _same_texts(documents: Sequence[ConfigDocument], before: Leaves, after: Leaves) -> Leaves:
    """Return the texts of a `.properties` file that say the same as the wanted values."""
    return {
        path: before[path]
        for one in documents
        for path in leaves_of(one.properties)
        if path in after and property_texts({"": after[path]}) == {"": before[path]}
    }


def _edited_trees(documents: Sequence[ConfigDocument], change: _Change) -> list[_Tree]:
    """Return the new trees of the documents of one file."""
    if len(documents) > 1:
        _check_in_one(change.paths, documents)
    for one in documents:
        _check_spelled_once(one, change.paths)
    trees: list[_Tree] = []
    for one in documents or [ConfigDocument(properties={})]:
        edited = _edited(one.properties, (), change)
        if len(documents) > 1 and edited:
            _check_condition_kept(one, change)
        if len(documents) <= 1:
            for path in sorted(
                change.paths & change.after.keys() - leaves_of(one.properties).keys()
            ):
                _add(edited, path, change.after[path])
        trees.append(edited)
    return trees


def _check_in_one(paths: frozenset[Path], documents: Sequence[ConfigDocument]) -> None:
    holders: dict[Path, list[ConfigDocument]] = {path: [] for path in sorted(paths)}
    for one in documents:
        for path in paths & leaves_of(one.properties).keys():
            holders[path].append(one)
    for path, having in holders.items():
        key = ".".join(path)
        if not having:
            raise ConfigFormatError(f"none of its documents has the key {key!r}")
        if len(having) > 1:
            lines = [one.origins[key].partition(":")[0] for one in having if key in one.origins]
            places = f", in lines {' and '.join(lines)}" if len(lines) > 1 else ""
            raise ConfigFormatError(f"several of its documents have the key {key!r}{places}")


def _check_condition_kept(document: ConfigDocument, change: _Change) -> None:
    """Refuse to remove the condition of a document that keeps other keys.

    A writer who does not know of the documents would make it count for every profile.
    """
    for path in leaves_of(document.properties):
        key = ".".join(path)
        is_condition = key.lower().startswith(_CONDITION)
        if is_condition and path in change.paths and path not in change.after:
            raise ConfigFormatError(
                f"without the key {key!r}, one of its documents would count for every request"
            )


def _check_spelled_once(document: ConfigDocument, paths: frozenset[Path]) -> None:
    spellings: dict[Path, list[str]] = {}
    for path, spelling in _spelled(document.properties):
        spellings.setdefault(path, []).append(spelling)
    for path in sorted(paths):
        if len(spellings.get(path, ())) > 1:
            raise ConfigFormatError(
                f"the key {'.'.join(path)!r} is given twice: as {' and '.join(spellings[path])}"
            )


def _in_order(files: _Files) -> list[ConfigDocument]:
    return [one for documents in reversed([*files.values()]) for one in documents]


def _spelled(tree: _Tree, prefix: Path = (), above: str = "") -> list[tuple[Path, str]]:
    """Return the paths of all values, each with its keys as they are written."""
    found: list[tuple[Path, str]] = []
    for key, value in tree.items():
        path, spelling = (*prefix, *parts_of(key)), f"{above}'{key}'"
        if isinstance(value, dict) and value:
            found += _spelled(value, path, f"{spelling} / ")
        else:
            found.append((path, spelling))
    return found


def _edited(tree: _Tree, prefix: Path, change: _Change) -> dict[str, JsonValue]:
    """Return a tree with new values for its keys, in the same places."""
    edited: dict[str, JsonValue] = {}
    for key, value in tree.items():
        path = (*prefix, *parts_of(key))
        if isinstance(value, dict) and value:
            if below := _edited(value, path, change):
                edited[key] = below
        elif path not in change.paths:
            edited[key] = value
        elif path in change.after:
            edited[key] = change.after[path]
    return edited


def _add(tree: dict[str, JsonValue], path: Path, value: JsonValue) -> None:
    """Add a new key beside keys with the same beginning."""
    for depth, part in enumerate(path[:-1]):
        below = tree.get(part)
        if not isinstance(below, dict):
            tree[".".join(path[depth:])] = value
            return
        tree = below
    tree[path[-1]] = value
