"""Flattening and types: cases 41 to 48 of docs/reference/protocol.md."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def types(fx_d: None, ask: Any) -> dict[str, Any]:
    answer = await ask("/config/types/default")
    assert answer.status == 200
    return answer.json["propertySources"][0]["source"]


@pytest.mark.case(41)
async def test_scalars_have_the_types_of_yaml_1_1(types: dict[str, Any]) -> None:
    expected: dict[str, Any] = {
        "int": 8080,
        "oct": 8,
        "exp": 1000.0,
        "flt": 1.0,
        "time": 750,
        "bool": True,
        "q": "true",
        "date": "2001-12-14",
    }
    found = {key: types[key] for key in expected}
    assert found == expected
    assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in expected.items()}


@pytest.mark.case(42)
async def test_empty_values_and_large_numbers(types: dict[str, Any]) -> None:
    assert (types["nul"], types["elist"]) == ("", "")
    assert not [key for key in types if key.startswith("emap")]
    assert types["big"] == 123456789012345678901234567890


@pytest.mark.case(43)
async def test_lists_become_indexed_keys(types: dict[str, Any]) -> None:
    keys = ("list[0]", "list[1].b", "list[2][0]", "list[2][1]", "list[3]")
    assert [types[key] for key in keys] == ["a", 1, "x", "y", ""]


@pytest.mark.case(44)
async def test_keys_that_are_no_plain_strings(types: dict[str, Any]) -> None:
    keys = ("dotted.key", "paths[/p/**]", "paths./q", "m[1]", "m[false]", "[true]")
    assert [types[key] for key in keys] == ["v", "w", "w3", "one", "y", "z"]


@pytest.mark.case(45)
async def test_keys_keep_the_order_of_the_file(types: dict[str, Any]) -> None:
    first = [key.partition("[")[0].partition(".")[0] for key in types]
    order = list(dict.fromkeys(first))
    expected = "int oct exp flt time bool q date nul elist big list dotted paths m"
    assert " ".join(order) == f"{expected} "  # the last one begins with a bracket


@pytest.mark.case(46)
async def test_json_bundles_are_flattened_alike(
    write: Callable[[str, str], Path], ask: Any
) -> None:
    write("main/js-default.json", '{"a":{"b":[1,true,null]}}')
    answer = await ask("/config/js/default")
    assert answer.json["propertySources"] == [
        {"name": "main/js-default.json", "source": {"a.b[0]": 1, "a.b[1]": True, "a.b[2]": ""}}
    ]


@pytest.mark.case(47)
async def test_a_top_level_list_is_called_document(
    write: Callable[[str, str], Path], ask: Any
) -> None:
    write("main/li-default.yaml", "- c\n- d\n")
    answer = await ask("/config/li/default")
    source = answer.json["propertySources"][0]["source"]
    assert source == {"document[0]": "c", "document[1]": "d"}


@pytest.mark.case(48)
async def test_infinities_and_nan_are_strings(write: Callable[[str, str], Path], ask: Any) -> None:
    write("main/inf-default.yaml", "a: .inf\nb: -.INF\nc: .NaN\nd: 1e400\n")
    answer = await ask("/config/inf/default")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(answer.body, parse_constant=refuse)
    assert document["propertySources"][0]["source"] == {
        "a": "Infinity",
        "b": "-Infinity",
        "c": "NaN",
        "d": "Infinity",
    }
