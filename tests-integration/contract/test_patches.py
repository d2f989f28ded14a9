"""`PATCH` of stored bundles, on both adapters and in every kind of store."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_server import (
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    SharedCredential,
    open_backend,
)
from pyfly.config_server.storage import SupportsClose, ability
from pyfly.config_sql import SqlConfigBackend

pytestmark = pytest.mark.anyio

CREDENTIAL = SharedCredential.bearer("sesame")
BUNDLE = "/config/_bundles/orders/prod/main"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
TREE = {"db": {"url": "x", "ports": [1, 2]}, "on": True, "flat.key": 1.0, "none": None}


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with tables and nothing in them."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"

    async def make() -> None:
        backend = SqlConfigBackend.from_url(f"sqlite:///{path}")
        await backend.upgrade()
        await backend.aclose()

    asyncio.run(make())
    return path


@pytest.fixture(params=["files", "memory", "sqlite"])
async def store(request: pytest.FixtureRequest, root: Path, empty_file: Path) -> AsyncIterator[Any]:
    url = {"files": root.as_uri(), "memory": "memory:", "sqlite": f"sqlite:///{root}/config.db"}
    if request.param == "sqlite":
        shutil.copyfile(empty_file, root / "config.db")
    backend = open_backend(url[request.param])
    yield backend
    if (closing := ability(backend, SupportsClose)) is not None:
        await closing.aclose()


def client(ask: Any) -> Callable[..., Any]:
    """Send requests with the credential. A list is a JSON patch, a mapping a merge patch."""

    async def send(method: str, path: str = BUNDLE, value: Any = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        if method == "PUT":
            named.setdefault("Content-Type", "application/json")
        elif value is not None:
            named.setdefault("Content-Type", JSON_PATCH if isinstance(value, list) else MERGE)
        named.setdefault("Authorization", "Bearer sesame")
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return await ask(path, method=method, headers=named, body=body)

    return send


@pytest.fixture
async def writer(serve: Callable[..., Any], store: Any) -> Callable[..., Any]:
    send = client(serve(store, auth=CREDENTIAL))
    assert (await send("PUT", value=TREE, If_None_Match="*")).status == 201
    return send


async def test_both_kinds_of_patches_change_what_they_name(writer: Any) -> None:
    before = await writer("GET")
    merged = await writer("PATCH", value={"db": {"url": "y"}}, If_Match=before.headers["etag"])
    assert (merged.status, merged.json["application"]) == (200, "orders")
    operations = [
        {"op": "test", "path": "/db/url", "value": "y"},
        {"op": "add", "path": "/db/ports/-", "value": 3},
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/flat.key", "value": 2},
    ]
    patched = await writer("PATCH", value=operations, If_Match=merged.headers["etag"])
    assert patched.status == 200
    read = await writer("GET")
    assert read.headers["etag"] == patched.headers["etag"] == f'"{patched.json["version"]}"'
    assert read.json["properties"] == {
        "db": {"url": "y", "ports": [1, 2, 3]},
        "on": True,
        "flat.key": 2,
    }
    assert [type(one) for one in read.json["properties"].values()] == [dict, bool, int]


async def test_a_patch_has_the_conditions_of_a_put(writer: Any) -> None:
    refused = await writer("PATCH", value={"a": 1})
    assert (refused.status, refused.json["code"]) == (428, "precondition-required")
    current = (await writer("GET")).json["version"]
    for value in ({"a": 1}, [{"op": "test", "path": "/nothing", "value": 1}]):
        for condition in ({"If_Match": '"other"'}, {"If_None_Match": "*"}):
            lost = await writer("PATCH", value=value, **condition)
            assert (lost.status, lost.json["code"]) == (412, "version-conflict")
            assert lost.json["current"] == current
    assert (await writer("PATCH", value={"a": 1}, If_Match="*")).status == 200
    empty = "/config/_bundles/orders/dev/main"
    for condition in ("*", '"other"'):
        lost = await writer("PATCH", empty, {"a": 1}, If_Match=condition)
        assert (lost.status, lost.json["current"]) == (412, None)
    created = await writer("PATCH", empty, {"a": {"b": None, "c": 1}}, If_None_Match="*")
    assert (created.status, created.headers["location"]) == (201, empty)
    assert (await writer("GET", empty)).json["properties"] == {"a": {"c": 1}}


@pytest.mark.parametrize(
    ("value", "kind", "status", "code"),
    [
        (b"", MERGE, 400, "invalid-patch"),
        (b'{"a": ', MERGE, 400, "invalid-patch"),
        (b'{"a": 1, "a": 2}', MERGE, 400, "invalid-patch"),
        (b'{"a": "\xff"}', MERGE, 400, "invalid-patch"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, MERGE, 400, "invalid-patch"),
        (b"[1]", MERGE, 422, "invalid-properties"),
        (b"null", MERGE, 422, "invalid-properties"),
        (b'{"db.url": "z"}', MERGE, 422, "invalid-properties"),
        (b"{}", JSON_PATCH, 400, "invalid-patch"),
        (b'[{"op": "spam", "path": "/a"}]', JSON_PATCH, 400, "invalid-patch"),
        (b'[{"op": "remove", "path": "a"}]', JSON_PATCH, 400, "invalid-patch"),
        (b'[{"op": "remove", "path": "/x"}]', JSON_PATCH, 409, "patch-conflict"),
        (
            b'[{"op": "add", "path": "/n", "value": 1}, '
            b'{"op": "test", "path": "/db/url", "value": "hunter2"}]',
            JSON_PATCH,
            409,
            "patch-test-failed",
        ),
        (b'[{"op": "remove", "path": ""}]', JSON_PATCH, 422, "invalid-properties"),
        (b'[{"op": "replace", "path": "", "value": 1}]', JSON_PATCH, 422, "invalid-properties"),
        (b'[{"op":"copy","from":"","path":"/x"}]' + b" " * 1_048_577, JSON_PATCH, 413, "too-large"),
        (
            json.dumps([{"op": "copy", "from": "", "path": "/x"}] * 100).encode(),
            JSON_PATCH,
            422,
            "invalid-properties",
        ),
        (b"{}", "application/json", 415, "unsupported-media-type"),
        (b"{}", "", 415, "unsupported-media-type"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_cannot_be_applied_changes_nothing(
    writer: Any, value: bytes, kind: str, status: int, code: str
) -> None:
    before = (await writer("GET")).headers["etag"]
    answer = await writer("PATCH", value=value, If_Match=before, Content_Type=kind)
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert b"hunter2" not in answer.body
    assert answer.headers.get("accept-patch") == (
        f"{MERGE}, {JSON_PATCH}" if status == 415 else None
    )
    after = await writer("GET")
    assert (after.headers["etag"], after.json["properties"]) == (before, TREE)


async def test_options_name_the_media_types_of_patches(writer: Any) -> None:
    listed = await writer("OPTIONS")
    assert listed.headers["accept-patch"] == f"{MERGE}, {JSON_PATCH}"
    assert "PATCH" in listed.headers["allow"].split(", ")
    assert "accept-patch" not in (await writer("OPTIONS", "/config/_bundles")).headers


async def test_of_patches_of_one_version_exactly_one_is_stored(writer: Any) -> None:
    etag = (await writer("GET")).headers["etag"]
    answers = await asyncio.gather(
        *(writer("PATCH", value={f"n{number}": 1}, If_Match=etag) for number in range(8))
    )
    assert sorted(one.status for one in answers) == [200, *[412] * 7]
    stored = (await writer("GET")).json["properties"]
    assert len(stored) == len(TREE) + 1


async def test_patches_of_any_version_lose_nothing_that_was_acknowledged(writer: Any) -> None:
    """`If-Match: *` is met by any version, but a patch replaces exactly the one it was made of."""
    answers = await asyncio.gather(
        *(writer("PATCH", value={f"n{number}": 1}, If_Match="*") for number in range(8))
    )
    stored = (await writer("GET")).json["properties"]
    done = [number for number, one in enumerate(answers) if one.status == 200]
    assert done
    assert {one.status for one in answers} <= {200, 412}
    assert [number for number in range(8) if f"n{number}" in stored] == done


async def test_infinities_stay_and_are_tested_as_they_are_shown(
    serve: Any, root: Path, write: Callable[[str, str], Path]
) -> None:
    path = write("main/orders-prod.yaml", "most: .inf\nn: 1\n")
    send = client(serve(FilesystemConfigBackend(root), auth=CREDENTIAL))
    shown = (await send("GET")).json["properties"]["most"]
    operations = [
        {"op": "test", "path": "/most", "value": shown},
        {"op": "replace", "path": "/n", "value": 2},
    ]
    assert (await send("PATCH", value=operations, If_Match="*")).status == 200
    assert ".inf" in path.read_text(encoding="utf-8")


async def test_author_and_message_are_those_of_the_request(serve: Any) -> None:
    send = client(serve(InMemoryConfigBackend(), auth=CREDENTIAL))
    await send("PATCH", value={"a": 1}, If_None_Match="*", X_Config_Message="why%20not")
    (row,) = (await send("GET", f"{BUNDLE}/history")).json["versions"]
    assert (row["author"], row["message"]) == ("shared-token", "why not")
    too_long = await send("PATCH", value={}, If_Match="*", X_Config_Message="m" * 1_025)
    assert (too_long.status, too_long.json["code"]) == (400, "invalid-message")


async def test_files_that_a_patch_would_damage_are_kept(
    serve: Any, root: Path, write: Callable[[str, str], Path]
) -> None:
    text = "a: 1\n---\na: 2\n"
    several = write("main/orders-prod.yaml", text)
    write("main/orders-eu.properties", "a=1\n#---\nb=2\n")
    write("main/orders-dev.yaml", "a: [1\nsecret: hunter2\n")
    send = client(serve(FilesystemConfigBackend(root), auth=CREDENTIAL))
    for path in (BUNDLE, "/config/_bundles/orders/eu/main"):
        answer = await send("PATCH", path, {"a": 3, "c": 4}, If_Match="*")
        assert (answer.status, answer.json["code"]) == (409, "obstructed")
    broken = await send("PATCH", "/config/_bundles/orders/dev/main", {"a": 2}, If_Match="*")
    assert (broken.status, broken.json["code"]) == (500, "broken-bundle")
    assert b"hunter2" not in broken.body
    assert several.read_text(encoding="utf-8") == text


async def test_a_patch_changes_the_lines_of_its_keys(
    serve: Any, root: Path, write: Callable[[str, str], Path]
) -> None:
    one = write("main/orders-prod.yaml", "# a\na: 1 # one\n---\nb: 2 # two\n")
    other = write("main/orders-eu.properties", "# a\na = 1\n")
    send = client(serve(FilesystemConfigBackend(root), auth=CREDENTIAL))
    for path in (BUNDLE, "/config/_bundles/orders/eu/main"):
        assert (await send("PATCH", path, {"a": 3}, If_Match="*")).status == 200
    assert one.read_text(encoding="utf-8") == "# a\na: 3 # one\n---\nb: 2 # two\n"
    assert other.read_text(encoding="utf-8") == "# a\na = 3\n"


async def test_a_store_without_conditional_saves_cannot_be_patched(serve: Any) -> None:
    class ThreeMethods:
        async def fetch(
            self, application: str, profile: str, label: str = "main"
        ) -> ConfigSource | None:
            return None

        async def save(self, source: ConfigSource) -> None:
            raise AssertionError("never called")

        async def list(self) -> list[ConfigSource]:
            return []

    send = client(serve(ThreeMethods(), auth=CREDENTIAL))
    answer = await send("PATCH", value={"a": 1}, If_Match="*")
    assert (answer.status, answer.json["code"]) == (501, "unsupported")
    closed = await client(serve(ThreeMethods()))("PATCH", value={"a": 1}, If_Match="*")
    assert (closed.status, closed.json["code"]) == (403, "forbidden")
