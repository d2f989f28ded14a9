"""Cases 35 and 49 to 53: documents of one file, their conditions and origins."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import ConfigSource, InMemoryConfigBackend

pytestmark = pytest.mark.anyio

V2 = "application/vnd.spring-cloud.config-server.v2+json"
KEY = "spring.config.activate.on-profile"

Write = Callable[[str, str], Path]


@pytest.fixture
def fx_c(write: Write) -> None:
    """A file of three documents."""
    write(
        "main/multi-default.yaml",
        "server: {port: 8080}\n"
        "---\n"
        f"{KEY}: prod\n"
        "server: {port: 80}\n"
        "---\n"
        f'{KEY}: "prod & !eu"\n'
        "region: other\n",
    )


async def sources(ask: Any, path: str, **headers: str) -> dict[str, Any]:
    answer = await ask(path, headers=headers)
    assert answer.status == 200, answer.body
    return {
        source["name"].removeprefix("main/"): source["source"]
        for source in answer.json["propertySources"]
    }


@pytest.mark.case(35)
async def test_values_have_the_line_and_column_of_a_text(write: Write, ask: Any) -> None:
    write("main/orders-prod.yaml", "a: 1\nb:\n  c: hi\n  e: [1, 2]\n")
    answer = await ask("/config/orders/prod", headers={"Accept": V2})
    assert answer.headers["content-type"] == V2
    assert answer.json["propertySources"][0]["source"] == {
        "a": {"value": 1, "origin": "1:4"},
        "b.c": {"value": "hi", "origin": "3:6"},
        "b.e[0]": {"value": 1, "origin": "4:7"},
        "b.e[1]": {"value": 2, "origin": "4:10"},
    }


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("a: []\nb: ~\nc:\nd: {}", {"a": "1:4", "b": "2:4", "c": "3:3"}),
        ("a: 'x'\nb: |\n  y\n", {"a": "1:4", "b": "2:4"}),
        ("1: x\non: y\n", {"[1]": "1:4", "[true]": "2:5"}),
        ("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n", None),
        ("- x\n- [y]\n", {"document[0]": "1:3", "document[1][0]": "2:4"}),
        ("# comment\n\na:\n  - b: 1\n", {"a[0].b": "4:8"}),
        ("x: 1\n---\n\n---\n# nothing\n", {"x": "1:4"}),
        ("\ufeffa: 1\n", {"a": "1:4"}),
    ],
)
async def test_origins_are_those_of_the_values(
    write: Write, ask: Any, text: str, origins: Any
) -> None:
    write("main/orders-default.yaml", text)
    (found,) = (await sources(ask, "/config/orders/default", Accept=V2)).values()
    if origins is None:  # what an alias repeats, comes from where it was written
        origins = {"a.x": "1:11", "b.x": "1:11", "c.x": "1:11", "c.y": "3:16"}
    assert {key: value["origin"] for key, value in found.items()} == origins
    (plain,) = (await sources(ask, "/config/orders/default")).values()
    assert {key: value["value"] for key, value in found.items()} == plain
    assert list(found) == list(plain)


async def test_json_has_no_origins(write: Write, ask: Any) -> None:
    write("main/orders-default.json", '{"a": {"b": 1}}')
    found = await sources(ask, "/config/orders/default", Accept=V2)
    assert found == {"orders-default.json": {"a.b": 1}}


@pytest.mark.case(49, 50, 51)
@pytest.mark.parametrize(
    ("profiles", "numbers"),
    [("default", [0]), ("prod", [2, 1, 0]), ("prod,eu", [1, 0]), ("eu,prod", [1, 0]), ("x", [0])],
)
async def test_active_documents_come_last_first(
    fx_c: None, ask: Any, profiles: str, numbers: list[int]
) -> None:
    contents = [
        {"server.port": 8080},
        {KEY: "prod", "server.port": 80},
        {KEY: "prod & !eu", "region": "other"},
    ]
    assert list((await sources(ask, f"/config/multi/{profiles}")).items()) == [
        (f"multi-default.yaml (document #{number})", contents[number]) for number in numbers
    ]


@pytest.mark.case(52)
async def test_an_active_document_stays_at_the_place_of_its_file(write: Write, ask: Any) -> None:
    write("main/orders-default.yaml", f"a: 0\n---\n{KEY}: prod\na: 1\n")
    write("main/application-prod.yaml", "a: 2\n")
    assert list(await sources(ask, "/config/orders/prod")) == [
        "application-prod.yaml",
        "orders-default.yaml (document #1)",
        "orders-default.yaml (document #0)",
    ]
    assert (await ask("/config/orders-prod.json")).json["a"] == 2


@pytest.mark.case(53)
@pytest.mark.parametrize(
    ("expression", "active"),
    [
        ('"prod | eu"', ["prod", "eu", "prod,eu"]),
        ('[prod, "!eu"]', ["default", "prod", "x", "prod,eu"]),
        ("prod,eu", ["prod", "eu", "prod,eu"]),
        ('"!prod"', ["default", "eu", "x"]),
        ('"!(prod | eu)"', ["default", "x"]),
        ('"(prod & eu) | x"', ["x", "prod,eu"]),
        ("default", ["default"]),
        ('"!!x"', ["x"]),
        ('"prod&!eu"', ["prod"]),
        ('["prod,eu", x]', ["x"]),
        ("", ["default", "prod", "eu", "x", "prod,eu"]),
        ("[]", ["default", "prod", "eu", "x", "prod,eu"]),
    ],
)
async def test_expressions_are_evaluated_against_the_requested_profiles(
    write: Write, ask: Any, expression: str, active: list[str]
) -> None:
    write("main/x-default.yaml", f"{KEY}: {expression}\na: 1\n")
    asked = ["default", "prod", "eu", "x", "prod,eu"]
    assert [name for name in asked if await sources(ask, f"/config/x/{name}")] == active


@pytest.mark.case(53)
@pytest.mark.parametrize("key", ["on-profile", "onProfile", "ON_PROFILE", "onprofile"])
@pytest.mark.parametrize(
    ("expression", "active"),
    [("prod | eu", ["prod", "eu"]), ('"!prod"', ["eu", "x"]), ("[]", ["prod", "eu", "x"])],
)
async def test_the_key_of_an_expression_may_be_written_in_several_ways(
    write: Write, ask: Any, expression: str, active: list[str], key: str
) -> None:
    write("main/x-default.yaml", f"spring.config.activate.{key}: {expression}\na: 1\n")
    asked = ["prod", "eu", "x"]
    assert [name for name in asked if await sources(ask, f"/config/x/{name}")] == active


@pytest.mark.case(53)
@pytest.mark.parametrize(
    "expression",
    [
        *("a & b | c", "a | b & c", "a &", "& a", "!", "()", "(a", "a)", "a (b)", "a & | b"),
        *("!" * 100 + "a", "(" * 60 + "a" + ")" * 60, "a|" * 1000 + "b"),
    ],
)
async def test_a_malformed_expression_fails_the_request_with_the_file(
    write: Write, ask: Any, expression: str
) -> None:
    write("main/orders-default.yaml", f"a: marker\n---\n{KEY}: '{expression}'\nb: marker\n")
    answer = await ask("/config/orders/default")
    assert answer.status == 500
    assert answer.json["message"].startswith(
        f"main/orders-default.yaml: {KEY}: the profile expression"
    )
    assert "marker" not in answer.body.decode()


@pytest.mark.parametrize(
    "key",
    ["spring.config.activate.on-cloud-platform", "Spring.Config.ACTIVATE.onCloudPlatform"],
)
async def test_a_document_for_a_cloud_platform_is_never_active(
    write: Write, ask: Any, key: str
) -> None:
    write("main/orders-default.yaml", f"a: 1\n---\n{key}: kubernetes\na: 2\n")
    assert list(await sources(ask, "/config/orders/default")) == [
        "orders-default.yaml (document #0)"
    ]


async def test_conditions_of_every_store_are_heeded(serve: Callable[..., Any]) -> None:
    backend = InMemoryConfigBackend()
    tree: Any = {"spring": {"config": {"activate": {"on-profile": ["eu"]}}}, "a": 1}
    await backend.save(ConfigSource(application="orders", profile="default", properties=tree))
    ask = serve(backend)
    assert await sources(ask, "/config/orders/prod") == {}
    assert list(await sources(ask, "/config/orders/eu")) == ["orders-default"]


async def test_a_file_of_several_documents_is_no_single_bundle(
    fx_c: None, write: Write, ask: Any
) -> None:
    answer = await ask("/config/_bundles/multi/default/main")
    assert (answer.status, answer.json["code"]) == (409, "obstructed")
    assert "multi-default.yaml" in answer.json["detail"]
    (row,) = (await ask("/config/_bundles")).json["bundles"]
    assert (row["application"], "error" in row) == ("multi", False)


@pytest.mark.case(105)
async def test_imports_are_passed_on_and_not_followed(write: Write, root: Path, ask: Any) -> None:
    """Self-test S14."""
    (root.parent / "marker.yaml").write_text("leaked: marker\n", encoding="utf-8")
    text = "spring.config.import: 'file:../marker.yaml'\na: 1\n"
    write("main/orders-default.yaml", text)
    answer = await ask("/config/orders/default")
    assert "leaked" not in answer.body.decode()
    found = json.loads(answer.body)["propertySources"][0]["source"]
    assert found == {"spring.config.import": "file:../marker.yaml", "a": 1}
