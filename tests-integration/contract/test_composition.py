"""Several stores, overrides, and what is done when something is not there."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import BASE_PROFILE, MEDIA_TYPE_V2, BackendUnavailableError
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    ServerOptions,
)
from pyfly.config_server.files import SpringLayout

pytestmark = pytest.mark.anyio

OVERRIDES = {"k": "v", "t": "\\${x}", "u": "\\{y}", "w": "${z}"}
UNESCAPED = {"k": "v", "t": "${x}", "u": "{y}", "w": "${z}"}


class Failing(InMemoryConfigBackend):
    """A store whose every answer is an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def fetch_many(self, keys: Any) -> Any:
        raise self.error

    async def check(self) -> None:
        raise self.error


async def memory(**bundles: dict[str, Any]) -> InMemoryConfigBackend:
    """Return a store of bundles named `application_profile`."""
    backend = InMemoryConfigBackend()
    for name, properties in bundles.items():
        application, _, profile = name.partition("_")
        await backend.save(
            ConfigSource(application=application, profile=profile, properties=properties)
        )
    return backend


@pytest.mark.case(9)
async def test_nothing_stored_may_be_refused(root: Path, serve: Callable[..., Any]) -> None:
    (root / "bare").mkdir()
    ask = serve(FilesystemConfigBackend(root), accept_empty=False, overrides=OVERRIDES)
    answer = await ask("/config/orders/prod/bare")
    assert answer.status == 404
    assert answer.json["message"] == "configuration of 'orders' does not exist"


async def test_documents_of_one_store_may_name_a_version(serve: Callable[..., Any]) -> None:
    backend = await memory(orders_prod={"a": 1})
    assert (await serve(backend)("/config/orders/prod")).json["version"] is None
    assert (await serve(backend, version="3f2a")("/config/orders/prod")).json["version"] == "3f2a"
    two = serve(backend, await memory(), version="3f2a")
    assert (await two("/config/orders/prod")).json["version"] is None


@pytest.mark.case(16)
async def test_an_unknown_label_among_several(
    fx_a: None, root: Path, serve: Callable[..., Any]
) -> None:
    backend = FilesystemConfigBackend(root)
    strict, lenient = serve(backend), serve(backend, continue_on_label_failure=True)
    assert (await strict("/config/orders/prod/main,nolabel")).status == 404
    for labels in ("main,nolabel", "nolabel,main"):
        answer = await lenient(f"/config/orders/prod/{labels}")
        alone = await lenient("/config/orders/prod/main")
        assert answer.json["propertySources"] == alone.json["propertySources"]
    for labels in ("nolabel", "nolabel,neither"):
        assert (await lenient(f"/config/orders/prod/{labels}")).status == 404


@pytest.mark.case(30)
async def test_overrides_come_first(serve: Callable[..., Any]) -> None:
    backend = await memory(orders_prod={"a": 1})
    answer = await serve(backend, overrides=OVERRIDES)("/config/orders/prod")
    assert answer.names == ["overrides", "orders-prod"]
    assert answer.json["propertySources"][0]["source"] == UNESCAPED
    assert (await serve(backend, overrides={})("/config/orders/prod")).names == ["orders-prod"]
    nothing = await serve(backend, overrides=OVERRIDES)("/config/none/dev")
    assert nothing.names == ["overrides"]


@pytest.mark.case(39)
async def test_overrides_name_their_origin(serve: Callable[..., Any]) -> None:
    ask = serve(await memory(orders_prod={"a": 1}), overrides={"k": "v"})
    answer = await ask("/config/orders/prod", headers={"Accept": MEDIA_TYPE_V2})
    assert answer.headers["content-type"] == MEDIA_TYPE_V2
    overrides, stored = answer.json["propertySources"]
    assert overrides["source"] == {"k": {"value": "v", "origin": "Config server overrides"}}
    assert stored["source"] == {"a": 1}


@pytest.mark.case(31)
async def test_the_sources_of_the_first_store_come_first(serve: Callable[..., Any]) -> None:
    first = await memory(orders_prod={"a": 1}, application_default={"b": 1})
    second = await memory(orders_prod={"a": 2}, orders_default={"c": 2})
    answer = await serve(first, second)("/config/orders/prod")
    assert [(s["name"], s["source"]) for s in answer.json["propertySources"]] == [
        ("main/orders-prod", {"a": 1}),
        ("main/application-default", {"b": 1}),
        ("main/orders-prod (store #1)", {"a": 2}),
        ("main/orders-default (store #1)", {"c": 2}),
    ]
    assert (answer.json["version"], answer.json["state"]) == (None, None)


async def test_every_store_has_its_own_rule_for_the_default_profile(
    root: Path, serve: Callable[..., Any]
) -> None:
    for name in ("orders", "orders-default", "orders-prod"):
        (root / f"{name}.yml").write_text(f"who: {name}\n", encoding="utf-8")
    flat = FilesystemConfigBackend(root, layout=SpringLayout())
    other = await memory(orders_prod={"a": 1}, orders_default={"a": 2})
    ask = serve(flat, other)
    assert (await ask("/config/orders/prod")).names == [
        "orders-prod.yml",
        "orders.yml",
        "orders-prod (store #1)",
        "orders-default (store #1)",
    ]
    assert (await ask("/config/orders/default,prod")).names == [
        "orders-prod.yml",
        "orders-default.yml",
        "orders.yml",
        "orders-prod (store #1)",
        "orders-default (store #1)",
    ]
    assert (await serve(other, flat)("/config/orders/prod")).names == [
        "orders-prod",
        "orders-default",
        "orders-prod.yml (store #1)",
        "orders.yml (store #1)",
    ]


async def test_a_store_says_whether_the_default_profile_is_for_every_profile(
    serve: Callable[..., Any],
) -> None:
    class AsSpring(InMemoryConfigBackend):
        default_is_base = False

    backend = AsSpring()
    await backend.save(ConfigSource(application="orders", profile="default", properties={"a": 1}))
    assert (await serve(backend)("/config/orders/prod")).names == []
    assert (await serve(backend)("/config/orders/default")).names == ["orders-default"]


async def test_different_bundles_of_one_name_all_count(serve: Callable[..., Any]) -> None:
    backend = InMemoryConfigBackend()
    for application, profile in (("a", "b-c"), ("a-b", "c"), ("a", "b")):
        await backend.save(
            ConfigSource(application=application, profile=profile, properties={profile: 1})
        )
    base = ConfigSource(application="a-b", profile=BASE_PROFILE, properties={"base": 1})
    await backend.save(base)
    answer = await serve(backend)("/config/a,a-b/b,c,b-c")
    assert [(s["name"], s["source"]) for s in answer.json["propertySources"]] == [
        ("main/a-b-c (a/b-c/main)", {"b-c": 1}),
        ("main/a-b-c", {"c": 1}),
        ("main/a-b (a/b/main)", {"b": 1}),
        ("main/a-b", {"base": 1}),
    ]


@pytest.mark.case(32)
async def test_a_failing_store_fails_the_request(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    good = await memory(orders_prod={"a": 1})
    failures = [BackendUnavailableError("gone"), RuntimeError("password=hunter2")]
    for error, status in zip(failures, (503, 500), strict=True):
        assert (await serve(good, Failing(error))("/config/orders/prod")).status == status
        lenient = serve(Failing(error), good, fail_on_composite_error=False)
        with caplog.at_level(logging.ERROR):
            answer = await lenient("/config/orders/prod")
        assert (answer.status, len(answer.json["propertySources"])) == (200, 1)
        assert "left out: Failing" in caplog.text
        both = serve(Failing(error), Failing(error), fail_on_composite_error=False)
        assert (await both("/config/orders/prod")).status == status
    assert "hunter2" not in caplog.text


async def test_a_label_exists_when_one_store_has_it(
    fx_a: None, root: Path, serve: Callable[..., Any]
) -> None:
    ask = serve(await memory(orders_prod={"a": 1}), FilesystemConfigBackend(root))
    assert (await ask("/config/orders/default/feature(_)x")).json["propertySources"] == [
        {"name": "feature/x/orders-default.yaml (store #1)", "source": {"who": "feature"}}
    ]
    assert (await ask("/config/orders/default/nolabel")).status == 404


async def test_writes_go_to_the_first_store_that_can_save_conditionally() -> None:
    class ThreeMethods:
        fetch = InMemoryConfigBackend.fetch
        save = InMemoryConfigBackend.save
        list = InMemoryConfigBackend.list

    first: Any = ThreeMethods()
    second, third = InMemoryConfigBackend(), InMemoryConfigBackend()
    server = ConfigServer(first, second, third)
    await server.save("orders", "prod", {"a": 1})
    assert len(await second.list()) == 1
    assert await third.list() == []


async def test_readiness_counts_the_stores_that_are_needed() -> None:
    good, failing = InMemoryConfigBackend(), Failing(BackendUnavailableError("gone"))
    with pytest.raises(BackendUnavailableError, match="gone"):
        await ConfigServer(good, failing).check()
    await ConfigServer(failing, good, options=ServerOptions(fail_on_composite_error=False)).check()
    with pytest.raises(BackendUnavailableError, match="gone"):
        await ConfigServer(
            failing, failing, options=ServerOptions(fail_on_composite_error=False)
        ).check()


async def test_every_store_is_closed() -> None:
    one, other = InMemoryConfigBackend(), InMemoryConfigBackend()
    server = ConfigServer(one, other)
    await server.aclose()
    await server.aclose()
    for backend in (one, other):
        with pytest.raises(BackendUnavailableError, match="closed"):
            await backend.list()
