"""Writing YAML 1.1: in a form that is read as the same tree, or as a Spring server writes it."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

import yaml
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_server.formats.yaml_scalars import (
    TAG_PREFIX,
    Scalar,
    float_text,
    java_float,
    resolve_plain,
)

__all__ = ["dump", "dump_like_spring"]

_emit: Any = yaml.emit  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
    r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?"
)
_LEADING_ZERO: Final = re.compile(r"0[0-9_]+")
_LINE_BREAK: Final = re.compile("[\n\x85\u2028\u2029]")
_TAG_NAMES: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    float: "float",
    type(None): "null",
}
_STR: Final = TAG_PREFIX + "str"


def dump(properties: Mapping[str, JsonValue]) -> str:
    """Return block-style YAML that `load_documents` reads as the same tree."""
    return _emitted(dict(properties), _plain_event, width=10_000)


def dump_like_spring(value: JsonValue) -> str:
    """Return block-style YAML as a Spring server writes it, for display only.

    The style is that of SnakeYAML: dates quoted, texts of several lines as blocks, long texts
    folded, floats as in Java.
    """
    return _emitted(value, _spring_event, width=80).removesuffix("...\n")


def _emitted(value: JsonValue, scalar: Callable[[Scalar], ScalarEvent], *, width: int) -> str:
    """Return a value as YAML, written event by event so that no second tree is built."""
    text: str = _emit(_events(value, scalar), Dumper=_Dumper, width=width, allow_unicode=True)
    return text


def _events(root: JsonValue, scalar: Callable[[Scalar], ScalarEvent]) -> Iterator[Event]:
    yield StreamStartEvent()
    yield DocumentStartEvent(explicit=False)
    stack: list[tuple[Iterator[JsonValue], Event]] = [
        (iter((root,)), DocumentEndEvent(explicit=False))
    ]
    while stack:
        values, end = stack[-1]
        for value in values:
            if isinstance(value, dict):
                yield MappingStartEvent(None, None, implicit=True, flow_style=False)
                stack.append((chain.from_iterable(value.items()), MappingEndEvent()))
                break
            if isinstance(value, list):
                yield SequenceStartEvent(None, None, implicit=True, flow_style=False)
                stack.append((iter(value), SequenceEndEvent()))
                break
            yield scalar(value)
        else:
            stack.pop()
            yield end
    yield StreamEndEvent()


def _plain_event(value: Scalar) -> ScalarEvent:
    """Return the event that writes a value so that it is read back, floats as `1.0e+16`."""
    return _scalar_event(value, float_text)


def _spring_event(value: Scalar) -> ScalarEvent:
    """Return the event that writes a value as SnakeYAML does."""
    if isinstance(value, str) and _LINE_BREAK.search(value):
        return ScalarEvent(None, _STR, (False, True), value, style="|")
    if isinstance(value, str) and (_DATE.fullmatch(value) or _LEADING_ZERO.fullmatch(value)):
        return ScalarEvent(None, _STR, (False, True), value)
    return _scalar_event(value, java_float)


def _scalar_event(value: Scalar, float_text: Callable[[float], str]) -> ScalarEvent:
    """Return the event for a value; texts that would be read as another type are quoted."""
    if isinstance(value, str):
        return ScalarEvent(None, _STR, (_meaning(value) is str, True), value)
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif value is None:
        text = "null"
    else:
        text = float_text(value) if isinstance(value, float) else str(value)
    tag = TAG_PREFIX + _TAG_NAMES[type(value)]
    return ScalarEvent(None, tag, (_meaning(text) is type(value), False), text)


def _meaning(text: str) -> type | None:
    """Return the type of a text without quotes; `None` if such a text is refused."""
    try:
        return type(resolve_plain(text))
    except ConfigFormatError:
        return None
