"""A repository of Spring Cloud Config in a bucket: every rule for its files shows."""

from collections.abc import Callable
from typing import Any

import pytest
import spring_repository

from pyfly.config_core import BASE_PROFILE, ConfigConflictError, ConfigKey, ConfigObstructedError
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_server import ConfigServer, ConfigSource
from pyfly.config_server.files import SpringLayout, parse_layout
from pyfly.config_server.storage import ABSENT, ANY, PRESENT, BundleChange, ConfigDocument

pytestmark = pytest.mark.anyio

ORDERS = ConfigKey(application="orders", profile=BASE_PROFILE)

Put = Callable[[str, str], None]


@pytest.fixture(params=["moto", pytest.param("rgw", marks=pytest.mark.external)])
def address(request: pytest.FixtureRequest) -> str:
    """A mock of S3, and a real store."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def where(address: str, location: Callable[..., S3Location]) -> S3Location:
    return location(address, layout=SpringLayout(), max_staleness=0.0)


@pytest.fixture
def put(address: str, where: S3Location, connect: Callable[[str], Any]) -> Put:
    """Put an object into the bucket, as another tool does."""
    client = connect(address)

    def write(name: str, text: str) -> None:
        client.put_object(Bucket=where.bucket, Key=f"{where.prefix}/{name}", Body=text.encode())

    return write


def sources_of(documents: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(one["name"].removeprefix("main/"), one["source"]) for one in documents]


@pytest.mark.slow
async def test_every_document_is_made_of_the_files_that_the_rules_name(
    address: str,
    location: Callable[..., S3Location],
    connect: Callable[[str], Any],
    open_s3: Callable[..., S3ConfigBackend],
    patience: None,
) -> None:
    where = location(address, layout=SpringLayout(), max_staleness=600.0)
    client = connect(address)
    for name, text in spring_repository.contents():
        client.put_object(Bucket=where.bucket, Key=f"{where.prefix}/{name}", Body=text.encode())
    server = ConfigServer(open_s3(where))
    compared = 0
    for applications, profiles in spring_repository.requests():
        document = await server.fetch(applications, profiles)
        wanted = spring_repository.expected(applications, profiles)
        assert sources_of(document["propertySources"]) == wanted, (applications, profiles)
        compared += len(wanted)
    assert compared > 500


async def test_a_bundle_in_several_objects_is_saved_only_without_a_condition(
    where: S3Location, put: Put, open_s3: Callable[..., S3ConfigBackend]
) -> None:
    """Another process may write one object while the condition is checked for the other one."""
    put("orders.yaml", "a: 1\n")
    put("orders.yml", "b: 2\n")
    backend = open_s3(where)
    found = await backend.fetch("orders", BASE_PROFILE)
    assert found is not None
    assert found.version is not None
    for expected in (found.version, PRESENT):
        with pytest.raises(ConfigObstructedError, match=r"a condition\s+on several files"):
            await backend.commit(_source(a=1, b=3), expected=expected)
    with pytest.raises(ConfigConflictError):
        await backend.commit(_source(a=1, b=3), expected=ABSENT)
    await backend.commit(_source(a=1, b=3), expected=ANY)
    found = await backend.fetch("orders", BASE_PROFILE)
    assert found is not None
    assert [_shown(one) for one in found.documents] == [
        ("orders.yaml", {"a": 1}),
        ("orders.yml", {"b": 3}),
    ]


async def test_a_bundle_in_several_objects_has_one_version_and_is_changed_by_none(
    where: S3Location, put: Put, open_s3: Callable[..., S3ConfigBackend]
) -> None:
    put("orders.yaml", "a: 1\n")
    put("orders.properties", "a=2\n")
    backend = open_s3(where)
    found = await backend.fetch("orders", BASE_PROFILE)
    assert found is not None
    assert [_shown(one) for one in found.documents] == [
        ("orders.yaml", {"a": 1}),
        ("orders.properties", {"a": "2"}),
    ]
    (entry,) = [entry async for entry in backend.keys()]
    assert (entry.key, entry.version) == (ORDERS, found.version)
    start = await backend.changes_since(None)
    put("orders.yaml", "a: 3\n")
    changed = await backend.changes_since(start.cursor)
    assert BundleChange(key=ORDERS) in changed.changes
    again = await backend.fetch("orders", BASE_PROFILE)
    assert again is not None
    assert again.version != found.version
    with pytest.raises(ConfigObstructedError, match=r"orders\.properties.* orders\.yaml"):
        await backend.save(_source(a=4))
    with pytest.raises(ConfigObstructedError, match=r"orders\.properties.* orders\.yaml"):
        await backend.delete(ORDERS, expected=ANY)


async def test_a_new_bundle_is_a_yml_object_and_an_existing_one_keeps_its_object(
    where: S3Location,
    address: str,
    put: Put,
    connect: Callable[[str], Any],
    open_s3: Callable[..., S3ConfigBackend],
) -> None:
    put("orders.yaml", "a: 1\n")
    put("orders.json", "{}")
    backend = open_s3(where)
    await backend.save(_source(a=2))
    await backend.save(ConfigSource(application="orders", profile="prod", properties={"a": 3}))
    rows = connect(address).list_objects_v2(Bucket=where.bucket, Prefix=f"{where.prefix}/")
    names = [row["Key"].rpartition("/")[2] for row in rows["Contents"]]
    assert names == ["orders-prod.yml", "orders.json", "orders.yaml"]
    assert [entry.path async for entry in backend.resources("main")] == names
    entries = [entry async for entry in backend.keys()]
    assert [(entry.key.profile, entry.is_guess) for entry in entries] == [
        (BASE_PROFILE, False),
        ("prod", False),
    ]


def _source(**properties: Any) -> ConfigSource:
    return ConfigSource(application="orders", profile=BASE_PROFILE, properties=properties)


def _shown(document: ConfigDocument) -> tuple[str | None, dict[str, Any]]:
    return document.resource, dict(document.properties)


async def test_a_bucket_has_search_locations(
    address: str,
    location: Callable[..., S3Location],
    connect: Callable[[str], Any],
    open_s3: Callable[..., S3ConfigBackend],
) -> None:
    search = "config,{application}/{profile},common/*,"
    layout, _ = parse_layout({"layout": "spring", "search": search})
    where = location(address, layout=layout, max_staleness=0.0)

    def put(name: str, text: str) -> None:
        connect(address).put_object(Bucket=where.bucket, Key=f"{where.prefix}/{name}", Body=text)

    put("config/application.yml", "a: 1")
    put("common/b/orders.yml", "a: 2")
    put("common/a/orders.yml", "a: 3")
    put("common/.hidden/orders.yml", "a: 4")
    put("orders/prod/application-prod.yml", "a: 5")
    put("orders.yml", "a: 6")
    backend = open_s3(where)
    cursor = (await backend.changes_since(None)).cursor

    async def served() -> list[str]:
        document: Any = await ConfigServer(backend).fetch("orders", "prod")
        return [name for name, _ in sources_of(document["propertySources"])]

    files = ["orders.yml", "common/b/orders.yml", "common/a/orders.yml", "config/application.yml"]
    assert await served() == ["orders/prod/application-prod.yml", *files]
    put("common/c/orders-prod.yml", "a: 7")
    assert await served() == [
        *("common/c/orders-prod.yml", "orders/prod/application-prod.yml"),
        *files,
    ]
    changes = (await backend.changes_since(cursor)).changes
    assert BundleChange(key=ConfigKey(application="orders", profile="prod")) in changes
    listed = {str(entry.key): entry async for entry in backend.keys()}
    assert [*listed] == ["application/-/main", "orders/-/main", "orders/prod/main"]
    assert listed["orders/-/main"].files == (*files[:3],)
    for entry in listed.values():
        found = await backend.fetch(entry.key.application, entry.key.profile)
        assert found is not None
        assert found.version == entry.version
    put("common/a/nginx.conf", "common")
    resource = await ConfigServer(backend).compose_resource("orders", "prod", None, "nginx.conf")
    assert resource.resource is not None
    assert resource.resource.path == "common/a/nginx.conf"
    await backend.save(ConfigSource(application="new", profile="eu", properties={"a": 8}))
    saved = await backend.fetch("new", "eu")
    assert saved is not None
    assert saved.resource == "config/new-eu.yml"
