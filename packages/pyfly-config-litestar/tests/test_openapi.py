"""The OpenAPI document against what is really answered, operation by operation."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from litestar.testing import TestClient

from pyfly.config_litestar import create_app
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    Encryption,
    EncryptionKeys,
    InMemoryConfigBackend,
    ServerOptions,
    SharedCredential,
    open_keys,
)
from pyfly.config_server.storage import ANY

CREDENTIAL = SharedCredential.basic(username="reader", password="open sesame")
PARAMETERS = {
    "{name}": "orders",
    "{profiles}": "prod",
    "{application}": "orders",
    "{profile}": "prod",
    "{label}": "main",
    "{extension}": "yml",
    "{path}": "nginx.conf",
}
HEADERS = (
    {},
    {"If-Match": '"other"'},
    {"If-Match": "*"},
    {"If-Match": "*", "Content-Type": "text/plain"},
    {"Accept": "image/png"},
    {"Authorization": "Basic eDp5"},
)
PUT = "/_bundles/{application}/{profile}/{label}"


@pytest.fixture
def client() -> Iterator[Any]:
    backend = InMemoryConfigBackend()
    source = ConfigSource(application="orders", profile="prod", properties={"a": [1]})
    asyncio.run(backend.commit(source, expected=ANY))
    backend.put_resource("main", "nginx.conf", b"listen ${a[0]};")
    pem = generate_private_key(65_537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    keys = open_keys(EncryptionKeys(default=pem.decode()))
    server = ConfigServer(
        backend, options=ServerOptions(encryption=Encryption(keys=keys, answers_decrypt=True))
    )
    with TestClient(create_app(server, auth=CREDENTIAL)) as client:
        client.auth = ("reader", "open sesame")
        yield client


def filled(template: str, client: Any) -> str:
    version = client.get("/config/_bundles").json()["bundles"][0]["version"]
    for name, value in (PARAMETERS | {"{version}": version}).items():
        template = template.replace(name, value)
    return f"/config{template}"


def body_of(path: str, method: str) -> dict[str, Any]:
    if method == "patch":
        return {"content": "{}", "headers": {"Content-Type": "application/merge-patch+json"}}
    if path.endswith("/rollback"):
        return {"json": {"version": "none"}}
    if "crypt" in path:
        return {"content": "text", "headers": {"Content-Type": "text/plain"}}
    return {"json": {"b": 1}}


def check(document: Any, operation: Any, answer: Any) -> None:
    """Compare one answer with what the document says of its status."""
    described = operation["responses"].get(str(answer.status_code))
    assert described is not None, (operation["operationId"], answer.status_code, answer.text)
    if not answer.content:
        assert "content" not in described or answer.request.method == "HEAD"
        return
    media_type = answer.headers["content-type"]
    content = described["content"]
    schema = content[media_type if media_type in content else "*/*"]["schema"]
    components = {"components": document["components"]}
    is_json = media_type.split(";")[0].endswith("json")
    value = json.loads(answer.content) if is_json else answer.text
    jsonschema.validate(value, components | schema)


def test_every_operation_answers_as_described(client: Any) -> None:
    document = client.get("/config/_openapi.json").json()
    assert document["security"] == [{"shared": []}]
    seen: set[str] = set()
    for template, item in document["paths"].items():
        path = filled(template, client)
        for method, operation in item.items():
            seen.add(operation["operationId"])
            body = {} if method == "get" else body_of(path, method)
            for headers in HEADERS:
                auth = None if "Authorization" in headers else client.auth
                sent = body | {"headers": body.get("headers", {}) | headers}
                answer = client.request(method, path, auth=auth, **sent)
                check(document, operation, answer)
            answer = client.get(path)
            if method == "get":
                assert answer.status_code == 200
                tag = {"If-None-Match": answer.headers.get("etag", "*")}
                check(document, operation, client.get(path, headers=tag))
                assert ("304" in operation["responses"]) == ("etag" in answer.headers)
                check(document, operation, client.post(path))
            restored = {"If-None-Match": "*"}  # where it was removed
            client.put("/config/_bundles/orders/prod/main", json={"a": 1}, headers=restored)
    assert seen == {
        "openapi",
        "whoami",
        "listBundles",
        "changes",
        "readBundle",
        "writeBundle",
        "patchBundle",
        "deleteBundle",
        "listVersions",
        "readVersion",
        "rollbackBundle",
        "environment",
        "environmentAtLabel",
        "flattened",
        "flattenedAtLabel",
        "resource",
        "encryptionStatus",
        "publicKey",
        "publicKeyForApplication",
        "encrypt",
        "encryptForApplication",
        "decrypt",
        "decryptForApplication",
    }


def test_what_a_writer_needs_is_described(client: Any) -> None:
    document = client.get("/config/_openapi.json").json()
    put = document["paths"][PUT]["put"]
    path = "/config/_bundles/billing/prod/main"
    created = client.put(path, json={"a": 1}, headers={"If-None-Match": "*"})
    check(document, put, created)
    assert created.status_code == 201
    for body, status in ((b"", 422), (b"[1]", 422), (b"x" * 1_048_577, 413)):
        headers = {"If-Match": created.headers["etag"], "Content-Type": "application/json"}
        answer = client.put(path, content=body, headers=headers)
        assert answer.status_code == status
        check(document, put, answer)
    names = [parameter["name"] for parameter in put["parameters"]]
    assert names[:3] == ["application", "profile", "label"]
    assert names[3:] == ["If-Match", "If-None-Match", "X-Config-Message"]
