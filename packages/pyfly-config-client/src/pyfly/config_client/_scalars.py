"""Single values: their conversion to types, durations and sizes, and the words of all readers."""

import inspect
import re
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyfly.config_client._merging import as_text
from pyfly.config_client.errors import PropertyTypeError
from pyfly.config_core import FlatValue

if TYPE_CHECKING:
    from pyfly.config_client._sections import Node

Make: TypeAlias = Callable[[Any], Any]
Reader: TypeAlias = Callable[["Node", str, list[str]], Any]
"""Takes a node, the name of its property and a list of faults; returns the value.

Returns `ABSENT` for an empty text if another type is expected, as Spring does. After adding a
fault, the result has no meaning.
"""

ABSENT: Final = object()

MISMATCH: Final = (
    ValueError,
    TypeError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
)
"""The errors of a value that cannot be converted, also those of classes of the program.

Their texts may show the value and are not passed on.
"""


class ExplainedError(ValueError):
    """An error of a conversion whose text shows no value and is passed on."""


def fault(faults: list[str], path: str, text: str) -> None:
    """Add a fault of a property."""
    faults.append(f"the property {path!r} {text}" if path else f"the configuration {text}")


def guarded(read: Reader) -> Reader:
    """Return a reader that adds a fault for a value whose placeholders cannot be resolved."""

    def noting(node: "Node", path: str, faults: list[str]) -> Any:
        try:
            return read(node, path, faults)
        except PropertyTypeError as error:
            faults.append(str(error))
            return None

    return noting


def scalar_reader(make: Make, name: str) -> Reader:
    """Return the reader of a type that needs a single value."""

    def read(node: "Node", path: str, faults: list[str]) -> Any:
        value = node.read()
        if value is None:
            what = "more than one value" if node.children else "no value"
            return fault(faults, path, f"has {what}, but {name} is expected")
        try:
            return make(value)
        except MISMATCH as error:
            if isinstance(value, str) and not value.strip():
                return ABSENT
            explained = isinstance(error, ExplainedError)
            return fault(faults, path, str(error) if explained else f"is not {name}")

    return guarded(read)


def literal_reader(choices: tuple[Any, ...]) -> Reader:
    """Return the reader of a `Literal`: its values, or their texts."""

    def read(node: "Node", path: str, faults: list[str]) -> Any:
        value = node.read()
        for choice in choices:
            known = getattr(choice, "value", choice)  # a member of an enumeration
            if type(known) is type(value) and known == value:
                return choice
        for choice in choices:
            known = getattr(choice, "value", choice)
            if value is not None and known is not None and as_text(value) == as_text(known):
                return choice
        if value == "":
            return None if None in choices else ABSENT
        return fault(faults, path, f"is not one of {', '.join(map(repr, choices))}")

    return guarded(read)


# --- durations and sizes --------------------------------------------------------------

_DURATION: Final = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d)", re.IGNORECASE)
_ISO: Final = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<days>[+-]?\d+)D)?"
    r"(?:T(?:(?P<hours>[+-]?\d+)H)?(?:(?P<minutes>[+-]?\d+)M)?"
    r"(?:(?P<seconds>[+-]?\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE: Final = re.compile(r"([+-]?\d+)\s*(|B|K|KB|KIB|M|MB|MIB|G|GB|GIB|T|TB|TIB)", re.IGNORECASE)
_POWERS: Final = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text such as `500ms`, `30s`, `1.5h` or `PT30S` (ISO 8601).

    >>> parse_duration("90s") == parse_duration("PT1M30S") == timedelta(seconds=90)
    True

    Raises:
        ValueError: It is not a duration. A number without a unit is rejected, because Spring
            reads it as milliseconds, and most other programs as seconds.
    """
    if found := _DURATION.fullmatch(text.strip()):
        return timedelta(seconds=float(found[1]) * _SECONDS[found[2].lower()])
    iso = _ISO.fullmatch(text.strip())
    parts = {} if iso is None else {k: v for k, v in iso.groupdict().items() if v and k != "sign"}
    if iso is None or not parts:
        raise ValueError("not a duration with a unit, such as 500ms, 30s, 5m or PT30S")
    length = timedelta(**{name: float(number) for name, number in parts.items()})
    return -length if iso["sign"] == "-" else length


class DataSize(int):
    """A number of bytes, written as `512`, `10KB` or `4MB`; the units are powers of 1024.

    >>> DataSize.parse("4MB")
    4194304
    """

    @classmethod
    def parse(cls, text: str) -> "DataSize":
        """Return the size of a text such as `4MB`.

        Raises:
            ValueError: It is not a size.
        """
        found = _SIZE.fullmatch(text.strip())
        if found is None:
            raise ValueError("not a size, such as 512, 10KB or 4MB")
        return cls(int(found[1]) * 1024 ** _POWERS[found[2][:1].upper()])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Return the schema that lets pydantic validate it, too."""
        from pydantic_core import core_schema  # noqa: PLC0415 - pydantic calls this

        return core_schema.no_info_plain_validator_function(lambda value: cls.parse(str(value)))


# --- conversions ----------------------------------------------------------------------

_TRUE: Final = frozenset({"true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_HEXADECIMAL: Final = re.compile(r"[+-]?0[xX][0-9a-fA-F]+")
_IGNORED_IN_MEMBERS: Final = re.compile(r"[\W_]+")
_MOST_DIGITS: Final = 4_000
"""Below Python's own limit; conversion takes quadratic time."""


def scalar(wanted: Any) -> Make | None:
    """Return the function that converts a single value to a type; `None` if it is not supported.

    The function raises one of `MISMATCH` if a value cannot be converted.
    """
    if wanted in SIMPLE:
        return SIMPLE[wanted]
    if not isinstance(wanted, type):
        return None
    if _is(wanted, "enum", "Enum"):
        return lambda value: _member(wanted, value)
    text = next((read for test, read in _SUBCLASSES if test(wanted)), None)
    if text is None and _takes_one_text(wanted):
        text = as_text
    make: Any = wanted
    return None if text is None else lambda value: make(text(value))


def _is(wanted: type, module: str, name: str) -> bool:
    """True for a class of a module or its subclasses; does not import the module."""
    found = sys.modules.get(module)
    return found is not None and issubclass(wanted, getattr(found, name))


def _takes_one_text(wanted: Any) -> bool:
    """True for a class whose constructor takes one text, such as `IPv4Address`."""
    if wanted.__init__ is object.__init__ and wanted.__new__ is object.__new__:
        return False
    try:
        parameters = list(inspect.signature(wanted).parameters.values())
    except (ValueError, TypeError):
        return False
    required = [one for one in parameters if one.default is one.empty]
    return (
        len(required) == 1
        and required[0] is parameters[0]
        and required[0].kind in {required[0].POSITIONAL_ONLY, required[0].POSITIONAL_OR_KEYWORD}
        and required[0].annotation in {str, "str", required[0].empty}
    )


def _stripped(value: FlatValue) -> str:
    if isinstance(value, bool):
        raise TypeError
    return str(value).strip()


def _not_empty(value: FlatValue) -> str:
    text = as_text(value)
    if not text:
        raise ValueError
    return text


def _bool(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _int(value: FlatValue) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    if not isinstance(value, str):
        return int(value)
    text = value.strip()
    if len(text) > _MOST_DIGITS:
        raise ExplainedError("has too many digits")
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if not _WHOLE.fullmatch(text):
        raise ValueError
    return int(text)


def _float(value: FlatValue) -> float:
    return float(_stripped(value))


def _explained(parse: Callable[[str], Any]) -> Make:
    def read(value: object) -> Any:
        try:
            return parse(str(value))
        except ValueError as error:
            raise ExplainedError(f"is {error}") from None

    return read


def _member(wanted: Any, value: FlatValue) -> Any:
    """Return a member by its value, or by any spelling of its name, as Spring does."""
    text = as_text(value)
    for member in wanted:
        if member.value == value and type(member.value) is type(value):
            return member
    for member in wanted:
        if _plain(member.name) == _plain(text) or str(member.value) == text.strip():
            return member
    raise ExplainedError(f"is not one of {', '.join(member.name for member in wanted)}")


def _plain(name: str) -> str:
    return _IGNORED_IN_MEMBERS.sub("", name).lower()


SIMPLE: Final[dict[Any, Make]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: as_text,
    bytes: lambda value: as_text(value).encode(),
    date: lambda value: date.fromisoformat(_stripped(value)),
    datetime: lambda value: datetime.fromisoformat(_stripped(value)),
    time: lambda value: time.fromisoformat(_stripped(value)),
    timedelta: _explained(parse_duration),
    DataSize: _explained(DataSize.parse),
}

_SUBCLASSES: Final[tuple[tuple[Callable[[type], bool], Make], ...]] = (
    (lambda wanted: issubclass(wanted, str), as_text),
    (lambda wanted: issubclass(wanted, int), _int),
    (lambda wanted: issubclass(wanted, float), _float),
    (lambda wanted: issubclass(wanted, bytes), SIMPLE[bytes]),
    (lambda wanted: _is(wanted, "decimal", "Decimal"), _stripped),
    (lambda wanted: _is(wanted, "uuid", "UUID"), _stripped),
    (lambda wanted: _is(wanted, "pathlib", "PurePath"), _not_empty),
)
