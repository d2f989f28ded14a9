"""Who wrote a version, and why: the principal and `X-Config-Message`, in stores with a history."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

BUNDLE = "/config/_bundles/orders/prod/main"
MESSAGE = "größere Pools, 50% mehr\n\nsiehe #42"


@pytest.fixture(params=["memory", "sqlite", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store with a history."""
    if request.param == "s3":
        make_bucket: Callable[[str], str] = request.getfixturevalue("make_bucket")
        return make_bucket(f"authors-{abs(hash(request.node.name))}")
    return {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/config.db"}[request.param]


@pytest.fixture
def client(store: str, start_server: Callable[..., Any]) -> Iterator[httpx.Client]:
    server = start_server(store, USERNAME="ada", PASSWORD="open sesame")
    with httpx.Client(base_url=server.url, auth=("ada", "open sesame"), timeout=60) as client:
        yield client


def said(message: str) -> dict[str, str]:
    return {"X-Config-Message": quote(message)}


def history(client: httpx.Client) -> list[tuple[str | None, str | None, bool]]:
    rows = client.get(f"{BUNDLE}/history").json()["versions"]
    return [(row["author"], row["message"], row["deleted"]) for row in rows]


def test_every_write_carries_its_author_and_its_message(client: httpx.Client, store: str) -> None:
    created = client.put(BUNDLE, json={"a": 1}, headers={"If-None-Match": "*"} | said(MESSAGE))
    assert created.status_code == 201, created.text
    assert history(client) == [("ada", MESSAGE, False)]
    replaced = client.put(BUNDLE, json={"a": 2}, headers={"If-Match": "*"})
    assert replaced.status_code == 200
    first = created.json()["version"]
    for message in ({}, said("zurück")):
        headers = {"If-Match": "*"} | message
        back = client.post(f"{BUNDLE}/rollback", json={"version": first}, headers=headers)
        assert back.status_code == 200, back.text
    assert history(client) == [
        ("ada", "zurück", False),
        ("ada", f"rollback to {first}", False),
        ("ada", None, False),
        ("ada", MESSAGE, False),
    ]
    removed = client.delete(BUNDLE, headers={"If-Match": "*"} | said("nobody needs it"))
    assert removed.status_code == 204
    # a bucket keeps no text with the mark of a removed object
    by = (None, None) if store.startswith("s3:") else ("ada", "nobody needs it")
    assert history(client)[0] == (*by, True)


def test_a_message_that_cannot_be_stored_is_refused_and_nothing_is_written(
    client: httpx.Client, store: str
) -> None:
    longest = ("m" if store.startswith("s3:") else "ü") * 1_024  # S3 keeps 2 KB with an object
    for message in (longest + "x", "a\0b", "\x1b[31m"):
        headers = {"If-None-Match": "*"} | said(message)
        refused = client.put(BUNDLE, json={"a": 1}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid-message")
    for raw in (b"50%", b"%zz", b"%FF", b"%C3", "ü".encode(), "ü".encode("latin-1")):
        refused = client.put(
            BUNDLE, json={"a": 1}, headers={b"If-None-Match": b"*", b"X-Config-Message": raw}
        )
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid-message"), raw
    assert client.get(BUNDLE).status_code == 404
    created = client.put(BUNDLE, json={"a": 1}, headers={"If-None-Match": "*"} | said(longest))
    assert created.status_code == 201
    assert history(client) == [("ada", longest, False)]
    for method, path in (("DELETE", BUNDLE), ("POST", f"{BUNDLE}/rollback")):
        headers = {"If-Match": "*"} | said(longest + "x")
        body = {"version": created.json()["version"]} if method == "POST" else None
        assert client.request(method, path, json=body, headers=headers).status_code == 400
    assert history(client) == [("ada", longest, False)]


def test_plain_text_and_an_empty_message_are_taken(client: httpx.Client) -> None:
    for value, expected in (("more pools: 4+4", "more pools: 4+4"), ("", None)):
        headers = {"If-Match" if expected is None else "If-None-Match": "*"}
        written = client.put(BUNDLE, json={"a": 1}, headers=headers | {"X-Config-Message": value})
        assert written.status_code in {200, 201}
        assert history(client)[0] == ("ada", expected, False)


def test_a_patch_is_a_version_with_an_author_in_every_store(client: httpx.Client) -> None:
    """The two kinds of patches, over real connections: what they name changes, and nothing else."""
    kinds = ("application/merge-patch+json", "application/json-patch+json")
    named = {"Content-Type": kinds[0], "If-None-Match": "*"} | said("first")
    created = client.patch(BUNDLE, json={"db": {"url": "a", "pool": 4}}, headers=named)
    assert created.status_code == 201, created.text
    operations = [
        {"op": "test", "path": "/db/pool", "value": 4},
        {"op": "replace", "path": "/db/pool", "value": 8},
    ]
    named = {"Content-Type": kinds[1], "If-Match": created.headers["etag"]} | said("second")
    changed = client.patch(BUNDLE, json=operations, headers=named)
    assert changed.status_code == 200, changed.text
    lost = client.patch(BUNDLE, json=operations, headers=named)
    assert (lost.status_code, lost.json()["current"]) == (412, changed.json()["version"])
    named["If-Match"] = "*"
    failed = client.patch(BUNDLE, json=operations, headers=named)
    assert (failed.status_code, failed.json()["code"]) == (409, "patch-test-failed")
    assert client.get(BUNDLE).json()["properties"] == {"db": {"url": "a", "pool": 8}}
    assert history(client) == [("ada", "second", False), ("ada", "first", False)]
