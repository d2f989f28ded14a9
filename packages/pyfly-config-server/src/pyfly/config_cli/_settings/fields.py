"""The types of settings: converting texts, TOML values and arguments.

Every message here follows the name of a setting: "must be a number from 1 to 65535". None shows
a value that may be a secret.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, cast

from pydantic import (
    BeforeValidator,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    SerializationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticUseDefault

from pyfly.config_core import ConfigFormatError, JsonValue, copy_properties
from pyfly.config_server.formats.text import parse_mapping

REVEAL: Final = "reveal"
"""The key in a serialization context that lets secrets be written in clear text."""

_TRUE: Final = frozenset({"1", "on", "true", "yes"})
_FALSE: Final = frozenset({"0", "off", "false", "no"})
_MAX_SHOWN: Final = 40
_MAX_PORT: Final = 65_535
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>[0-9]{1,5})", re.ASCII
)
_SECONDS: Final = re.compile(r"[0-9]{1,5}([.][0-9]{1,6})?")
_MIN_SECONDS: Final = 1e-6
_MAX_SECONDS: Final = 99_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The documentation of a setting, beside its type and its description."""

    argument: str = ""
    """The argument of `serve`."""
    spring: str = ""
    """Its name in Spring Cloud Config, below `spring.cloud.config.server.` or whole for keys."""
    is_secret: bool = False
    """True if nobody else on the machine may read it."""
    has_file: bool = False
    """True if a file of its own may hold the value; every secret may have one."""
    in_settings_file: bool = True
    """True if the settings file may hold it."""


class SettingsConflictError(ValueError):
    """Settings contradict each other.

    The template names each of them in braces, so that it can be shown as the user has written it.
    Every other text in it must be `escaped`.
    """

    def __init__(self, template: str) -> None:
        super().__init__(template)
        self.template = template


def escaped(text: str) -> str:
    """Return a text that stands for itself in the template of a `SettingsConflictError`."""
    return text.replace("{", "{{").replace("}", "}}")


def _to_text(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a text")  # noqa: TRY004 - as pydantic wants it
    return str(value)


def _to_file_name(value: object) -> object:
    text = _to_text(value)
    if text == "":
        raise ValueError("must name a file; without one, remove the setting")
    return text


def _to_number(limit: int) -> Callable[[object], object]:
    def convert(value: object) -> int:
        text = "" if isinstance(value, bool) else str(value)
        digits = text.isascii() and text.isdecimal() and len(text) <= len(str(limit))
        if not (digits and 1 <= int(text) <= limit):
            raise ValueError(f"must be a number from 1 to {limit}, not {text[:_MAX_SHOWN]!r}")
        return int(text)

    return convert


def _to_address(value: object) -> object:
    text = _to_text(value)
    if text and split_address(str(text)) is None:
        raise ValueError("must be an address with a port, such as 127.0.0.1:9100 or [::1]:9100")
    return text


def split_address(text: str) -> tuple[str, int] | None:
    """Return host and port of `host:port` or `[ipv6]:port`; `None` for any other text.

    >>> split_address("[::1]:9100")
    ('::1', 9100)
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= _MAX_PORT:
        return None
    return found["ipv6"] or found["host"], int(found["port"])


def _to_seconds(value: object) -> object:
    text = str(value)
    if not text:
        raise PydanticUseDefault
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or _SECONDS.fullmatch(text):
        seconds = float(text)
        if _MIN_SECONDS <= seconds <= _MAX_SECONDS:
            return seconds
    raise ValueError(
        f"must be seconds from 0.000001 to {_MAX_SECONDS}, written as 2 or 0.5, "
        f"not {text[:_MAX_SHOWN]!r}"
    )


def _to_switch(value: object) -> object:
    text = str(value).lower()
    if not text:
        raise PydanticUseDefault
    if text not in _TRUE | _FALSE:
        raise ValueError("must be 'true' or 'false'")
    return text in _TRUE


def _to_list(separator: str) -> Callable[[object], object]:
    def convert(value: object) -> tuple[str, ...]:
        parts = value.split(separator) if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ValueError("must be a list of texts")  # noqa: TRY004 - as pydantic wants it
        items = cast("list[object] | tuple[object, ...]", parts)  # of what, is checked next
        if not all(isinstance(item, str) for item in items):
            raise ValueError("must be a list of texts")
        return tuple(text for item in items if (text := str(item).strip()))

    return convert


def _to_tree(value: object) -> dict[str, JsonValue]:
    if isinstance(value, Mapping):
        return copy_properties(cast("Mapping[str, object]", value))  # checks keys and values
    if not isinstance(value, str):
        raise ValueError("must be a table of keys and values")  # noqa: TRY004 - as pydantic wants it
    return parse_mapping(value.encode(), suffix=".yaml") if value else {}


def _to_mapping(value: object) -> dict[str, JsonValue]:
    try:
        return _to_tree(value)
    except ConfigFormatError as error:
        raise ValueError(str(error)) from error


def _to_secrets(value: object) -> dict[str, SecretStr]:
    if isinstance(value, Mapping):
        tree = {**cast("Mapping[str, object]", value)}
    else:
        tree = {**_to_mapping(value)}
    secrets: dict[str, SecretStr] = {}
    for name, secret in tree.items():
        text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
        if not isinstance(text, str):
            raise ValueError(f"the key {name!r} must be a text")  # noqa: TRY004 - as pydantic wants it
        secrets[name] = SecretStr(text)
    return secrets


def _to_choice(*choices: str) -> Callable[[object], object]:
    known = {choice.lower(): choice for choice in choices}

    def convert(value: object) -> str:
        choice = known.get(str(value).lower())
        if choice is None:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return choice

    return convert


def _reveal(value: SecretStr | None, info: SerializationInfo) -> str | None:
    if value is None:
        return None
    return value.get_secret_value() if _reveals(info) else str(value)


def _reveal_all(value: Mapping[str, SecretStr], info: SerializationInfo) -> dict[str, str]:
    return {
        name: secret.get_secret_value() if _reveals(info) else str(secret)
        for name, secret in value.items()
    }


def _spellings(words: Iterable[str]) -> list[str]:
    """Return patterns for words in any case, sorted."""
    return ["".join(_either_case(char) for char in word) for word in sorted(words)]


def _either_case(char: str) -> str:
    return f"[{char.upper()}{char.lower()}]" if char.isalpha() else char


def _reveals(info: SerializationInfo) -> bool:
    context: object = info.context
    return context == {REVEAL: True}


_TEXT_SCHEMA: Final = {"type": ["string", "integer"]}
_SWITCH_SCHEMA: Final = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "integer", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": f"^({'|'.join(_spellings(_TRUE | _FALSE))})?$"},
    ]
}


def _choice_schema(*choices: str) -> dict[str, object]:
    return {"type": "string", "pattern": f"^({'|'.join(_spellings(choices))})$"}


def _number_schema(limit: int) -> dict[str, object]:
    digits = len(str(limit))
    return {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": limit},
            {"type": "string", "pattern": f"^(?=0*[1-9])[0-9]{{1,{digits}}}$"},
        ]
    }


Text: TypeAlias = Annotated[str, BeforeValidator(_to_text), WithJsonSchema({**_TEXT_SCHEMA})]
GuardFile: TypeAlias = Annotated[
    str,
    BeforeValidator(_to_file_name),
    WithJsonSchema({**_TEXT_SCHEMA, "minLength": 1}),
]
"""A file without which the server is less guarded, so that an empty name may be a mistake."""
Secret: TypeAlias = Annotated[
    SecretStr | None,
    BeforeValidator(_to_text),
    PlainSerializer(_reveal),
    WithJsonSchema({**_TEXT_SCHEMA}),
]
Switch: TypeAlias = Annotated[bool, BeforeValidator(_to_switch), WithJsonSchema({**_SWITCH_SCHEMA})]
Port: TypeAlias = Annotated[
    int, BeforeValidator(_to_number(_MAX_PORT)), WithJsonSchema(_number_schema(_MAX_PORT))
]
Address: TypeAlias = Annotated[
    str,
    BeforeValidator(_to_address),
    WithJsonSchema({"type": "string", "pattern": r"^(|[^\s/]+:[0-9]{1,5})$"}),
]
Count: TypeAlias = Annotated[
    int, BeforeValidator(_to_number(256)), WithJsonSchema(_number_schema(256))
]
Number: TypeAlias = Annotated[
    int, BeforeValidator(_to_number(1_000_000)), WithJsonSchema(_number_schema(1_000_000))
]
Seconds: TypeAlias = Annotated[
    float | None,
    BeforeValidator(_to_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": _MIN_SECONDS, "maximum": _MAX_SECONDS},
                {"type": "string", "pattern": f"^((?=.*[1-9]){_SECONDS.pattern})?$"},
            ]
        }
    ),
]
OnBroken: TypeAlias = Annotated[
    Literal["stale", "fail"],
    BeforeValidator(_to_choice("stale", "fail")),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(_spellings({'stale', 'fail'}))})$"}),
]
LogLevel: TypeAlias = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(_to_choice("debug", "info", "warning", "error")),
    WithJsonSchema(_choice_schema("debug", "info", "warning", "error")),
]
LogFormat: TypeAlias = Annotated[
    Literal["text", "json"],
    BeforeValidator(_to_choice("text", "json")),
    WithJsonSchema(_choice_schema("text", "json")),
]
TlsVersionName: TypeAlias = Annotated[
    Literal["1.2", "1.3"],
    BeforeValidator(_to_choice("1.2", "1.3")),
    WithJsonSchema({"type": "string", "pattern": r"^1\.[23]$"}),
]
Algorithm: TypeAlias = Annotated[
    Literal["DEFAULT", "OAEP"],
    BeforeValidator(_to_choice("DEFAULT", "OAEP")),
    WithJsonSchema(
        {"type": "string", "pattern": f"^({'|'.join(_spellings({'DEFAULT', 'OAEP'}))})$"}
    ),
]
_LIST_SCHEMA: Final = {"type": ["array", "string"], "items": {"type": "string"}}
Lines: TypeAlias = Annotated[
    tuple[str, ...], BeforeValidator(_to_list("\n")), WithJsonSchema({**_LIST_SCHEMA})
]
Names: TypeAlias = Annotated[
    tuple[str, ...], BeforeValidator(_to_list(",")), WithJsonSchema({**_LIST_SCHEMA})
]
Tree: TypeAlias = Annotated[
    dict[str, object], PlainValidator(_to_mapping), WithJsonSchema({"type": ["object", "string"]})
]
Secrets: TypeAlias = Annotated[
    dict[str, SecretStr],
    PlainValidator(_to_secrets),
    PlainSerializer(_reveal_all),
    WithJsonSchema({"type": ["object", "string"], "additionalProperties": {"type": "string"}}),
]
