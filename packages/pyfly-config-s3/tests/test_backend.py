"""The objects of a bucket as bundles: names, formats, what a save may rewrite, other tools."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from bucket_objects import ORDERS, Open, Store, orders

from pyfly.config_core import (
    BASE_PROFILE,
    BackendUnavailableError,
    ConfigFormatError,
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
)
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_server import ConfigServer, ConfigSource, open_backend
from pyfly.config_server.files import SpringLayout
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    PRESENT,
    ConfigVersion,
    Precondition,
    default_is_base,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(moto: str, location: Callable[..., S3Location], connect: Callable[..., Any]) -> Store:
    return Store(location(moto, max_staleness=0.0), connect(moto))


@pytest.fixture
def backend(store: Store, open_s3: Open) -> S3ConfigBackend:
    return open_s3(store.where)


async def test_a_spring_repository_is_served_as_it_is(
    backend: S3ConfigBackend, store: Store
) -> None:
    store.put("main/application.yml", "a: base\nb: base\n")
    store.put("main/orders.properties", "b=orders\nc=orders\n")
    store.put("main/orders-prod.json", '{"c": "prod"}')
    store.put(
        "main/orders-default.yaml",
        "d: 1\n---\nspring.config.activate.on-profile: prod\nd: 2\n---\n"
        "spring.config.activate.on-profile: dev\nd: 3\n",
    )
    store.put("main/nginx.conf", "listen 80;")
    server = ConfigServer(backend)
    document = await server.fetch("orders", "prod")
    sources = document["propertySources"]
    assert isinstance(sources, list)
    assert [(s["name"], s["source"]) for s in sources] == [  # type: ignore[index,call-overload]
        ("main/orders-prod.json", {"c": "prod"}),
        (
            "main/orders-default.yaml (document #1)",
            {"spring.config.activate.on-profile": "prod", "d": 2},
        ),
        ("main/orders-default.yaml (document #0)", {"d": 1}),
        ("main/orders.properties", {"b": "orders", "c": "orders"}),
        ("main/application.yml", {"a": "base", "b": "base"}),
    ]
    found = await backend.fetch("orders", "default")
    assert found is not None
    assert found.documents[1].origins["d"] == "4:4"
    resource = await backend.open_resource("main", "nginx.conf")
    assert resource is not None
    assert resource.content == b"listen 80;"
    assert resource.modified is not None


async def test_the_objects_of_a_spring_repository_are_one_label(
    store: Store, open_s3: Open
) -> None:
    where = store.where
    store.put("orders-prod.yml", "n: 1\n")
    store.put("application.yml", "n: 0\n")
    store.put("deeper/orders-prod.yml", "n: 2\n")
    backend = open_s3(
        S3Location(
            bucket=where.bucket,
            prefix=where.prefix,
            endpoint_url=where.endpoint_url,
            layout=SpringLayout(profiles=frozenset({"prod"})),
            label="release",
        )
    )
    found = await backend.fetch("orders", "prod", "release")
    assert found is not None
    assert found.properties == {"n": 1}
    assert await backend.fetch("orders", "prod", "main") is None
    assert await backend.fetch("application", BASE_PROFILE, "release") is not None
    assert await backend.fetch("application", BASE_PROFILE, "main") is None
    assert not default_is_base(backend)
    assert default_is_base(open_s3(S3Location(bucket=where.bucket)))
    assert await backend.open_resource("main", "orders-prod.yml") is None
    assert await backend.open_resource("release", "deeper/orders-prod.yml") is not None
    assert await backend.labels() == ["release"]
    assert [await backend.has_label(label) for label in ("release", "main")] == [True, False]
    names = ["application/-/release", "orders/prod/release"]
    assert [str(entry.key) async for entry in backend.keys()] == names
    assert [entry async for entry in backend.keys("main")] == []
    await backend.save(orders("release", n=3))
    assert store.text("orders-prod.yml") == "n: 3\n"
    with pytest.raises(InvalidConfigKeyError, match="only the label 'release'"):
        await backend.save(orders("main", n=4))
    await backend.delete(ORDERS, expected=ABSENT)
    await backend.delete(
        ConfigKey(application="orders", profile="prod", label="release"), expected=ANY
    )
    assert store.names() == ["application.yml", "deeper/orders-prod.yml"]


async def test_documents_of_a_spring_repository_are_made_as_by_spring(
    store: Store, open_s3: Open
) -> None:
    where = store.where
    for name in ("orders", "orders-default", "orders-prod", "application", "application-x"):
        store.put(f"{name}.yml", f"who: {name}\n")
    backend = open_s3(
        S3Location(
            bucket=where.bucket,
            prefix=where.prefix,
            endpoint_url=where.endpoint_url,
            layout=SpringLayout(),
        )
    )
    server = ConfigServer(backend)
    for application, profile, expected in (
        ("orders", "prod", "orders-prod orders application"),
        ("orders", "default", "orders-default orders application"),
        ("orders", "prod,default", "orders-default orders-prod orders application"),
        ("application-x,orders", "x", "orders application-x application"),
    ):
        sources: Any = (await server.fetch(application, profile))["propertySources"]
        assert [source["source"]["who"] for source in sources] == expected.split()


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
async def test_a_save_keeps_the_key_and_the_format(
    backend: S3ConfigBackend, store: Store, suffix: str
) -> None:
    store.put(f"main/orders-prod{suffix}", '{"n": 1}')
    await backend.save(orders(n=2))
    assert store.names() == [f"main/orders-prod{suffix}"]
    stored = store.get(f"main/orders-prod{suffix}")
    kind = "application/json" if suffix == ".json" else "application/yaml"
    assert stored["ContentType"] == kind
    assert stored["Body"].read() == b'{"n": 2}'


async def test_a_save_of_a_new_bundle_is_yaml_with_its_digest(
    backend: S3ConfigBackend, store: Store
) -> None:
    await backend.commit(orders(n=1), expected=ABSENT, author="Ωμέγα", message="two\nlines")
    stored = store.get("main/orders-prod.yaml")
    assert stored["ContentType"] == "application/yaml"
    assert stored["ChecksumCRC32"]
    assert set(stored["Metadata"]) == {
        "pyfly-author",
        "pyfly-message",
        "pyfly-sha256",
        "pyfly-write",
    }
    with pytest.raises(ConfigFormatError, match="author and message take"):
        await backend.commit(orders(n=2), expected=ANY, message="x" * 1501)


async def test_the_first_format_is_read_and_a_save_removes_the_others(
    backend: S3ConfigBackend, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("main/orders-prod.yml", "n: 1\n")
    store.put("main/orders-prod.json", '{"n": 2}')
    for _ in range(2):
        found = await backend.fetch("orders", "prod")
        assert found is not None
        assert found.resource == "orders-prod.yml"
    assert caplog.messages == ["main/orders-prod.yml is used; ignored: orders-prod.json"]
    await backend.save(orders(n=3))
    assert store.names() == ["main/orders-prod.yml"]
    store.put("main/orders-prod.json", '{"n": 2}')
    await backend.delete(ORDERS, expected=ANY)
    assert store.names() == []


async def test_what_a_save_would_lose_is_in_the_way(backend: S3ConfigBackend, store: Store) -> None:
    store.put("main/orders-prod.properties", "# of all\nn=1\n")
    await backend.save(orders(n=2))
    assert store.text("main/orders-prod.properties") == "# of all\nn=2\n"
    store.put("main/orders-prod.yaml", "n: 1\n")
    with pytest.raises(ConfigObstructedError, match=r"orders-prod\.properties"):
        await backend.save(orders(n=2))
    store.delete("main/orders-prod.properties")
    store.put("main/orders-prod.yaml", "n: 1\n---\nn: 2\n")
    with pytest.raises(ConfigObstructedError, match="several of its documents have the key 'n'"):
        await backend.commit(orders(n=3), expected=ANY)
    assert store.text("main/orders-prod.yaml") == "n: 1\n---\nn: 2\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [("orders-prod.properties", "n=1\n#---\nn=2\n"), ("orders-prod.yml", "n: 1\n---\nn: 2\n")],
)
@pytest.mark.parametrize("expected", [ANY, PRESENT])
async def test_what_a_save_must_not_rewrite_is_not_removed(
    backend: S3ConfigBackend, store: Store, name: str, text: str, expected: Precondition
) -> None:
    store.put(f"main/{name}", text)
    with pytest.raises(ConfigObstructedError, match=name):
        await backend.delete(ORDERS, expected=expected)
    assert store.text(f"main/{name}") == text


@pytest.mark.parametrize(
    ("application", "profile"), [("orders", "prod-eu"), ("team/orders", "prod")]
)
async def test_a_name_that_would_read_as_another_is_read_but_not_saved(
    backend: S3ConfigBackend, store: Store, application: str, profile: str
) -> None:
    store.put(f"main/{application}-{profile}.yaml", "n: 1\n")
    assert await backend.fetch(application, profile) is not None
    with pytest.raises(InvalidConfigKeyError):
        await backend.save(
            ConfigSource(application=application, profile=profile, properties={"n": 2})
        )
    await backend.delete(ConfigKey(application=application, profile=profile), expected=ANY)
    assert store.names() == []


async def test_a_broken_object_breaks_only_its_own_requests_and_can_be_replaced(
    backend: S3ConfigBackend, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("main/orders-prod.yaml", "a: [marker\n")
    store.put("main/huge-prod.yaml", b"# " + b"x" * 1_048_577)
    store.put("main/billing-prod.yaml", "n: 1\n")
    with pytest.raises(ConfigFormatError, match=r"main/orders-prod\.yaml, line 2") as broken:
        await backend.fetch("orders", "prod")
    assert "marker" not in str(broken.value)
    with pytest.raises(ConfigFormatError, match=r"huge-prod\.yaml: larger than 1,048,576"):
        await backend.fetch("huge", "prod")
    with pytest.raises(ConfigFormatError, match=r"huge-prod\.yaml: larger than"):
        await backend.save(ConfigSource(application="huge", profile="prod", properties={}))
    assert [source.application for source in await backend.list()] == ["billing"]
    assert caplog.text.count("left out of the listing") == 2
    versions = {entry.key.application: entry.version async for entry in backend.keys()}
    assert versions.keys() == {"billing", "huge", "orders"}
    version = versions["orders"]
    assert version is not None
    await backend.commit(orders(n=2), expected=version)
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"n": 2}


async def test_a_resource_that_is_too_large_is_refused(
    backend: S3ConfigBackend, store: Store
) -> None:
    store.put("main/a.bin", bytes(10_485_761))
    with pytest.raises(ConfigFormatError, match=r"main/a\.bin: larger than 10,485,760"):
        await backend.open_resource("main", "a.bin")


async def test_labels_are_those_that_carry_bundles(backend: S3ConfigBackend, store: Store) -> None:
    store.put("main/notes.txt", "")
    store.put("only-base/orders.yml", "n: 1\n")
    store.put("feature/x/orders-prod.yaml", "n: 1\n")
    store.put(".git/orders-prod.yaml", "n: 1\n")
    store.put("orders-prod.yaml", "n: 1\n")
    assert await backend.labels() == ["feature/x", "only-base"]
    known = {"main": True, "only-base": True, "feature/x": True, "feature": False, "no": False}
    assert {label: await backend.has_label(label) for label in known} == known


async def test_what_other_processes_create_is_seen_after_a_moment_and_changes_at_once(
    moto: str, store: Store, open_s3: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = store.where
    remembering = open_s3(
        S3Location(
            bucket=where.bucket,
            prefix=where.prefix,
            endpoint_url=where.endpoint_url,
            max_staleness=0.5,
        )
    )
    assert await remembering.fetch("orders", "prod") is None
    store.put("main/orders-prod.yaml", "n: 1\n")
    await asyncio.sleep(0.5)
    found = await remembering.fetch("orders", "prod")
    assert found is not None
    store.put("main/orders-prod.yaml", "n: 2\n")
    found = await remembering.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"n": 2}
    store.delete("main/orders-prod.yaml")
    assert await remembering.fetch("orders", "prod") is None
    await remembering.save(orders(n=3))
    assert await remembering.fetch("orders", "prod") is not None


async def test_a_history_is_that_of_the_object_that_is_read(
    moto: str,
    location: Callable[..., S3Location],
    connect: Callable[..., Any],
    open_s3: Open,
) -> None:
    store = Store(location(moto, versioned=True), connect(moto))
    backend = open_s3(store.where)
    store.put("main/orders-prod.json", '{"n": 1}')
    first = await backend.fetch("orders", "prod")
    assert first is not None
    assert first.version is not None
    second = await backend.commit(orders(n=2), expected=first.version, author="ada")
    rows = await backend.history(ORDERS)
    assert [(row.version, row.author) for row in rows] == [(second, "ada"), (first.version, None)]
    old = await backend.fetch_version(ORDERS, version=first.version)
    assert old == first
    await backend.delete(ORDERS, expected=second)
    removed: ConfigVersion = (await backend.history(ORDERS))[0]
    assert removed.deleted
    assert await backend.fetch_version(ORDERS, version=removed.version) is None
    assert (
        await backend.history(ConfigKey(application="orders", profile="prod", label="other")) == []
    )


async def test_a_page_of_a_history_costs_the_same_wherever_it_begins(
    moto: str,
    location: Callable[..., S3Location],
    connect: Callable[..., Any],
    open_s3: Open,
) -> None:
    store = Store(location(moto, versioned=True), connect(moto))
    store.put("main/orders-prod.yml-old", "n: 0\n")
    for number in range(30):
        store.put("main/orders-prod.yml", f"n: {number}\n")
    store.put("main/orders-prod.yaml", "n: 1\n")
    store.delete("main/orders-prod.yaml")
    backend = open_s3(store.where)
    asked: list[str] = []
    listed: list[int] = []
    events = backend._client.meta.events
    events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    events.register(
        "provide-client-params.s3.ListObjectVersions",
        lambda params, **_: listed.append(params["MaxKeys"]),
    )
    rows = await backend.history(ORDERS, limit=3)
    assert asked.count("ListObjectVersions") == 5  # what is newest of four names, and the page
    assert max(listed) == 3
    while page := await backend.history(ORDERS, limit=3, before=rows[-1].version):
        assert len(asked) <= 2 * 10  # a page is no dearer than the first one
        assert len(page) == 3
        rows += page
        asked.clear()
    versions = [row.version for row in rows]
    assert len(versions) == len({*versions}) == 30
    asked.clear()
    oldest = await backend.fetch_version(ORDERS, version=versions[-1])
    assert oldest is not None
    assert oldest.properties == {"n": 0}
    assert len(asked) <= 10


async def test_a_bucket_that_is_not_there_is_told_by_name_of_the_trouble_only(
    moto: str, open_s3: Open
) -> None:
    backend = open_s3(S3Location(bucket="no-such-bucket", endpoint_url=moto))
    with pytest.raises(BackendUnavailableError, match="there is no such bucket"):
        await backend.check()
    with pytest.raises(BackendUnavailableError, match="NoSuchBucket"):
        await backend.fetch("orders", "prod")


async def test_an_injected_client_is_used_and_stays_open(
    store: Store, moto: str, connect: Callable[..., Any]
) -> None:
    client = connect(moto)
    backend = S3ConfigBackend(store.where, client=client)
    await backend.save(orders(n=1))
    await backend.aclose()
    assert store.text("main/orders-prod.yaml") == "n: 1\n"
    assert client.list_buckets()["Buckets"]


async def test_it_is_opened_by_its_url(store: Store, moto: str) -> None:
    where = store.where
    backend = open_backend(f"s3://{where.bucket}/{where.prefix}/?endpoint_url={moto}")
    assert isinstance(backend, S3ConfigBackend)
    assert repr(backend) == f"S3ConfigBackend('{where.bucket}', '{where.prefix}')"
    await backend.save(orders(n=1))
    await backend.aclose()
    assert store.names() == ["main/orders-prod.yaml"]
