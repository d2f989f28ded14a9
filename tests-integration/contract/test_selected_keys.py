"""A part of a document: `?keys=` on documents and flattened formats, on both adapters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import ConfigSource, FilesystemConfigBackend, InMemoryConfigBackend

pytestmark = pytest.mark.anyio

V2 = "application/vnd.spring-cloud.config-server.v2+json"
PROD = "db:\n  url: jdbc:${db.host}\n  hosts: [a, b]\nfeature: true\nfeature.x: 1\nother: 1\n"
DEFAULT = "db.poolSize: 4\ndb.host: h\nother: 2\n"
DOCUMENTS = ("/config/orders/prod", "/config/orders/prod/main")
FLATTENED = ("/config/orders-prod", "/config/main/orders-prod")

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def files(write: Write) -> None:
    write("main/orders-prod.yaml", PROD)
    write("main/orders-default.yaml", DEFAULT)
    write("main/application-default.yaml", "other: 3\n")


async def sources(ask: Any, target: str, **headers: str) -> dict[str, Any]:
    answer = await ask(target, headers=headers)
    assert answer.status == 200, answer.body
    return {one["name"]: one["source"] for one in answer.json["propertySources"]}


async def tag(ask: Any, target: str, **headers: str) -> str:
    """Return the entity tag of an answer that includes everything that was written before."""
    answer = await ask(target, headers={"Cache-Control": "no-cache"} | headers)
    assert answer.status == 200, answer.body
    return str(answer.headers["etag"])


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_sources_stay_with_the_selected_keys_only(ask: Any, path: str) -> None:
    assert await sources(ask, f"{path}?keys=db,feature.*") == {
        "main/orders-prod.yaml": {
            "db.url": "jdbc:${db.host}",
            "db.hosts[0]": "a",
            "db.hosts[1]": "b",
            "feature.x": 1,
        },
        "main/orders-default.yaml": {"db.poolSize": 4, "db.host": "h"},
        "main/application-default.yaml": {},
    }


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_the_v2_type_keeps_the_origins_of_selected_keys(ask: Any, path: str) -> None:
    found = await sources(ask, f"{path}?keys=db.pool-size,feature", Accept=V2)
    assert [*found.values()] == [
        {"feature": {"value": True, "origin": "4:10"}, "feature.x": {"value": 1, "origin": "5:12"}},
        {"db.poolSize": {"value": 4, "origin": "1:14"}},
        {},
    ]


@pytest.mark.parametrize("path", FLATTENED)
@pytest.mark.parametrize(
    ("extension", "body"),
    [
        ("json", b'{"db":{"url":"jdbc:h"},"feature":true,"feature.x":1}'),
        ("yml", b"db:\n  url: jdbc:h\nfeature: true\nfeature.x: 1\n"),
        ("yaml", b"db:\n  url: jdbc:h\nfeature: true\nfeature.x: 1\n"),
        ("properties", b"db.url: jdbc:h\nfeature: true\nfeature.x: 1"),
    ],
)
async def test_flattened_formats_have_the_selected_keys_only(
    ask: Any, path: str, extension: str, body: bytes
) -> None:
    """The placeholder is replaced, although the key that it names is not selected."""
    assert (await ask(f"{path}.{extension}?keys=feature,db.url")).body == body


@pytest.mark.parametrize("resolve", ["true", "false"])
async def test_placeholders_are_left_on_request(ask: Any, resolve: str) -> None:
    target = f"/config/orders-prod.properties?keys=db.url&resolvePlaceholders={resolve}"
    url = "jdbc:h" if resolve == "true" else "jdbc:${db.host}"
    assert (await ask(target)).body.decode() == f"db.url: {url}"


async def test_names_are_decoded_once(ask: Any) -> None:
    found = await ask("/config/orders-prod.json?keys=d%62.hosts%5B1%5D%2Cother")
    assert found.json == {"other": 1, "db": {"hosts": [None, "b"]}}


@pytest.mark.parametrize("target", ["/config/orders/prod", "/config/orders-prod.json"])
async def test_other_keys_do_not_change_the_entity_tag(write: Write, ask: Any, target: str) -> None:
    whole, part = target, f"{target}?keys=db,feature"
    tags = {one: await tag(ask, one) for one in (whole, part)}
    write("main/orders-prod.yaml", PROD.replace("other: 1", "other: 10\nmore: 11"))
    assert await tag(ask, whole) != tags[whole]
    assert await tag(ask, part) == tags[part]
    known = {"If-None-Match": tags[part], "Cache-Control": "no-cache"}
    unchanged = await ask(part, headers=known)
    assert (unchanged.status, unchanged.body) == (304, b"")
    write("main/orders-prod.yaml", PROD.replace("feature.x: 1", "feature.x: 2"))
    changed = await ask(part, headers=known)
    assert (changed.status, changed.headers["etag"] != tags[part]) == (200, True)


async def test_in_the_v2_type_a_moved_key_is_another_answer(write: Write, ask: Any) -> None:
    target = "/config/orders/prod?keys=db.url"
    plain, origins = await tag(ask, target), await tag(ask, target, Accept=V2)
    write("main/orders-prod.yaml", PROD.replace("other: 1", "other: 10"))
    assert await tag(ask, target, Accept=V2) == origins
    write("main/orders-prod.yaml", f"# a comment\n{PROD}")
    assert await tag(ask, target) == plain
    assert await tag(ask, target, Accept=V2) != origins


@pytest.mark.parametrize("extension", ["json", "yml", "yaml", "properties"])
async def test_a_value_that_changes_by_its_placeholder_changes_the_entity_tag(
    write: Write, ask: Any, extension: str
) -> None:
    target = f"/config/orders-prod.{extension}?keys=db.url"
    before = await tag(ask, target)
    write("main/orders-default.yaml", DEFAULT.replace("other: 2", "other: 20"))
    assert await tag(ask, target) == before
    write("main/orders-default.yaml", DEFAULT.replace("host: h", "host: other"))
    assert await tag(ask, target) != before


async def test_the_version_of_the_whole_document_is_left_out(
    root: Path, serve: Callable[..., Any]
) -> None:
    ask = serve(FilesystemConfigBackend(root), version="7")
    assert (await ask("/config/orders/prod")).json["version"] == "7"
    part = (await ask("/config/orders/prod?keys=*")).json
    assert [*part] == ["name", "profiles", "label", "version", "state", "propertySources"]
    assert (part["name"], part["profiles"], part["version"]) == ("orders", ["prod"], None)
    assert part["propertySources"] == (await ask("/config/orders/prod")).json["propertySources"]


async def test_overrides_are_selected_as_well(root: Path, serve: Callable[..., Any]) -> None:
    ask = serve(FilesystemConfigBackend(root), overrides={"DB.url": "over", "other": "over"})
    found = await sources(ask, "/config/orders/prod?keys=db.url", Accept=V2)
    assert found["overrides"] == {"DB.url": {"value": "over", "origin": "Config server overrides"}}
    assert (await sources(ask, "/config/orders/prod?keys=x"))["overrides"] == {}
    assert (await ask("/config/orders-prod.json?keys=other")).json == {"other": "over"}


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/config/orders-prod.json", b"{}"),
        ("/config/orders-prod.yml", b"{}\n"),
        ("/config/orders-prod.properties", b""),
    ],
)
async def test_a_selection_of_nothing_is_an_empty_text(ask: Any, target: str, body: bytes) -> None:
    answer = await ask(f"{target}?keys=nothing")
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    "target", [*DOCUMENTS, *(f"{path}.{kind}" for path in FLATTENED for kind in ("json", "yaml"))]
)
async def test_what_names_no_key_is_400_with_the_reason(ask: Any, target: str) -> None:
    for keys, reason in (
        ("", "empty element"),
        ("db,", "empty element"),
        ("a..b", "before or behind a dot"),
        ("a%5B0", "no counterpart"),
        ("db,%20x", "blank"),
        ("a%00", "control character"),
        ("%FF", "not UTF-8"),
        ("*.url", "'*'"),
        (",".join(["a"] * 65), "65 names, more than 64"),
        ("a" * 1_025, "more than 1,024 characters"),
    ):
        answer = await ask(f"{target}?keys={keys}")
        assert answer.status == 400, keys[:12]
        assert answer.json["message"].startswith("keys '")
        assert reason in answer.json["message"]


async def test_a_circle_elsewhere_does_not_matter(write: Write, ask: Any) -> None:
    write("main/orders-prod.yaml", f"{PROD}circle: ${{circle}}\na..b: 1\n")
    assert (await ask("/config/orders-prod.json")).status == 400
    assert (await ask("/config/orders-prod.json?keys=db.url")).json == {"db": {"url": "jdbc:h"}}
    assert (await ask("/config/orders-prod.json?keys=circle")).status == 400


async def test_limits_hold_for_the_whole_document(serve: Callable[..., Any]) -> None:
    backend = InMemoryConfigBackend()
    for profile in ("p", "q"):
        many = {f"k{n}": n for n in range(10_001)}
        await backend.save(ConfigSource(application="a", profile=profile, properties=many))
    ask = serve(backend)
    assert [*(await sources(ask, "/config/a/p?keys=k1,k7")).values()] == [{"k1": 1, "k7": 7}]
    for target in ("/config/a/p,q?keys=k1", "/config/a-p,q.json?keys=k1"):
        answer = await ask(target)
        assert (answer.status, "20,000 properties" in answer.json["message"]) == (500, True)


async def test_the_description_has_the_parameter(ask: Any) -> None:
    paths = (await ask("/config/_openapi.json")).json["paths"]
    described = {
        path
        for path, operations in paths.items()
        for one in operations.get("get", {}).get("parameters", [])
        if (one["name"], one["in"], one.get("required", False)) == ("keys", "query", False)
    }
    flattened = "{name}-{profiles}.{extension}"
    assert described == {
        *("/{name}/{profiles}", "/{name}/{profiles}/{label}"),
        *(f"/{flattened}", f"/{{label}}/{flattened}"),
    }
