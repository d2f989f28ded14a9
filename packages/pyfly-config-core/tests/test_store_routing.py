"""Several stores by pattern: one of them serves each request as a whole."""

import json
import re
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_stores import Application, ControlledStore, until

from pyfly.config_core import (
    ConfigKey,
    InvalidConfigKeyError,
    UnsupportedOperationError,
)
from pyfly.config_server import (
    Bundles,
    ConfigServer,
    ConfigSource,
    Controller,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    RoutingBackend,
    ServerOptions,
    SharedCredential,
    StoreRoute,
)
from pyfly.config_server.http.messages import HttpRequest
from pyfly.config_server.storage import (
    ABSENT,
    ConfigBackend,
    SupportsClose,
    SupportsConditionalSave,
    SupportsHistory,
    SupportsKeys,
    SupportsLabels,
    ability,
)
from pyfly.config_server.testing import (
    BackendConformance,
    BaseBundlesConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    HistoryConformance,
    KeysConformance,
)

pytestmark = pytest.mark.anyio


def routing(*patterns: tuple[str, ...], main: ConfigBackend | None = None) -> RoutingBackend:
    return RoutingBackend(
        main or InMemoryConfigBackend(),
        [StoreRoute(backend=InMemoryConfigBackend(), applications=one) for one in patterns],
    )


def get_request(target: str) -> HttpRequest:
    path, _, query = target.partition("?")
    return HttpRequest(method="GET", raw_path=f"/config/{path}".encode(), query=query.encode())


def bundle(application: str, properties: Any, profile: str = "prod") -> ConfigSource:
    return ConfigSource(application=application, profile=profile, properties=properties)


class TestRouting(
    BackendConformance,
    KeysConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    HistoryConformance,
    BaseBundlesConformance,
    CloseConformance,
):
    """As a store it is one like any other, wherever its bundles are."""

    @pytest.fixture
    def backend(self) -> RoutingBackend:
        return routing(("a*", "*x*"), ("orders", "*s"))


# --- patterns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        ([("orders*", "orders-eu")], "'orders-eu' never decides"),
        ([("orders*",), ("orders*",)], "'orders*' never decides"),
        ([("*a*",), ("b*a",)], "'b*a' never decides"),
        ([("a*b*c",), ("a*b*b*c",)], "never decides"),
        ([("*",)], "main"),
        ([("**",)], "main"),
        ([()], "needs a pattern"),
        ([("orders/prod",)], "profiles have no patterns"),
        ([("orders,billing",)], "not a name"),
        ([("order?",)], "not a name"),
        ([("{application}",)], "not a name"),
        ([("",)], "not a name"),
        ([("a" * 129,)], "not a name"),
        ([], "use the store itself"),
    ],
)
def test_patterns_that_mean_nothing_are_refused(patterns: list[Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        routing(*patterns)


def test_a_routing_store_cannot_be_one_of_another() -> None:
    with pytest.raises(ValueError, match="cannot be one, too"):
        routing(("a",), main=routing(("b",)))


def test_patterns_that_overlap_are_told() -> None:
    store = routing(("orders*", "b"), ("*-eu", "bill*"), ("x",))
    assert store.overlaps() == [("orders*", "*-eu")]
    assert routing(("a*b",), ("b*a",)).overlaps() == []
    assert routing(("a*",), ("*a",)).overlaps() == [("a*", "*a")]


_LETTERS = st.text(alphabet="ab", max_size=5)
_PATTERNS = st.text(alphabet="ab*", min_size=1, max_size=5).filter(lambda text: text.strip("*"))


@given(one=_PATTERNS, other=_PATTERNS, name=_LETTERS)
def test_patterns_match_as_file_names_do(one: str, other: str, name: str) -> None:
    assert (routing((one,)).position_of(name) == 0) == fnmatchcase(name, one)
    try:
        store = routing((one,), (other,))
    except ValueError:  # the second never decides
        assert not fnmatchcase(name, other) or fnmatchcase(name, one)
        return
    expected = 0 if fnmatchcase(name, one) else 1 if fnmatchcase(name, other) else 2
    assert store.position_of(name) == expected
    if fnmatchcase(name, one) and fnmatchcase(name, other):
        assert store.overlaps() == [(one, other)]


def test_a_pattern_takes_linear_time() -> None:
    store = routing(("*a" * 60 + "*b",))
    assert store.position_of("a" * 128) == 1
    assert store.position_of("a" * 127 + "b") == 0


# --- the store --------------------------------------------------------------------------------


async def test_bundles_are_where_their_application_belongs() -> None:
    store = routing(("orders*",), ("billing",))
    orders, billing, main = store.stores
    for name in ("other", "orders", "billing", "orders-eu", "application"):
        await store.save(bundle(name, {"of": name}))
    assert [source.application for source in await orders.list()] == ["orders", "orders-eu"]
    assert [source.application for source in await billing.list()] == ["billing"]
    assert [source.application for source in await main.list()] == ["application", "other"]
    await orders.save(bundle("application", {"of": "orders"}))  # shared, for orders only
    await main.save(bundle("orders", {"of": "nobody"}))  # no request finds it
    names = ["application", "billing", "orders", "orders-eu", "other"]
    assert [entry.key.application async for entry in Bundles(store).entries()] == names
    assert sorted(source.application for source in await store.list()) == names
    after = ConfigKey(application="orders", profile="prod")
    rest = [entry.key.application async for entry in Bundles(store).entries(after=after)]
    assert rest == ["orders-eu", "other"]
    found = await store.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"of": "orders"}


async def test_what_one_store_lacks_is_refused_there_only() -> None:
    class ThreeMethods:
        async def fetch(
            self, application: str, profile: str, label: str = "main"
        ) -> ConfigSource | None:
            return None

        async def save(self, source: ConfigSource) -> None:
            raise AssertionError("never called")

        async def list(self) -> list[ConfigSource]:
            return [bundle("other", {})]

    store = routing(("orders",), main=ThreeMethods())
    assert ability(store, SupportsConditionalSave) is store
    assert ability(store, SupportsHistory) is store
    assert ability(store, SupportsClose) is store
    assert ability(store, SupportsKeys) is None
    assert ability(store, SupportsLabels) is None
    assert ability(routing(("a",)), SupportsKeys) is not None
    await Bundles(store).commit(bundle("orders", {}), expected=ABSENT)
    with pytest.raises(UnsupportedOperationError, match="ThreeMethods does not support cond"):
        await Bundles(store).commit(bundle("other", {}), expected=ABSENT)
    with pytest.raises(UnsupportedOperationError, match="ThreeMethods does not support history"):
        await Bundles(store).history(ConfigKey(application="other", profile="prod"))
    names = [entry.key.application async for entry in Bundles(store).entries()]
    assert names == ["orders", "other"]


# --- requests ---------------------------------------------------------------------------------


async def filled(*further: ConfigBackend, **options: Any) -> ConfigServer:
    """Two stores, each with `orders`, `other` and shared bundles."""
    store = routing(("orders*",))
    for number, one in enumerate(store.stores):
        for application in ("orders", "orders-eu", "other", "application"):
            await one.save(bundle(application, {"store": number, application: number}))
        assert isinstance(one, InMemoryConfigBackend)
        one.put_resource("main", f"only-{number}.txt", b"x")
        one.put_resource("main", "both.txt", f"store {number}".encode())
    return ConfigServer(store, *further, options=ServerOptions(**options))


def sources(document: Any) -> list[tuple[str, Any]]:
    return [(one["name"], one["source"]) for one in document["propertySources"]]


async def test_the_first_match_serves_the_whole_request() -> None:
    server = await filled()
    for application, store in (("orders", 0), ("orders-eu", 0), ("other", 1)):
        document = await server.fetch(application, "prod")
        assert sources(document) == [
            (f"main/{application}-prod", {"store": store, application: store}),
            ("main/application-prod", {"store": store, "application": store}),
        ]
        composition = await server.compose(application, "prod")
        assert [one.store for one in composition.inputs] == [store]
        resource = await server.compose_resource(application, "prod", None, "both.txt")
        assert resource.resource is not None
        assert resource.resource.content == f"store {store}".encode()
        assert [one.store for one in resource.inputs] == [store]
        other = f"only-{1 - store}.txt"
        assert (await server.compose_resource(application, "prod", None, other)).resource is None
    assert sources(await server.fetch("application", "prod")) == [
        ("main/application-prod", {"store": 1, "application": 1})
    ]


async def test_applications_of_different_stores_are_not_mixed() -> None:
    server = await filled()
    for names in ("orders,orders-eu", "application,orders", "orders,application"):
        found = sources(await server.fetch(names, "prod"))
        assert {source["store"] for _, source in found} == {0}, names
    for names in ("orders,other", "other,application,orders"):
        with pytest.raises(InvalidConfigKeyError, match="different stores"):
            await server.fetch(names, "prod")
        with pytest.raises(InvalidConfigKeyError, match="different stores"):
            await server.compose_resource(names, "prod", None, "both.txt")


async def test_another_name_may_be_the_shared_application() -> None:
    server = await filled(default_application_name="other")
    assert {source["store"] for _, source in sources(await server.fetch("other,orders"))} <= {0}
    with pytest.raises(InvalidConfigKeyError, match="different stores"):
        await server.fetch("application,orders")


async def test_further_stores_of_a_server_count_for_all() -> None:
    last = InMemoryConfigBackend()
    await last.save(bundle("application", {"last": True}))
    server = await filled(last)
    assert len(server.backends) == 3
    for application, store in (("orders", 0), ("other", 1)):
        composition = await server.compose(application, "prod")
        names = [one.name for one in composition.environment.property_sources]
        assert names[-1] == "main/application-prod (store #1)"
        assert [one.store for one in composition.inputs] == [store, 2]
        assert composition.environment.version is None
    assert (await (await filled()).compose("orders", "prod")).environment.version is None


async def test_a_label_must_exist_in_the_store_of_the_request() -> None:
    server = await filled()
    orders = server.backends[0]
    await orders.save(
        ConfigSource(application="orders", profile="prod", label="next", properties={"n": 1})
    )
    assert sources(await server.fetch("orders", "prod", "next"))
    with pytest.raises(LookupError, match="label 'next'"):
        await server.fetch("other", "prod", "next")


async def test_bundles_are_listed_and_written_over_http_in_their_stores() -> None:
    server = await filled()
    controller = Controller(server, auth=SharedCredential.bearer("t"))

    async def send(method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"authorization": "Bearer t", "content-type": "application/json"} | headers

        async def read_body() -> bytes:
            return json.dumps(body).encode()

        request = HttpRequest(
            method=method,
            raw_path=f"/config/{path}".encode(),
            headers=tuple((k.replace("_", "-").encode(), v.encode()) for k, v in sent.items()),
            read_body=read_body,
        )
        return await controller.handle(request)

    listed = json.loads((await send("GET", "_bundles")).body)["bundles"]
    assert [one["application"] for one in listed] == ["application", "orders", "orders-eu", "other"]
    written = await send("PUT", "_bundles/orders/prod/main", {"new": 1}, if_match="*")
    assert written.status == 200
    stored = [await one.fetch("orders", "prod") for one in server.backends]
    assert stored[0] is not None
    assert stored[1] is not None
    assert (stored[0].properties, stored[1].properties["orders"]) == ({"new": 1}, 1)
    assert (await send("GET", "_bundles/orders/prod/main/history")).status == 200
    assert (await send("DELETE", "_bundles/orders/prod/main", if_match="*")).status == 204
    assert (await send("GET", "orders,other/prod")).status == 400
    assert sources(json.loads((await send("GET", "orders/prod")).body))[0][1]["store"] == 0


async def test_the_changes_of_eighty_stores_have_one_cursor(tmp_path: Path) -> None:
    stores: list[FilesystemConfigBackend] = []
    for number in range(80):
        (tmp_path / f"{number}" / "main").mkdir(parents=True)
        stores.append(FilesystemConfigBackend(tmp_path / f"{number}"))
    routes = [
        StoreRoute(backend=store, applications=(f"app{number}",))
        for number, store in enumerate(stores[:-1])
    ]
    server = ConfigServer(RoutingBackend(stores[-1], routes))
    controller = Controller(server, auth=None)
    cursor = json.loads((await controller.handle(get_request("_changes"))).body)["cursor"]
    (tmp_path / "70" / "main" / "app70-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    answer = await controller.handle(get_request(f"_changes?cursor={cursor}"))
    assert answer.status == 200
    assert {"kind": "bundle", "application": "app70", "profile": "prod", "label": "main"} in (
        json.loads(answer.body)["changes"]
    )
    await server.aclose()


# --- live -------------------------------------------------------------------------------------


ORDERS, OTHER = "/config/orders/prod", "/config/other/prod"


class Stores:
    """A server with two stores by pattern, both under control."""

    def __init__(self) -> None:
        self.orders, self.main = ControlledStore(), ControlledStore()
        route = StoreRoute(backend=self.orders, applications=("orders*",))
        self.app = Application(RoutingBackend(self.main, [route]))

    async def put(self, store: ControlledStore, application: str, number: int) -> None:
        await store.wrapped.save(bundle(application, {"n": number}))


@pytest.fixture
async def stores() -> AsyncIterator[Stores]:
    made = Stores()
    for store in (made.orders, made.main):
        for application in ("orders", "other"):
            await made.put(store, application, 1)
    made.app.live.start()
    await made.app.look()
    for target in (ORDERS, OTHER):
        for _ in range(2):
            assert (await made.app.get(target)).sources == [{"n": 1}]
    yield made
    await made.app.aclose()


async def test_a_change_touches_the_answers_of_its_store_only(stores: Stores) -> None:
    rendered = stores.app.live.counters.rendered
    await stores.put(stores.main, "orders", 2)  # of the store that does not serve it
    await stores.app.look()
    assert (await stores.app.get(ORDERS)).sources == [{"n": 1}]
    assert stores.app.live.counters.rendered == rendered
    await stores.put(stores.orders, "orders", 3)
    await stores.app.look()
    assert (await stores.app.get(ORDERS)).sources == [{"n": 3}]
    assert (await stores.app.get(OTHER)).sources == [{"n": 1}]
    assert stores.app.live.counters.rendered == rendered + 1


async def test_a_store_that_is_away_concerns_its_applications_only(stores: Stores) -> None:
    stores.orders.take_away()
    await stores.app.look()
    stale = await stores.app.get(ORDERS)
    assert (stale.sources, stale.is_stale) == ([{"n": 1}], True)
    assert (await stores.app.get("/config/orders-new/prod")).status == 503
    assert (await stores.app.get("/config/new/prod")).sources == []
    await stores.put(stores.main, "other", 2)
    await stores.app.look()
    current = await stores.app.get(OTHER)
    assert (current.sources, current.is_stale) == ([{"n": 2}], False)
    fresh = await stores.app.get(OTHER, cache_control="no-cache")
    assert (fresh.sources, fresh.is_stale) == ([{"n": 2}], False)
    stores.orders.bring_back()
    await stores.app.look()
    assert not (await stores.app.get(ORDERS)).is_stale


async def test_who_waits_hears_of_changes_while_another_store_is_away(stores: Stores) -> None:
    tag = (await stores.app.get(OTHER)).tag
    orders_tag = (await stores.app.get(ORDERS)).tag
    held = stores.app.hold(OTHER, tag)
    orders_held = stores.app.hold(ORDERS, orders_tag)
    await stores.app.held(2)
    stores.orders.take_away()
    await stores.app.look()
    await stores.put(stores.main, "other", 2)
    await stores.app.look()
    assert (await held).sources == [{"n": 2}]
    await stores.put(stores.orders, "orders", 5)
    stores.main.take_away()
    await stores.app.look()
    stores.orders.bring_back()  # the other one stays away
    await stores.app.look()
    assert (await orders_held).sources == [{"n": 5}]
    await until(lambda: stores.app.live.watching.count == 0)


async def test_an_own_write_is_seen_at_once(stores: Stores) -> None:
    bundles = stores.app.server.bundles
    await bundles.save(bundle("orders", {"n": 7}))
    assert (await stores.app.get(ORDERS)).sources == [{"n": 7}]
    await bundles.save(bundle("other", {"n": 8}))
    assert (await stores.app.get(OTHER)).sources == [{"n": 8}]


async def test_one_store_is_enough_to_be_ready(stores: Stores) -> None:
    server = ConfigServer(
        RoutingBackend(stores.main, [StoreRoute(backend=stores.orders, applications=("orders*",))])
    )
    stores.orders.take_away()
    await server.check()
    stores.main.take_away()
    with pytest.raises(Exception, match="the store is away"):
        await server.check()
    stores.orders.bring_back()
    await server.check()
