"""Cases 35 to 40: negotiation, and conditional requests."""

import base64
import hashlib
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

V1 = "application/json"
V2 = "application/vnd.spring-cloud.config-server.v2+json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        pytest.param(None, V1, marks=pytest.mark.case(36)),
        pytest.param("*/*", V1, marks=pytest.mark.case(36)),
        pytest.param("application/*", V1, marks=pytest.mark.case(36)),
        pytest.param(V1, V1, marks=pytest.mark.case(36)),
        pytest.param(BROWSER, V1, marks=pytest.mark.case(36)),
        pytest.param(f"{V1}, {V2}", V1, marks=pytest.mark.case(37)),
        pytest.param(f"{V2}, {V1}", V2, marks=pytest.mark.case(37)),
        pytest.param(f"{V1};q=0.5, {V2}", V2, marks=pytest.mark.case(37)),
        (V2, V2),
        (V2.upper(), V2),
        ("application/*+json", V2),
        (f"*/*, {V2}", V2),
        (f"{V2};q=0, */*", V1),
        ("application/json; charset=utf-8", V1),
        (f"{V2}, application/json;q=0.9, */*;q=0.1", V2),
    ],
)
async def test_the_media_type_follows_the_accept_header(
    fx_a: None, ask: Any, accept: str | None, media_type: str
) -> None:
    answer = await ask("/config/orders/prod", headers={"Accept": accept} if accept else {})
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    value = "orders-prod" if media_type == V1 else {"value": "orders-prod", "origin": "1:6"}
    assert answer.json["propertySources"][0]["source"] == {"who": value}


@pytest.mark.case(38)
@pytest.mark.parametrize(
    "accept", ["text/plain", "application/xml", "*/*;q=0", "application/json;q=x"]
)
@pytest.mark.parametrize("path", ["orders/prod", "orders/prod/main"])
async def test_nothing_acceptable_is_406(fx_a: None, ask: Any, accept: str, path: str) -> None:
    answer = await ask(f"/config/{path}", headers={"Accept": accept})
    assert (answer.status, answer.json["status"]) == (406, 406)


async def test_every_document_carries_its_digest_and_a_strong_tag(fx_a: None, ask: Any) -> None:
    answer = await ask("/config/orders/prod")
    digest = base64.b64encode(hashlib.sha256(answer.body).digest()).decode()
    assert answer.headers["content-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Accept" in answer.headers["vary"]


@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"other", {0}', "*", '"a",W/{0} , "b"'])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_known_document_is_not_sent_again(
    fx_a: None, ask: Any, form: str, method: str
) -> None:
    tag = (await ask("/config/orders/prod")).headers["etag"]
    answer = await ask(
        "/config/orders/prod", method=method, headers={"If-None-Match": form.format(tag)}
    )
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert "content-length" not in answer.headers


async def test_a_changed_document_is_sent(fx_a: None, write: Any, ask: Any) -> None:
    tag = (await ask("/config/orders/prod")).headers["etag"]
    write("main/orders-prod.yaml", "who: somebody else\n")
    headers = {"If-None-Match": tag, "Cache-Control": "no-cache"}
    answer = await ask("/config/orders/prod", headers=headers)
    assert answer.status == 200
    assert answer.headers["etag"] != tag


async def test_the_two_media_types_have_different_tags(fx_a: None, ask: Any) -> None:
    tags = {
        (await ask("/config/orders/prod", headers={"Accept": media})).headers["etag"]
        for media in (V1, V2)
    }
    assert len(tags) == 2
