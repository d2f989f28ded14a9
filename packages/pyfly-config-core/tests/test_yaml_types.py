"""Every text of the golden table means to us what it means to SnakeYAML."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.formats.yaml import load_documents
from pyfly.config_server.formats.yaml_scalars import java_float

TABLE = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "snakeyaml_types.jsonl")
    .read_text("utf-8")
    .splitlines()
]

# Where we differ, and why. SnakeYAML's answer stands in the table.
STRICTER = {
    "~: a\n": "a null key is refused",
    "null: a\n": "a null key is refused",
    "? [a, b]\n: c\n": "a collection as a key has no flat form",
    "? {a: 1}\n: c\n": "a collection as a key has no flat form",
    "v: !!bool maybe": "not a boolean; SnakeYAML makes it null",
    "v: !!binary aGk=": "bytes have no place in a flat key",
    "v: !!timestamp 2001-12-14": "dates have no place in a flat key",
    "v: !!set {a, b}": "sets have no place in a flat key",
    "v: !!omap [a: 1]": "ordered maps have no place in a flat key",
    'a: "\\ud83d\\ude00"\n': "libyaml refuses surrogate escapes; write the character itself",
}
MORE_LENIENT = {
    "a:\tb\n": "libyaml takes a tab after the colon for white space",
    "a: 1\n---\n": "an empty document is passed over, SnakeYAML loads one only",
    "a: x\u0085y\n": "libyaml takes NEL for a line break",
    "a: \u2028x\n": "libyaml takes U+2028 for a line break",
}


def tree(shown: Any) -> Any:
    """Read the table's notation: an array of a type and what it holds."""
    kind, *content = shown
    if kind == "map":
        return {key_of(k): tree(v) for k, v in content}
    if kind == "list":
        return [tree(item) for item in content]
    if kind == "float":
        return float(content[0].replace("Infinity", "inf"))
    return None if kind == "null" else content[0]


def key_of(shown: Any) -> str:
    kind, value = shown
    return value if kind == "str" else f"[{json.dumps(value)}]" if kind != "float" else f"[{value}]"


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


@pytest.mark.parametrize(
    "row", TABLE, ids=[f"{n}-{row['yaml'][:40]!a}" for n, row in enumerate(TABLE)]
)
def test_a_text_means_what_it_means_to_snakeyaml(row: Any) -> None:
    text = row["yaml"]
    try:
        documents = load_documents(text)
    except ConfigFormatError:
        assert "error" in row or text in STRICTER
        return
    assert text not in STRICTER
    if "error" in row:
        assert text in MORE_LENIENT
        return
    ours = documents[0] if documents else None
    assert same(ours, tree(row["value"])), (ours, row["value"])


def test_every_listed_difference_is_in_the_table() -> None:
    assert (STRICTER.keys() | MORE_LENIENT) <= {row["yaml"] for row in TABLE}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (-0.5, "-0.5"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (1e7, "1.0E7"),
        (9999999.0, "9999999.0"),
        (12345678.9, "1.23456789E7"),
        (-1.5e300, "-1.5E300"),
        (1e21, "1.0E21"),
        (2e23, "2.0E23"),
        (5e-324, "4.9E-324"),
        (-1e-323, "-9.9E-324"),
        (2.2250738585072014e-308, "2.2250738585072014E-308"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_floats_as_java_writes_them(value: float, text: str) -> None:
    assert java_float(value) == text
