"""Walks over all endpoints: each one is declared completely, and its declaration is kept."""

import base64
import importlib
import inspect
import pkgutil
import re
from dataclasses import replace
from typing import Any

import pytest

from pyfly.config_server import (
    Authenticator,
    ConfigServer,
    Controller,
    HealthSettings,
    HostPolicy,
    HttpError,
    HttpRequest,
    HttpResponse,
    InMemoryConfigBackend,
    Principal,
    Right,
    Rule,
    SharedCredential,
)
from pyfly.config_server.http import endpoints
from pyfly.config_server.http.authentication import unauthorized
from pyfly.config_server.http.authorization import server_right
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.document_handler import DocumentHandler
from pyfly.config_server.http.endpoint import Audience, Endpoint, Result, Root
from pyfly.config_server.http.endpoints import ENDPOINTS
from pyfly.config_server.http.openapi import openapi_document
from pyfly.config_server.http.parameters import LIMIT, NAME
from pyfly.config_server.http.responses import JSON, json_response
from pyfly.config_server.http.schemas import TEXT_SCHEMA, Schema, object_of
from pyfly.config_server.http.version_message import version_message

pytestmark = pytest.mark.anyio

ACCESS = {
    "openapi": Audience.ANY_PRINCIPAL,
    "whoami": Audience.ANY_PRINCIPAL,
    "live": Audience.PUBLIC,
    "ready": Audience.PUBLIC,
    "springHealth": Audience.PUBLIC,
    "metrics": Right.OPERATE,
    "monitor": Audience.WEBHOOK,
    "listBundles": Right.INSPECT,
    "changes": Right.INSPECT,
    "readBundle": Right.INSPECT,
    "writeBundle": Right.WRITE,
    "patchBundle": Right.WRITE,
    "deleteBundle": Right.WRITE,
    "listVersions": Right.INSPECT,
    "readVersion": Right.INSPECT,
    "rollbackBundle": Right.WRITE,
    "encryptionStatus": Right.ENCRYPT,
    "publicKey": Right.ENCRYPT,
    "publicKeyForApplication": Right.ENCRYPT,
    "encrypt": Right.ENCRYPT,
    "encryptForApplication": Right.ENCRYPT,
    "decrypt": Right.DECRYPT,
    "decryptForApplication": Right.DECRYPT,
    "flattened": Right.READ,
    "flattenedAtLabel": Right.READ,
    "resource": Right.FILES,
    "resourceAtDefaultLabel": Right.FILES,
    "environment": Right.READ,
    "environmentAtLabel": Right.READ,
}
WORDS = {
    "extension": "yml",
    "path": "one.txt",
    "version": "1",
    "profiles": "prod",
    "profile": "prod",
    "label": "main",
}
each = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.id)
each_with_a_right = pytest.mark.parametrize(
    "endpoint",
    [one for one in ENDPOINTS if isinstance(one.access, Right)],
    ids=lambda endpoint: endpoint.id,
)


class Rights:
    """Knows one principal, who has these rights."""

    scheme = "bearer"

    def __init__(self, *rights: Right) -> None:
        self.principal = Principal(
            name="somebody", rules=tuple(Rule.everything({right}) for right in rights)
        )

    async def authenticate(self, request: HttpRequest) -> Principal:
        if request.header(b"authorization") != b"Bearer t":
            raise unauthorized(b"Bearer")
        return self.principal


def request_of(endpoint: Endpoint, **more: Any) -> HttpRequest:
    path = re.sub(r"\{(\w+)\}", lambda found: WORDS.get(found[1], "orders"), endpoint.path)
    prefix = "/config" if endpoint.root is Root.BASE_PATH else ""
    query = (endpoint.selector or "").encode()
    more = {"headers": [(b"authorization", b"Bearer t"), (b"host", b"localhost")]} | more
    return HttpRequest(
        method=more.pop("method", endpoint.method),
        raw_path=(prefix + path).encode(),
        query=query,
        **more,
    )


async def status(endpoint: Endpoint, auth: Authenticator | None, **more: Any) -> int:
    controller = Controller(
        ConfigServer(InMemoryConfigBackend()), auth=auth, health=HealthSettings()
    )
    return (await controller.handle(request_of(endpoint, **more))).status


# --- declarations -------------------------------------------------------------------------


def test_every_endpoint_says_which_right_it_needs() -> None:
    """A new endpoint is added here on purpose: nobody opens a route by accident."""
    assert {one.id: one.access for one in ENDPOINTS} == ACCESS
    without: Any = {"id": "x", "path": "/x", "handler": None, "summary": "", "results": ()}
    with pytest.raises(TypeError, match="access"):
        Endpoint(**without)
    with pytest.raises(TypeError, match="needs a check"):
        Endpoint(**without, access=Right.READ)


def test_every_module_of_endpoints_is_in_the_list() -> None:
    found: list[Endpoint] = []
    for module in pkgutil.iter_modules(endpoints.__path__):
        found += importlib.import_module(f"{endpoints.__name__}.{module.name}").ENDPOINTS
    assert sorted(one.id for one in found) == sorted(one.id for one in ENDPOINTS)
    assert len({one.id for one in ENDPOINTS}) == len(ENDPOINTS)


@each
def test_an_endpoint_is_described(endpoint: Endpoint) -> None:
    in_path = [one.name for one in endpoint.parameters if one.place == "path"]
    assert in_path == re.findall(r"\{(\w+)\}", endpoint.path)
    assert endpoint.summary.endswith(".")
    assert endpoint.results
    is_document = isinstance(endpoint.handler, DocumentHandler)
    assert is_document or inspect.iscoroutinefunction(endpoint.handler)
    names = [(one.place, one.name) for one in endpoint.parameters]
    assert len(set(names)) == len(names)
    assert (endpoint.body is not None) == (endpoint.method in {"PUT", "PATCH", "POST"})


# --- authentication and authorisation -----------------------------------------------------


@each
async def test_nobody_gets_in_without_a_credential_but_to_what_is_public(
    endpoint: Endpoint,
) -> None:
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"):
        got = await status(endpoint, Rights(*Right), method=method, headers=[])
        if endpoint.access is Audience.PUBLIC:
            assert got in {200, 405}
        elif endpoint.access is Audience.WEBHOOK:
            assert got == {"POST": 403, "OPTIONS": 200}.get(method, 405)
        else:
            assert got == 401


@each_with_a_right
async def test_the_right_of_an_endpoint_opens_it_and_no_other_does(endpoint: Endpoint) -> None:
    for right in Right:
        got = await status(endpoint, Rights(right))
        assert (got == 403) == (right is not endpoint.access), right
    assert await status(endpoint, Rights()) == 403


async def test_what_needs_any_principal_needs_no_right() -> None:
    for endpoint in ENDPOINTS:
        if endpoint.access is Audience.ANY_PRINCIPAL:
            assert await status(endpoint, Rights()) == 200


@each_with_a_right
async def test_without_authentication_everything_but_writing_is_open(endpoint: Endpoint) -> None:
    got = await status(endpoint, None)
    assert (got == 403) == (endpoint.access is Right.WRITE)


@each
async def test_the_shared_credential_has_every_right(endpoint: Endpoint) -> None:
    assert await status(endpoint, SharedCredential.bearer("t")) not in {401, 403}


@each
async def test_names_are_checked_everywhere_but_for_what_is_public(endpoint: Endpoint) -> None:
    server = ConfigServer(InMemoryConfigBackend())
    controller = Controller(server, auth=None, hosts=HostPolicy(), health=HealthSettings())
    got = await controller.handle(request_of(endpoint, headers=[(b"host", b"evil.example")]))
    if endpoint.access is Audience.WEBHOOK:  # which refuses everything but signed requests
        assert got.status == 403
    else:
        assert (got.status == 421) == (endpoint.access is not Audience.PUBLIC)


async def test_an_authenticator_of_the_application_decides() -> None:
    class Gateway:
        scheme = "bearer"

        async def authenticate(self, request: HttpRequest) -> Principal:
            name = request.header(b"x-user")
            if name is None:
                raise HttpError(401, "unauthorized", headers=((b"www-authenticate", b"Gateway"),))
            return Principal(name=name.decode(), rules=(Rule.everything({Right.READ}),))

    assert isinstance(Gateway(), Authenticator)
    controller = Controller(ConfigServer(InMemoryConfigBackend()), auth=Gateway())
    asked = HttpRequest(method="GET", raw_path=b"/config/orders/prod")
    refused = await controller.handle(asked)
    assert (refused.status, dict(refused.headers)[b"www-authenticate"]) == (401, b"Gateway")
    known = replace(asked, headers=((b"x-user", b"ada"),))
    assert (await controller.handle(known)).status == 200
    assert (await controller.handle(replace(known, raw_path=b"/config/_bundles"))).status == 403


async def test_an_authenticator_that_fails_lets_nobody_in() -> None:
    class Broken:
        scheme = "bearer"

        async def authenticate(self, request: HttpRequest) -> Principal:
            raise RuntimeError("password=hunter2")

    controller = Controller(ConfigServer(InMemoryConfigBackend()), auth=Broken())
    answer = await controller.handle(HttpRequest(method="GET", raw_path=b"/config/orders/prod"))
    assert answer.status == 500
    assert b"hunter2" not in answer.body


@pytest.mark.parametrize(
    "credential",
    [("", "x"), ("a:b", "x"), ("a", ""), ("a" * 257, "x"), ("a\nb", "x"), ("a\x00", "x")],
)
def test_a_credential_that_cannot_be_is_refused(credential: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="user name"):
        SharedCredential.basic(username=credential[0], password=credential[1])


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_header_that_was_accepted_opens_for_no_other(scheme: str) -> None:
    if scheme == "basic":
        auth = SharedCredential.basic(username="ada", password="secret")
        payload = base64.b64encode(b"ada:secret")
    else:
        auth, payload = SharedCredential.bearer("secret"), b"secret"
    right = scheme.encode() + b" " + payload
    spellings = [right, right.upper().replace(payload.upper(), payload), b" " * 3 + right]
    spellings += [right + b" " * number for number in range(200)]
    wrong = [b"", b" ", right[:-1], right + b"x", right.swapcase(), right.replace(b" ", b"  x ")]
    for _ in range(2):
        assert all(auth.admits(one) for one in spellings)
        assert not any(auth.admits(one) for one in (*wrong, None))


@pytest.mark.parametrize("value", [b"%00", b"%1B[31m", b"%7F", b"%C2%9B31m", b"%ff", b"%", b"\xe9"])
def test_a_message_that_could_drive_a_terminal_is_refused(value: bytes) -> None:
    request = HttpRequest(method="PUT", raw_path=b"/", headers=((b"x-config-message", value),))
    with pytest.raises(HttpError, match="X-Config-Message"):
        version_message(request)


# --- methods and parameters ---------------------------------------------------------------


@each
async def test_options_and_405_tell_the_methods_that_are_answered(endpoint: Endpoint) -> None:
    controller = Controller(
        ConfigServer(InMemoryConfigBackend()),
        auth=SharedCredential.bearer("t"),
        health=HealthSettings(),
    )
    listed = await controller.handle(request_of(endpoint, method="OPTIONS"))
    allow = dict(listed.headers)[b"allow"].decode().split(", ")
    assert listed.status == 200
    assert {*endpoint.methods, "OPTIONS"} <= {*allow}
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "PROPFIND", "X"):
        answer = await controller.handle(request_of(endpoint, method=method))
        assert (answer.status == 405) == (method not in allow), method
        if answer.status == 405:
            assert dict(answer.headers)[b"allow"].decode().split(", ") == allow


@each
async def test_our_own_routes_refuse_parameters_that_they_do_not_have(endpoint: Endpoint) -> None:
    controller = Controller(
        ConfigServer(InMemoryConfigBackend()), auth=None, health=HealthSettings()
    )
    request = request_of(endpoint)
    query = b"&".join(part for part in (request.query, b"nonsense=1") if part)
    answer = await controller.handle(replace(request, query=query))
    refused = endpoint.is_own and endpoint.access is not Right.WRITE
    assert (answer.status == 400 and b"nonsense" in answer.body) == refused


# --- a new endpoint -----------------------------------------------------------------------


async def test_a_new_endpoint_is_one_value() -> None:
    count = Schema(name="Count", document=object_of(("limit",), limit={"type": "integer"}))

    async def answer(context: RequestContext) -> HttpResponse:
        document = {"name": context.parameters["name"], "limit": context.value(LIMIT, 7)}
        return json_response(document, status=200)

    added = Endpoint(
        id="count",
        path="/_count/{name}",
        access=Right.OPERATE,
        check=server_right,
        handler=answer,
        summary="Counts.",
        parameters=(NAME, LIMIT),
        results=(Result(status=200, description="The count.", content={JSON: count}),),
    )
    server = ConfigServer(InMemoryConfigBackend())

    async def ask(query: bytes = b"", *, auth: Authenticator | None = None) -> HttpResponse:
        controller = Controller(server, auth=auth, endpoints=(added, *ENDPOINTS))
        request = HttpRequest(
            method="GET",
            raw_path=b"/config/_count/orders",
            query=query,
            headers=((b"authorization", b"Bearer t"),),
        )
        return await controller.handle(request)

    assert (await ask()).body == b'{"name":"orders","limit":7}'
    assert (await ask(b"limit=3")).body == b'{"name":"orders","limit":3}'
    for query in (b"limit=0", b"limit=1&limit=2", b"x=1", b"limit=%FF"):
        assert (await ask(query)).status == 400
    assert (await ask(auth=Rights(Right.READ))).status == 403
    assert (await ask(auth=Rights(Right.OPERATE))).status == 200
    document: Any = openapi_document((added,), base_path="", scheme="bearer")
    described = document["paths"]["/_count/{name}"]["get"]
    assert [one["name"] for one in described["parameters"]] == ["name", "limit"]
    assert sorted(described["responses"]) == ["200", "400", "401", "403", "405", "414"]
    assert set(document["components"]["schemas"]) == {"Count", "Problem"}
    assert TEXT_SCHEMA in [one["schema"] for one in described["parameters"]]
