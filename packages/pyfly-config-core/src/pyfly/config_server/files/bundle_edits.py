"""Finding the one of several files that a change of a bundle concerns, and changing its tree.

Pure functions. Nested and dotted keys are equal; a list is one value.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from pyfly.config_core import JsonValue
from pyfly.config_server.formats.text import same_tree

__all__ = ["edit_one_file"]

_Path: TypeAlias = tuple[str, ...]
_Leaves: TypeAlias = dict[_Path, JsonValue]
_Tree: TypeAlias = Mapping[str, JsonValue]

_ABSENT: Final = object()


def edit_one_file(
    files: Mapping[str, _Tree], wanted: _Tree
) -> tuple[str, dict[str, JsonValue]] | None:
    """Return the only file that must change for a bundle to have the wanted properties.

    A file must change if it has a key that is removed or gets another value. New keys go to that
    file.

    >>> edit_one_file({"a.yml": {"x": 1}, "a.yaml": {"x": 0, "y": {"z": 1}}}, {"x": 1, "y.z": 2})
    ('a.yaml', {'x': 0, 'y': {'z': 2}})
    >>> edit_one_file({"a.yml": {"x": 1}, "a.yaml": {"x": 0}}, {"x": 2}) is None
    True

    Args:
        files: The trees of all files, the highest precedence first.
        wanted: The wanted properties of the bundle.

    Returns:
        The name of the file with its new tree; `None` if there is not exactly one such file.
    """
    trees = [*files.values()]
    before, after = _merged(trees), _leaves(wanted)
    changed = {path for path in before.keys() | after.keys() if _differs(before, after, path)}
    concerned = [name for name, tree in files.items() if changed & _leaves(tree).keys()]
    if len(concerned) != 1:
        return None
    name = concerned[0]
    edited = _edited(files[name], (), changed, after)
    for path in sorted(changed & after.keys() - _leaves(files[name]).keys()):
        _add(edited, path, after[path])
    result = _merged([edited if one == name else tree for one, tree in files.items()])
    is_wanted = not any(_differs(result, after, path) for path in result.keys() | after.keys())
    return (name, edited) if is_wanted else None


def _merged(trees: Sequence[_Tree]) -> _Leaves:
    merged: _Leaves = {}
    for tree in reversed(trees):
        merged |= _leaves(tree)
    return merged


def _leaves(tree: _Tree, prefix: _Path = ()) -> _Leaves:
    found: _Leaves = {}
    for key, value in tree.items():
        path = (*prefix, *_parts(key))
        if isinstance(value, dict) and value:
            found |= _leaves(value, path)
        else:
            found[path] = value
    return found


def _parts(key: str) -> list[str]:
    return [key] if "[" in key else key.split(".")


def _differs(one: _Leaves, other: _Leaves, path: _Path) -> bool:
    return not same_tree(one.get(path, _ABSENT), other.get(path, _ABSENT))


def _edited(
    tree: _Tree, prefix: _Path, changed: set[_Path], after: _Leaves
) -> dict[str, JsonValue]:
    """Return a tree with new values for its keys, in the same places."""
    edited: dict[str, JsonValue] = {}
    for key, value in tree.items():
        path = (*prefix, *_parts(key))
        if isinstance(value, dict) and value:
            if below := _edited(value, path, changed, after):
                edited[key] = below
        elif path not in changed:
            edited[key] = value
        elif path in after:
            edited[key] = after[path]
    return edited


def _add(tree: dict[str, JsonValue], path: _Path, value: JsonValue) -> None:
    """Add a new key beside keys with the same beginning."""
    for depth, part in enumerate(path[:-1]):
        below = tree.get(part)
        if not isinstance(below, dict):
            tree[".".join(path[depth:])] = value
            return
        tree = below
    tree[path[-1]] = value
