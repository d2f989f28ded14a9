"""Changes of a tree: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902).

Pure functions. They change no argument, and a change that fails has no result.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pyfly.config_core import (
    ConfigFormatError,
    JsonValue,
    PatchConflictError,
    PatchTestError,
    copy_properties,
    finite,
)
from pyfly.config_core.limits import MAX_NODES, MAX_PATCH_OPERATIONS

__all__ = ["PatchOperation", "apply_operations", "merge_patch", "parse_operations"]

_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "from"),
    "copy": ("path", "from"),
    "test": ("path", "value"),
}
_LONE_TILDE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchOperation:
    """One operation of a JSON patch. `parse_operations` makes it."""

    number: int
    """Its place in the patch, from 1."""
    name: str
    """`add`, `remove`, `replace`, `move`, `copy` or `test`."""
    path: tuple[str, ...]
    """The tokens of the pointer after an empty one, which stands for the whole tree."""
    source: tuple[str, ...] = ()
    """The same for `from`."""
    value: JsonValue = field(default=None, repr=False)


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Return `target` with a merge patch: mappings are merged, null removes a key.

    >>> merge_patch({"db": {"url": "a", "user": "b"}}, {"db": {"url": "c", "user": None}})
    {'db': {'url': 'c'}}
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def parse_operations(value: JsonValue) -> tuple[PatchOperation, ...]:
    """Return the operations of a JSON patch. Members that RFC 6902 does not know are ignored.

    Raises:
        ConfigFormatError: It is not an array of at most 1,000 operations, or one of them lacks a
            member, has a malformed pointer, or moves a value into itself.
    """
    if not isinstance(value, list):
        raise ConfigFormatError("a JSON patch is an array of operations")
    if len(value) > MAX_PATCH_OPERATIONS:
        raise ConfigFormatError(
            f"{len(value):,} operations, more than {MAX_PATCH_OPERATIONS:,}; send several patches"
        )
    return tuple(_operation(number, raw) for number, raw in enumerate(value, 1))


def apply_operations(
    tree: Mapping[str, JsonValue], operations: Sequence[PatchOperation]
) -> JsonValue:
    """Return the tree after all operations, in order. Infinities and NaN are texts for `test`.

    Raises:
        PatchTestError: The value of a `test` is not the one in the tree.
        PatchConflictError: There is nothing at a path that an operation needs.
        ConfigFormatError: The operations copy too many values, or the whole tree was removed.
    """
    root: dict[str, JsonValue] = {"": copy_properties(tree)}
    copies = _Copies()
    for one in operations:
        try:
            _apply(root, one, copies)
        except _MisfitError as error:
            kind = PatchTestError if one.name == "test" else PatchConflictError
            raise kind(
                f"operation {one.number} ({one.name})", error.pointer, error.reason
            ) from None
    if not root:
        raise ConfigFormatError("the patch removes the whole bundle; use DELETE")
    return root[""]


def _operation(number: int, raw: JsonValue) -> PatchOperation:
    name = raw.get("op") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not isinstance(name, str) or name not in _MEMBERS:
        known = ", ".join(_MEMBERS)
        raise ConfigFormatError(f"operation {number} has no member 'op' that is one of {known}")
    for member in _MEMBERS[name]:
        if member not in raw:
            raise ConfigFormatError(f"operation {number} ({name}) has no member {member!r}")
    path = _tokens(number, "path", raw["path"])
    source = _tokens(number, "from", raw["from"]) if "from" in _MEMBERS[name] else ()
    if name == "move" and len(source) < len(path) and path[: len(source)] == source:
        raise ConfigFormatError(f"operation {number} (move) moves a value into itself")
    return PatchOperation(
        number=number, name=name, path=path, source=source, value=raw.get("value")
    )


def _tokens(number: int, member: str, pointer: JsonValue) -> tuple[str, ...]:
    """Return the tokens of a JSON pointer (RFC 6901), the empty one of the root first."""
    if (
        not isinstance(pointer, str)
        or pointer[:1] not in {"", "/"}
        or _LONE_TILDE.search(pointer) is not None
    ):
        raise ConfigFormatError(
            f"operation {number}: {member!r} is not a JSON pointer, such as '/db/url'; "
            "write '~' as '~0' and '/' in a name as '~1'"
        )
    return tuple(one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/"))


class _MisfitError(Exception):
    """An operation does not fit the tree."""

    def __init__(self, path: Sequence[str], reason: str) -> None:
        super().__init__(path, reason)
        self.pointer = "/".join(one.replace("~", "~0").replace("/", "~1") for one in path)
        self.reason = reason


class _Copies:
    """Copies values and counts them: copies of copies would grow without a limit."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def take(self, value: JsonValue) -> JsonValue:
        waiting = [value]
        while waiting and self._left >= 0:
            node = waiting.pop()
            self._left -= 1
            if isinstance(node, dict | list):
                waiting += node.values() if isinstance(node, dict) else node
        if self._left < 0:
            raise ConfigFormatError(f"the patch adds more than {MAX_NODES:,} values")
        return copy_properties({"value": value})["value"]


def _apply(root: dict[str, JsonValue], one: PatchOperation, copies: _Copies) -> None:
    match one.name:
        case "test":
            holder, key = _find(root, one.path)
            if not _equal(holder[key], one.value):
                raise _MisfitError(one.path, "another value is stored there")
        case "replace":
            holder, key = _find(root, one.path)
            holder[key] = copies.take(one.value)
        case "remove":
            _remove(root, one.path)
        case "move":
            _add(root, one.path, _remove(root, one.source))
        case "copy":
            holder, key = _find(root, one.source)
            _add(root, one.path, copies.take(holder[key]))
        case _:
            _add(root, one.path, copies.take(one.value))


def _find(root: dict[str, JsonValue], path: Sequence[str]) -> tuple[Any, Any]:
    """Return the mapping and the key, or the list and the index, of a value that is there."""
    holder, key = cast("Any", None), cast("Any", None)
    node: JsonValue = root
    for token in path:
        key = _key(node, token)
        if key is None:
            raise _MisfitError(path, "there is no such value")
        holder = cast("Any", node)
        node = holder[key]
    return holder, key


def _key(node: JsonValue, token: str) -> str | int | None:
    """Return the key or the index of a value in `node`; `None` if it is not there."""
    if isinstance(node, dict):
        return token if token in node else None
    if isinstance(node, list) and _INDEX.fullmatch(token) and int(token) < len(node):
        return int(token)
    return None


def _remove(root: dict[str, JsonValue], path: Sequence[str]) -> JsonValue:
    holder, key = _find(root, path)
    value: JsonValue = holder.pop(key)
    return value


def _add(root: dict[str, JsonValue], path: Sequence[str], value: JsonValue) -> None:
    """Put a value into a mapping, or into a list before an index or at its end."""
    *above, token = path
    node: JsonValue = root
    if above:
        holder, key = _find(root, above)
        node = holder[key]
    if isinstance(node, dict):
        node[token] = value
    elif not isinstance(node, list):
        raise _MisfitError(above, "this is a single value, which holds no others")
    elif token == "-":  # noqa: S105 - a token of a pointer
        node.append(value)
    elif _INDEX.fullmatch(token) and int(token) <= len(node):
        node.insert(int(token), value)
    else:
        raise _MisfitError(path, "this is no place in the list, nor the end of it")


def _equal(stored: JsonValue, wanted: JsonValue) -> bool:
    """True if two values are equal as JSON: `1` equals `1.0`, and neither equals `true`."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return stored.keys() == wanted.keys() and all(_equal(stored[k], wanted[k]) for k in stored)
    if isinstance(stored, list) and isinstance(wanted, list):
        return len(stored) == len(wanted) and all(map(_equal, stored, wanted))
    if isinstance(stored, bool) or isinstance(wanted, bool):
        return stored is wanted
    if isinstance(stored, dict | list):
        return False
    return finite(stored) == finite(wanted)
