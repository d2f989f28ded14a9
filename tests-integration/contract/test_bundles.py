"""Our own routes: listing, reading and writing stored bundles, on both adapters."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import BackendUnavailableError, JsonValue
from pyfly.config_server import (
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    SharedCredential,
)
from pyfly.config_server.http.endpoints import listing

pytestmark = pytest.mark.anyio

CREDENTIAL = SharedCredential.bearer("sesame")
BUNDLE = "/config/_bundles/orders/prod/main"
MISSING = '"no-such-version"'


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, root: Path) -> Any:
    return FilesystemConfigBackend(root) if request.param == "files" else InMemoryConfigBackend()


@pytest.fixture
def writer(serve: Callable[..., Any], store: Any) -> Callable[..., Any]:
    return client(serve(store, auth=CREDENTIAL))


def client(ask: Any) -> Callable[..., Any]:
    """Send requests with the credential, and JSON bodies with their media type."""

    async def send(method: str, path: str = BUNDLE, value: Any = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        if value is None:
            body = b""
        else:
            named.setdefault("Content-Type", "application/json")
        named.setdefault("Authorization", "Bearer sesame")
        return await ask(path, method=method, headers=named, body=body)

    return send


async def test_a_bundle_is_created_read_replaced_and_removed(writer: Any) -> None:
    tree: dict[str, JsonValue] = {"db": {"url": "x", "ports": [1, {"a": None}]}, "ratio": 1.0}
    created = await writer("PUT", value=tree, If_None_Match="*")
    assert (created.status, created.headers["location"]) == (201, BUNDLE)
    read = await writer("GET")
    assert read.status == 200
    assert read.json == {
        "application": "orders",
        "profile": "prod",
        "label": "main",
        "version": json.loads(created.body)["version"],
        "properties": tree,
    }
    assert read.headers["etag"] == created.headers["etag"] == f'"{read.json["version"]}"'
    assert read.headers["cache-control"] == "no-store"
    assert (await writer("GET", If_None_Match=read.headers["etag"])).status == 304
    replaced = await writer("PUT", value={"b": 2}, If_Match=read.headers["etag"])
    assert (replaced.status, replaced.json["version"] != read.json["version"]) == (200, True)
    removed = await writer("DELETE", If_Match=replaced.headers["etag"])
    assert (removed.status, removed.body) == (204, b"")
    gone = await writer("GET")
    assert (gone.status, gone.json["code"]) == (404, "not-found")


async def test_every_write_names_what_it_replaces(writer: Any) -> None:
    for method, path in (("PUT", BUNDLE), ("DELETE", BUNDLE), ("POST", f"{BUNDLE}/rollback")):
        answer = await writer(method, path, {"a": 1})
        assert (answer.status, answer.json["code"]) == (428, "precondition-required")
        assert answer.headers["content-type"] == "application/problem+json"
        assert "If-Match" in answer.json["detail"]


async def test_a_lost_race_names_the_current_version(writer: Any) -> None:
    nothing = await writer("PUT", value={"a": 1}, If_Match=MISSING)
    assert (nothing.status, nothing.json["current"]) == (412, None)
    assert (await writer("PUT", value={"a": 1}, If_Match="*")).status == 412
    assert (await writer("DELETE", If_Match="*")).status == 412
    version = (await writer("PUT", value={"a": 1}, If_None_Match="*")).json["version"]
    for conditions in ({"If_Match": MISSING}, {"If_None_Match": "*"}):
        lost = await writer("PUT", value={"a": 2}, **conditions)
        assert (lost.status, lost.json["code"]) == (412, "version-conflict")
        assert lost.json["current"] == version
    lost = await writer("DELETE", If_Match=MISSING)
    assert (lost.status, lost.json["current"]) == (412, version)
    assert (await writer("GET")).json["properties"] == {"a": 1}


async def test_an_overwrite_may_be_asked_for(writer: Any) -> None:
    await writer("PUT", value={"a": 1}, If_None_Match="*")
    assert (await writer("PUT", value={"a": 2}, If_Match="*")).status == 200
    assert (await writer("GET")).json["properties"] == {"a": 2}
    assert (await writer("DELETE", If_Match="*")).status == 204


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If_Match": "version"}, 400),
        ({"If_Match": '"a", "b"'}, 400),
        ({"If_Match": 'W/"a"'}, 412),
        ({"If_None_Match": '"a"'}, 400),
        ({"If_Match": "*", "If_None_Match": "*"}, 400),
    ],
)
async def test_a_condition_that_cannot_be_kept_is_refused(
    writer: Any, conditions: dict[str, str], status: int
) -> None:
    await writer("PUT", value={"a": 1}, If_None_Match="*")
    assert (await writer("PUT", value={"a": 2}, **conditions)).status == status
    assert (await writer("GET")).json["properties"] == {"a": 1}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"a": 1e400}', 422, "beyond 1.8e308"),
        (b'{"a.b": 1, "a": {"b": 2}}', 422, "'a.b' is given twice"),
        (b'{"a": 1, "a": 2}', 422, "twice"),
        (b"[1]", 422, "not a mapping"),
        (b"", 422, "not a mapping"),
        (b"null", 422, "not a mapping"),
        (b'{"a": ', 422, "line 1"),
        (b'{"secret": hunter2}', 422, "line 1, column 12"),
        (b'{"a": "\xff"}', 422, "UTF-8"),
        (b"{}" + b" " * 1_048_577, 413, "1,048,576"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, 422, "deeper than 64"),
        (json.dumps(dict.fromkeys(map(str, range(20_001)), 1)).encode(), 422, "20,000"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_cannot_be_stored_is_refused_and_nothing_is_lost(
    writer: Any, body: bytes, status: int, said: str
) -> None:
    await writer("PUT", value={"kept": True}, If_None_Match="*")
    answer = await writer("PUT", value=body, If_Match="*")
    assert (answer.status, answer.json["status"]) == (status, status)
    assert said in answer.json["detail"]
    assert b"hunter2" not in answer.body
    assert (await writer("GET")).json["properties"] == {"kept": True}


async def test_yaml_is_taken_too(writer: Any) -> None:
    text = b"when: 2001-12-14\nsize: 1e3\nlist: [on, ~]\nbig: .inf\n"
    answer = await writer("PUT", value=text, If_None_Match="*", Content_Type="application/yaml")
    assert answer.status == 201
    properties = (await writer("GET")).json["properties"]
    assert properties == {
        "when": "2001-12-14",
        "size": 1000.0,
        "list": [True, None],
        "big": "Infinity",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Content_Type": ""},
        {"Content_Encoding": "gzip"},
    ],
)
async def test_other_media_types_are_refused(writer: Any, headers: dict[str, str]) -> None:
    answer = await writer("PUT", value=b"{}", If_None_Match="*", **headers)
    assert answer.status == 415
    assert (await writer("GET")).status == 404


async def test_a_body_that_ends_early_stores_nothing(serve: Any, store: Any) -> None:
    ask = serve(store, auth=CREDENTIAL)
    headers = {
        "Authorization": "Bearer sesame",
        "Content-Type": "application/yaml",
        "If-None-Match": "*",
    }
    answer = await ask(BUNDLE, method="PUT", headers=headers, body=b"a: 1\nb: 2\n", ends=False)
    assert (answer.status, answer.json["code"]) == (400, "body-incomplete")
    assert (await ask(BUNDLE, headers=headers)).status == 404


async def test_names_keep_their_rules(writer: Any) -> None:
    bad = ("orders!/prod/main", "a,b/prod/main", "_x/prod/main", "orders/prod/_x", "key/prod/main")
    for path in bad:
        answer = await writer("PUT", f"/config/_bundles/{path}", {"a": 1}, If_None_Match="*")
        assert (answer.status, answer.json["code"]) == (400, "invalid-name"), path
    answer = await writer(
        "PUT", "/config/_bundles/orders/prod/feature%2Fx", {"a": 1}, If_None_Match="*"
    )
    assert answer.status == 201
    same = await writer("GET", "/config/_bundles/orders/prod/feature(_)x")
    assert same.json["label"] == "feature/x"


async def test_nobody_writes_without_a_configured_credential(serve: Any, store: Any) -> None:
    send = client(serve(store))
    answer = await send("PUT", value={"a": 1}, If_None_Match="*")
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert (await send("GET", "/config/_bundles")).json == {"bundles": [], "next": None}


async def test_a_wrong_credential_reads_and_writes_nothing(writer: Any) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = await writer(method, Authorization="Bearer other", If_Match="*")
        assert (answer.status, answer.json["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_listing_comes_in_pages(serve: Any, store: Any) -> None:
    names = [f"{label}/{a}/{p}" for label in ("main", "v1") for a in "abc" for p in ("x", "y")]
    for name in names:
        label, application, profile = name.split("/")
        await store.save(
            ConfigSource(application=application, profile=profile, label=label, properties={})
        )
    send = client(serve(store, auth=CREDENTIAL))
    found: list[str] = []
    path = "/config/_bundles?limit=5"
    cursor = None
    for _ in range(3):
        page = (await send("GET", path + (f"&cursor={cursor}" if cursor else ""))).json
        found += [f"{b['label']}/{b['application']}/{b['profile']}" for b in page["bundles"]]
        assert all(bundle["version"] for bundle in page["bundles"])
        assert not any("properties" in bundle for bundle in page["bundles"])
        cursor = page["next"]
    assert (found, cursor) == (names, None)
    exact = (await send("GET", "/config/_bundles?limit=12")).json
    assert (len(exact["bundles"]), exact["next"]) == (12, None)
    filtered = (await send("GET", "/config/_bundles?label=v1&application=b&profile=y")).json
    assert [b["application"] for b in filtered["bundles"]] == ["b"]
    assert (await send("GET", "/config/_bundles?label=nothing")).json["bundles"] == []


async def test_a_page_of_a_slow_listing_ends_early_and_the_next_goes_on(
    serve: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for application in "abc":
        await store.save(ConfigSource(application=application, profile="x", properties={}))
    monkeypatch.setattr(listing, "PAGE_SECONDS", -1.0)
    send = client(serve(store, auth=CREDENTIAL))
    for query in ("limit=100", "application=c"):
        found: list[str] = []
        pages, cursor = 0, ""
        while pages == 0 or cursor:
            path = f"/config/_bundles?{query}" + (f"&cursor={cursor}" if cursor else "")
            page = (await send("GET", path)).json
            found += [bundle["application"] for bundle in page["bundles"]]
            pages, cursor = pages + 1, page["next"]
        assert (pages, found) == (3, ["c"] if "=c" in query else ["a", "b", "c"])


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=x",
        "cursor=W10",
        "cursor=" + base64.urlsafe_b64encode(b'["a", "b", 3]').decode(),
        "label=..",
        "lable=main",
        "label=a&label=b",
        "label=%ff",
    ],
)
async def test_a_query_that_means_nothing_is_refused(writer: Any, query: str) -> None:
    answer = await writer("GET", f"/config/_bundles?{query}")
    assert answer.status == 400
    assert answer.json["code"] in {"invalid-query", "invalid-name"}


async def test_broken_bundles_are_listed_and_can_be_replaced(
    serve: Any, root: Path, write: Callable[[str, str], Path]
) -> None:
    write("main/orders-prod.yaml", "a: [1\nsecret: hunter2\n")
    write("main/billing-prod.yaml", "a: 1\n")
    send = client(serve(FilesystemConfigBackend(root), auth=CREDENTIAL))
    rows = (await send("GET", "/config/_bundles")).json["bundles"]
    assert [row["application"] for row in rows] == ["billing", "orders"]
    assert "error" not in rows[0]
    assert "main/orders-prod.yaml, line 2" in rows[1]["error"]
    broken = await send("GET")
    assert (broken.status, broken.json["code"]) == (500, "broken-bundle")
    assert b"hunter2" not in broken.body
    tag = f'"{rows[1]["version"]}"'
    assert (await send("PUT", value={"a": 2}, If_Match=tag)).status == 200
    write("main/orders-prod.yaml", "a: [1\n")
    assert (await send("PUT", value={"a": 3}, If_Match="*")).status == 200
    assert (await send("GET")).json["properties"] == {"a": 3}


async def test_files_that_a_save_would_damage_are_kept(
    serve: Any, root: Path, write: Callable[[str, str], Path]
) -> None:
    text = "a: 1\n---\nb: 2\n---\na: 3\n"
    several = write("main/orders-prod.yaml", text)
    write("main/billing-prod.properties", "a=1\n")
    send = client(serve(FilesystemConfigBackend(root), auth=CREDENTIAL))
    answer = await send("PUT", value={"a": 2}, If_Match="*")
    assert (answer.status, answer.json["code"]) == (409, "obstructed")
    assert several.read_text(encoding="utf-8") == text
    path = "/config/_bundles/billing/prod/main"
    assert (await send("PUT", path, {"a": 2}, If_None_Match="*")).status == 412
    answer = await send("DELETE", If_Match="*")
    assert (answer.status, "several documents" in answer.json["detail"]) == (409, True)
    assert several.read_text(encoding="utf-8") == text
    assert (await send("DELETE", path, If_Match="*")).status == 204
    assert (await send("GET", path)).status == 404


async def test_a_write_keeps_the_text_of_a_file_or_says_what_it_lost(
    serve: Any, root: Path, write: Callable[[str, str], Path]
) -> None:
    file = write("main/orders-prod.yaml", "# why\na: 1 # one\nb: 'x'\n")
    send = client(serve(FilesystemConfigBackend(root), auth=CREDENTIAL))
    answer = await send("PUT", value={"b": "x", "a": 2}, If_Match="*")
    assert (answer.status, "remarks" in answer.json) == (200, False)
    assert file.read_text(encoding="utf-8") == "# why\na: 2 # one\nb: 'x'\n"
    write("main/orders-prod.yaml", "# why\na: [\n")
    answer = await send("PUT", value={"a": 2}, If_Match="*")
    assert answer.json["remarks"] == [
        "main/orders-prod.yaml: it was written anew, without comments"
    ]


async def test_history_and_rollback(serve: Any) -> None:
    send = client(serve(InMemoryConfigBackend(), auth=CREDENTIAL))
    first = await send("PUT", value={"a": 1}, If_None_Match="*")
    second = await send("PUT", value={"a": 2}, If_Match=first.headers["etag"])
    rows = (await send("GET", f"{BUNDLE}/history")).json["versions"]
    assert [row["version"] for row in rows] == [second.json["version"], first.json["version"]]
    assert rows[0]["savedAt"].endswith("+00:00")
    old = await send("GET", f"{BUNDLE}/history/{first.json['version']}")
    assert (old.json["properties"], old.headers["etag"]) == ({"a": 1}, first.headers["etag"])
    lost = await send("POST", f"{BUNDLE}/rollback", first.json, If_Match=first.headers["etag"])
    assert lost.status == 412
    wanted = {"version": first.json["version"]}
    done = await send("POST", f"{BUNDLE}/rollback", wanted, If_Match=second.headers["etag"])
    assert (done.status, done.json["version"] in {row["version"] for row in rows}) == (200, False)
    assert (await send("GET")).json["properties"] == {"a": 1}
    rows = (await send("GET", f"{BUNDLE}/history")).json["versions"]
    assert rows[0]["message"] == f"rollback to {first.json['version']}"
    absent = await send("POST", f"{BUNDLE}/rollback", {"version": "x"}, If_Match="*")
    assert absent.status == 404
    assert (await send("POST", f"{BUNDLE}/rollback", {"v": "x"}, If_Match="*")).status == 422
    assert (await send("GET", f"{BUNDLE}/history/none")).status == 404
    assert (await send("GET", "/config/_bundles/none/prod/main/history")).status == 404


async def test_a_missing_ability_is_named(serve: Any, root: Path) -> None:
    send = client(serve(FilesystemConfigBackend(root), auth=CREDENTIAL))
    answer = await send("GET", f"{BUNDLE}/history")
    assert (answer.status, answer.json["code"]) == (501, "unsupported")
    assert answer.json["detail"] == "FilesystemConfigBackend does not support history"


class ThreeMethods:
    """A store that somebody wrote in ten minutes."""

    async def fetch(
        self, application: str, profile: str, label: str = "main"
    ) -> ConfigSource | None:
        if application == "gone":
            raise BackendUnavailableError("the store is gone")
        return ConfigSource(application=application, profile=profile, label=label, properties={})

    async def save(self, source: ConfigSource) -> None:
        raise AssertionError("never called")

    async def list(self) -> list[ConfigSource]:
        return [
            ConfigSource(application=name, profile="prod", properties={}) for name in ("b", "a")
        ]


async def test_three_methods_are_listed_and_read_but_not_written(serve: Any) -> None:
    send = client(serve(ThreeMethods(), auth=CREDENTIAL))
    rows = (await send("GET", "/config/_bundles?limit=1")).json
    assert [row["application"] for row in rows["bundles"]] == ["a"]
    rows = (await send("GET", f"/config/_bundles?cursor={rows['next']}")).json
    assert [row["application"] for row in rows["bundles"]] == ["b"]
    assert (await send("GET")).json["version"] is None
    for method in ("PUT", "DELETE"):
        answer = await send(method, value={}, If_Match="*")
        assert (answer.status, answer.json["code"]) == (501, "unsupported")
    answer = await send("GET", "/config/_bundles/gone/prod/main")
    assert (answer.status, answer.json["code"]) == (503, "store-unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_methods_are_those_of_the_route(writer: Any) -> None:
    allowed = (await writer("OPTIONS")).headers["allow"]
    assert allowed == "GET, HEAD, PUT, DELETE, PATCH, OPTIONS"
    for method, path in (
        ("POST", BUNDLE),
        ("PUT", "/config/_bundles"),
        ("GET", BUNDLE + "/rollback"),
    ):
        answer = await writer(method, path)
        assert (answer.status, answer.json["code"]) == (405, "method-not-allowed")
    assert (await writer("GET", "/config/_nothing")).json["code"] == "no-such-route"
    assert (await writer("HEAD", "/config/_bundles")).body == b""


async def test_base_bundles_are_bundles_with_the_profile_dash(root: Path, serve: Any) -> None:
    """They count for every profile, and are named by `-` below `_bundles` only."""
    send = client(serve(FilesystemConfigBackend(root), auth=CREDENTIAL))
    base = "/config/_bundles/orders/-/main"
    created = await send("PUT", base, {"of": "base"}, If_None_Match="*")
    assert created.status == 201
    assert (created.json["profile"], created.headers["location"]) == ("-", base)
    assert (await send("GET", base)).json["properties"] == {"of": "base"}
    for query in ("", "?profile=-"):
        listed = (await send("GET", f"/config/_bundles{query}")).json["bundles"]
        assert [one["profile"] for one in listed] == ["-"]
    assert (await send("GET", "/config/_bundles?profile=prod")).json["bundles"] == []
    served = (await send("GET", "/config/orders/prod")).json["propertySources"]
    assert [one["source"] for one in served] == [{"of": "base"}]
    for path in (
        "/orders/-",
        "/orders/-/main",
        "/orders/prod,-/main",
        "/orders/-/main/one.txt",
        "/orders/-/one.txt?useDefaultLabel",
        "/key/orders/-",
    ):
        assert (await send("GET", f"/config{path}")).status == 400, path
    for path in ("/encrypt/orders/-", "/decrypt/orders/-"):
        assert (await send("POST", f"/config{path}", "x")).status == 400, path
    gone = await send("DELETE", base, If_Match=created.headers["etag"])
    assert gone.status == 204
    assert (await send("GET", base)).status == 404
