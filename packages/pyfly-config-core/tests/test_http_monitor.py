"""What a webhook does: stores are asked for a copy, and looked at soon."""

from collections.abc import Mapping
from typing import Any

import pytest
from live_stores import Application, ControlledStore, bundle, soon

from pyfly.config_core import BackendUnavailableError
from pyfly.config_server import (
    ConfigServer,
    Controller,
    HealthSettings,
    HttpRequest,
    InMemoryConfigBackend,
    LiveDocuments,
    Principal,
    Right,
    Rule,
    SharedCredential,
    WebhookSecret,
)
from pyfly.config_server.http.authentication import unauthorized
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.storage import SupportsChangeHints, SupportsRefetch
from pyfly.config_server.testing._wrapped import CompleteBackend

pytestmark = pytest.mark.anyio

SECRET = "a secret"
ORDERS = "/config/orders/prod"


def webhook(headers: Mapping[str, str] | None = None, body: bytes = b"{}") -> HttpRequest:
    async def read_body() -> bytes:
        return body

    given = {"content-type": "application/json", "x-gitlab-token": SECRET, **(headers or {})}
    return HttpRequest(
        method="POST",
        raw_path=b"/monitor",
        headers=[(name.encode(), value.encode()) for name, value in given.items()],
        read_body=read_body,
    )


def controller(*backends: Any, live: LiveDocuments | None = None, auth: Any = None) -> Controller:
    return Controller(
        live or ConfigServer(*backends),
        auth=auth,
        health=HealthSettings(),
        webhook_secret=WebhookSecret(SECRET),
    )


async def test_every_store_that_copies_is_asked() -> None:
    first, second = CompleteBackend(), CompleteBackend()
    front = controller(first, InMemoryConfigBackend(), second)
    assert (await front.handle(webhook())).body == b"[]"
    assert (first.refetches, second.refetches) == (1, 1)
    assert (await front.handle(webhook({"x-gitlab-token": "wrong"}))).status == 403
    assert (await front.handle(webhook(body=b"no json"))).status == 400
    assert (first.refetches, second.refetches) == (1, 1)


async def test_half_of_a_character_in_a_path_is_no_error() -> None:
    front = controller(InMemoryConfigBackend())
    named = await front.handle(webhook(body=rb'{"path": "a/\ud83d-dev.yml"}'))
    assert (named.status, named.body.decode()) == (200, '["\ufffd-dev","\ufffd"]')
    push = rb'{"commits": [{"added": ["orders\udc00.yml"]}, {"message": "\ud83d"}]}'
    pushed = await front.handle(webhook({"x-gitlab-event": "Push Hook"}, push))
    assert (pushed.status, pushed.body.decode()) == (200, '["orders\ufffd"]')


async def test_a_store_that_is_away_is_told_and_the_others_are_asked() -> None:
    class Away(CompleteBackend):
        async def refetch(self) -> None:
            raise BackendUnavailableError("away")

    other = CompleteBackend()
    answer = await controller(Away(), other).handle(webhook())
    assert answer.status == 503
    assert b"retry-after" in dict(answer.headers)
    assert other.refetches == 1


@pytest.mark.parametrize("is_copy", [True, False], ids=["copy", "no-copy"])
async def test_the_live_layer_looks_at_every_store_soon(is_copy: bool) -> None:
    behind = CompleteBackend()
    lacking = (SupportsChangeHints,) if is_copy else (SupportsChangeHints, SupportsRefetch)
    app = Application(ControlledStore(behind, lacking=lacking))
    await behind.save(bundle(n=1))
    first = await app.get(ORDERS)
    held = app.hold(ORDERS, first.tag)
    await app.held()
    await behind.save(bundle(n=2))
    assert (await app.get(ORDERS)).sources == [{"n": 1}]
    assert (await controller(live=app.live).handle(webhook())).status == 200
    assert (await soon(held)).sources == [{"n": 2}]
    assert behind.refetches == is_copy
    await app.aclose()


async def test_a_store_that_is_away_does_not_keep_the_others_from_being_looked_at() -> None:
    class Away(CompleteBackend):
        async def refetch(self) -> None:
            raise BackendUnavailableError("away")

    behind = InMemoryConfigBackend()
    app = Application(ControlledStore(behind), Away())
    await behind.save(bundle(n=1))
    first = await app.get(ORDERS)
    held = app.hold(ORDERS, first.tag)
    await app.held()
    await behind.save(bundle(n=2))
    assert (await controller(live=app.live).handle(webhook())).status == 503
    assert (await soon(held)).sources == [{"n": 2}]
    await app.aclose()


async def test_a_principal_needs_the_right_to_operate() -> None:
    class Rights:
        scheme = "bearer"

        def __init__(self, *rights: Right) -> None:
            self.principal = Principal(
                name="somebody", rules=tuple(Rule.everything({right}) for right in rights)
            )

        async def authenticate(self, request: HttpRequest) -> Principal:
            if request.header(b"authorization") is None:
                raise unauthorized(b"Bearer")
            return self.principal

    store = InMemoryConfigBackend()
    known, signed = {"authorization": "Bearer t", "x-gitlab-token": ""}, {"authorization": "Bearer"}
    for right in Right:
        answer = await controller(store, auth=Rights(right)).handle(webhook(known))
        assert (answer.status == 200) == (right is Right.OPERATE)
        assert (await controller(store, auth=Rights(right)).handle(webhook(signed))).status == 200
    assert (await controller(store, auth=Rights(*Right)).handle(webhook())).status == 200


async def test_an_authenticator_that_cannot_tell_is_an_error_of_the_server() -> None:
    class Gateway:
        scheme = "bearer"

        async def authenticate(self, request: HttpRequest) -> Principal:
            del request
            raise HttpError(503, "busy")

    front = controller(InMemoryConfigBackend(), auth=Gateway())
    assert (await front.handle(webhook())).status == 503


async def test_without_health_there_is_no_webhook() -> None:
    server = ConfigServer(InMemoryConfigBackend())
    front = Controller(server, auth=SharedCredential.bearer("t"))
    assert (await front.handle(webhook({"authorization": "Bearer t"}))).status == 404


@pytest.mark.parametrize("secret", ["", " ", "a ", "a\n", "\x00"], ids=ascii)
def test_a_secret_that_no_header_can_hold_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="give a secret"):
        WebhookSecret(secret)


def test_a_secret_is_not_shown() -> None:
    assert SECRET not in repr(WebhookSecret(SECRET))
