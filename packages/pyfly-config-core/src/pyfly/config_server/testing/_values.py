"""Values and property keys that stores are known to damage."""

from collections.abc import Iterable
from typing import Final

import pytest

from pyfly.config_core import JsonValue

_TEXTS: Final = (
    *("1e3", "010", "12:30", "yes", "no", "on", "Off", "true", "False", "null", "Null", "~"),
    *("2001-12-14", "2001-12-14T21:59:43Z", "=", "0x1F", "0o17", "0b1", "1_000", "+1", "-0"),
    *(".inf", "-.INF", ".nan", "1.", ".5", "<<", "NaN", "Infinity", "None"),
    *(
        "",
        " ",
        "  both  ",
        "\t",
        "- a",
        "a: b",
        "a #b",
        "#",
        "key=value",
        "[1]",
        "{}",
        "---",
        "...",
    ),
    *("'", '"', "\\", "\\n", "%", "@", "`", "&a", "*a", "!tag", "|", ">", "?", ":", ",", "${a:b}"),
    *("two\nlines", "ends\n", "ends twice\n\n", "\nbegins", "  indented\nless", "a\r\nb\r", "\n"),
    *("a\tb", "a\x1bb", "a\x7fb", "a\x85b", "a\xa0b", "a\u2028b", "a\ufeffb", "{cipher}ab"),
    *("Grüße", "שלום", "Ωμέγα", "Привет", "日本語", "😀", "e\u0301", "\u00e9"),
)

_OTHERS: Final[tuple[JsonValue, ...]] = (
    True,
    False,
    None,
    0,
    -1,
    2**31,
    2**63,
    123456789012345678901234567890,
    -123456789012345678901234567890,
    0.1,
    1.0,
    -2.5,
    1e300,
    5e-324,
    123456789.123456789,
    [],
    {},
    [[]],
    [{}],
    [[1, [2.0, ["3"]]], {"a": [None, True]}],
    {"a": {"b": {"c": []}, "d": {}}},
    [1, 1.0, "1", True, None, "", {}, []],
)

_KEYS: Final = (
    *("!", '"', "#", "$", "%", "&", "'", "(", ")", "*", "+", ",", "-", ".", "/", ":", ";", "<"),
    *("=", ">", "?", "@", "[", "\\", "]", "^", "_", "`", "{", "|", "}", "~", "!@#$%^&*()", "<<"),
    *("..", "../../etc/passwd", "/abs", "a/b", "a//b", "[0]", "[/**]", "a[0]", "a.", ".a", "a..b"),
    *("mixedCase", "MIXEDCASE", "with space", " ", "yes", "null", "1e3", "010", "2001-12-14"),
    *("a: b", "a\nb", "a\tb", "- a", "? a", "שלום", "Ωμέγα", "Привет", "日本語", "😀", "x" * 2_000),
)


def _deep(levels: int) -> JsonValue:
    value: JsonValue = "bottom"
    for _ in range(levels):
        value = {"down": value}
    return value


def _parameters(values: Iterable[JsonValue]) -> list[object]:
    """Return parameters with their position as the id, because a text may contain NUL."""
    return [
        pytest.param(value, id=f"{number}-{type(value).__name__}")
        for number, value in enumerate(values)
    ]


VALUES: Final = _parameters((*_TEXTS, *_OTHERS))
"""Single values: texts that look like other types, numbers, empty and nested values."""

LARGE: Final = (
    pytest.param("long " * 40_000, id="long-text"),
    pytest.param("x" * 200_000, id="long-word"),
    pytest.param("a line\n" * 20_000, id="many-lines"),
    pytest.param([{"n": n, "s": str(n)} for n in range(1_000)], id="long-list"),
    pytest.param({f"key-{n}": n for n in range(2_000)}, id="many-keys"),
    pytest.param(_deep(50), id="deep"),
)
"""Large values, which a store might truncate."""

KEYS: Final = tuple(pytest.param(key, id=str(number)) for number, key in enumerate(_KEYS))
"""Property keys with a meaning in file systems, text formats or queries."""
