"""Reading YAML 1.1 as a Spring server reads it.

Values are built from libyaml's events in one pass without recursion. It counts every use of an
alias as a copy, so that a small hostile file cannot become a large tree.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias, cast

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)

from pyfly.config_core import MAX_DEPTH, ConfigFormatError, JsonValue
from pyfly.config_core.limits import MAX_NODES
from pyfly.config_server.formats.yaml_scalars import (
    TAG_PREFIX,
    Merge,
    Scalar,
    bracketed,
    resolve_plain,
    resolve_tagged,
)

__all__ = [
    "load_documents",
    "load_with_origins",
    "parse_events",
]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Value: TypeAlias = Any
"""A scalar, a list, a dict with string keys, or `Merge`."""

_MAX_BYTES: Final = 5_000_000
_MAX_ALIASES: Final = 1_000
_MAX_TAG_DIRECTIVES: Final = 100
_MAX_KEY: Final = 4_096
_MAX_SCALAR: Final = 262_144
_NODE_BYTES: Final = 8
_TOO_MANY_NODES: Final = (
    f"more than {MAX_NODES:,} mappings, lists and values, with aliases written out"
)
_TAG_DIRECTIVE: Final = re.compile("(?:^|[\r\n\x85\u2028\u2029])%TAG")


def load_documents(text: str) -> list[JsonValue]:
    """Return the documents of a YAML text that are not empty.

    Mapping keys that YAML reads as numbers or booleans become `[1]`, `[true]`.

    Raises:
        ConfigFormatError: As `load_with_origins`.
    """
    return [value for value, _ in load_with_origins(text)]


def load_with_origins(text: str) -> list[tuple[JsonValue, JsonValue]]:
    """Return the documents of a YAML text that are not empty, each with its origins.

    The origins are a tree of the same shape, with `line:column` in place of each value.

    Raises:
        ConfigFormatError: The text does not parse, has a duplicate key or an unsupported tag, or
            exceeds a limit. The error has a line and a column, and no content.
    """
    if len(_TAG_DIRECTIVE.findall(text)) > _MAX_TAG_DIRECTIVES:  # quadratic time in libyaml
        raise ConfigFormatError(f"more than {_MAX_TAG_DIRECTIVES} lines begin with %TAG")
    builder = _Builder()
    try:
        for event in parse_events(text):
            builder.take(event)
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise ConfigFormatError("a character is not allowed", line=line) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(error.problem or "not YAML", mark) from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigFormatError):
            raise
        raise ConfigFormatError("not YAML that can be read") from error
    return builder.documents


def parse_events(text: str) -> Iterator[Event]:
    """Yield the events of a YAML text.

    Raises:
        yaml.YAMLError: The text does not parse.
    """
    loader = _Loader(text)
    try:
        yield from iter(loader.get_event, None)
    finally:
        loader.dispose()


class _Finished(NamedTuple):
    """A value that is complete."""

    value: _Value
    origin: Any
    nodes: int
    size: int


class _Node:
    """A collection under construction."""

    __slots__ = ("anchor", "explicit", "key", "mark", "nodes", "origins", "size", "value")

    def __init__(self, event: CollectionStartEvent, *, is_mapping: bool) -> None:
        self.value: list[Any] | dict[str, Any] = {} if is_mapping else []
        self.origins: Any = {} if is_mapping else []
        self.mark = event.start_mark
        self.anchor: str | None = event.anchor
        self.nodes = 1
        self.size = _NODE_BYTES
        self.key: str | Merge | None = None
        self.explicit: set[str] = set()

    def finished(self) -> _Finished:
        """Return the collection. An empty list is a value and has an origin."""
        empty = self.value == []
        origin = _place(self.mark) if empty else self.origins
        return _Finished(self.value, origin, self.nodes, self.size)


class _Builder:
    """Builds the values of one text from its events. For one use."""

    def __init__(self) -> None:
        self.documents: list[tuple[JsonValue, JsonValue]] = []
        self._open: list[_Node] = []
        self._anchors: dict[str, _Finished] = {}
        self._aliases = 0
        self._nodes = 0
        self._root: _Finished | None = None

    def take(self, event: Event) -> None:
        """Process the next event.

        Raises:
            ConfigFormatError: See `load_documents`.
        """
        if isinstance(event, ScalarEvent):
            self._scalar(event)
        elif isinstance(event, CollectionStartEvent):
            self._start(event)
        elif isinstance(event, CollectionEndEvent):
            node = self._open.pop()
            # an anchor of the same name inside of the collection comes after its own
            anchor = None if node.anchor in self._anchors else node.anchor
            self._finish(node.finished(), anchor, event)
        elif isinstance(event, AliasEvent):
            self._alias(event)
        elif isinstance(event, DocumentEndEvent):
            self._end_document(event)

    def _end_document(self, event: Event) -> None:
        root, self._root = self._root, None
        self._anchors.clear()
        self._nodes += 1 if root is None else root.nodes
        if self._nodes > MAX_NODES:
            raise _error(f"documents of {_TOO_MANY_NODES}", event.start_mark)
        if root is not None and root.value is not None:
            self.documents.append((root.value, root.origin))

    def _scalar(self, event: ScalarEvent) -> None:
        text: str = event.value
        if len(text) > _MAX_SCALAR:
            raise _error(f"a value is longer than {_MAX_SCALAR:,} characters", event.start_mark)
        try:
            value = _scalar_value(text, event)
        except ConfigFormatError as error:
            raise _error(error.reason, event.start_mark) from error
        done = _Finished(value, _place(event.start_mark), 1, len(text) + _NODE_BYTES)
        self._finish(done, event.anchor, event)

    def _start(self, event: CollectionStartEvent) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise _error(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        if self._expects_key():
            raise _error("a key must be a single value", event.start_mark)
        is_mapping = isinstance(event, MappingStartEvent)
        if event.tag not in {None, "!", TAG_PREFIX + ("map" if is_mapping else "seq")}:
            raise _error("the tag is not supported", event.start_mark)
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)  # not defined inside the collection
        self._open.append(_Node(event, is_mapping=is_mapping))

    def _alias(self, event: AliasEvent) -> None:
        self._aliases += 1
        if self._aliases > _MAX_ALIASES:
            raise _error(f"more than {_MAX_ALIASES:,} aliases", event.start_mark)
        if event.anchor not in self._anchors:
            raise _error("an alias has no anchor before it, or contains itself", event.start_mark)
        self._finish(self._anchors[event.anchor], None, event)

    def _expects_key(self) -> bool:
        if not self._open:
            return False
        node = self._open[-1]
        return isinstance(node.value, dict) and node.key is None

    def _finish(self, done: "_Finished", anchor: str | None, event: Event) -> None:
        """Put a finished value into its collection or document."""
        value = done.value
        if anchor is not None:
            self._anchors[anchor] = done
        if not self._open:
            _plain(value, event)
            self._root = done
            return
        node = self._open[-1]
        is_key = isinstance(node.value, dict) and node.key is None
        node.nodes += 0 if is_key else done.nodes
        node.size += done.size
        if node.nodes > MAX_NODES:
            raise _error(_TOO_MANY_NODES, event.start_mark)
        if node.size > _MAX_BYTES:
            raise _error("too large with its aliases written out", event.start_mark)
        if isinstance(node.value, list):
            node.value.append(_plain(value, event))
            node.origins.append(done.origin)
        elif node.key is None:
            node.key = _key(value, node.explicit, event)
        else:
            _put(node, done, event)
            node.key = None


def _scalar_value(text: str, event: ScalarEvent) -> Scalar | Merge:
    if event.tag is not None and event.tag != "!":
        return resolve_tagged(text, event.tag)
    return resolve_plain(text) if not event.style else text


def _plain(value: _Value, event: Event) -> Any:
    if isinstance(value, Merge):
        raise _error("'<<' is allowed as a key only; quote it", event.start_mark)
    return value


def _key(value: _Value, taken: set[str], event: Event) -> str | Merge:
    if isinstance(value, Merge):
        return value
    key = bracketed(value) if isinstance(value, bool | int | float) else value
    if not isinstance(key, str):
        kind = "null" if key is None else "a collection"
        raise _error(f"a key must be a single value, not {kind}", event.start_mark)
    if len(key) > _MAX_KEY:
        raise _error(f"a key is longer than {_MAX_KEY} characters", event.start_mark)
    if key in taken:
        raise _error("a key is given twice in one mapping", event.start_mark)
    taken.add(key)
    return key


def _put(node: _Node, done: _Finished, event: Event) -> None:
    """Add one pair to a mapping. Explicit keys win over merged keys, in any order."""
    mapping: Any = node.value
    if isinstance(node.key, str):
        mapping[node.key] = _plain(done.value, event)
        node.origins[node.key] = done.origin
        return
    pairs: Any = [(done.value, done.origin)]
    if _is_list(done.value):
        pairs = zip(done.value, done.origin, strict=False)  # an empty list has an origin itself
    for inherited, origins in pairs:
        if not isinstance(inherited, dict):
            raise _error("'<<' takes a mapping or a list of mappings", event.start_mark)
        for key, item in cast("dict[str, Any]", inherited).items():  # keys are always texts
            if key not in mapping:
                mapping[key] = item
                node.origins[key] = origins[key]


def _is_list(value: _Value) -> bool:
    return isinstance(value, list)


def _place(mark: Any) -> str:
    return f"{mark.line + 1}:{mark.column + 1}"


def _error(reason: str, mark: Any) -> ConfigFormatError:
    if mark is None:
        return ConfigFormatError(reason)
    return ConfigFormatError(reason, line=mark.line + 1, column=mark.column + 1)
