"""The versions in a listing: what they cost, and that they are those of the objects."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pyfly.config_core import ConfigKey
from pyfly.config_s3 import S3ConfigBackend, S3Location, _version_ids
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

COUNT = 40


def source(number: int, **properties: Any) -> ConfigSource:
    return ConfigSource(application=f"app{number:02}", profile="prod", properties=properties)


def key(number: int) -> ConfigKey:
    return source(number).key


async def listed(backend: S3ConfigBackend, after: ConfigKey | None = None) -> dict[Any, Any]:
    return {entry.key: entry.version async for entry in backend.keys(after=after)}


@pytest.fixture
def backend(
    moto: str,
    location: Callable[..., S3Location],
    connect: Callable[[str], Any],
    open_s3: Callable[..., S3ConfigBackend],
    monkeypatch: pytest.MonkeyPatch,
    patience: None,
) -> S3ConfigBackend:
    """A bucket with versions and 40 bundles of several versions each, remembered at once."""
    monkeypatch.setattr(_version_ids, "_YOUNG_SECONDS", -60.0)
    where = location(moto, versioned=True)
    client = connect(moto)
    for version in range(3):
        for number in range(COUNT):
            client.put_object(
                Bucket=where.bucket,
                Key=f"{where.prefix}/main/app{number:02}-prod.yaml",
                Body=f"n: {version}\n".encode(),
            )
    return open_s3(where)


@pytest.fixture
def asked(backend: S3ConfigBackend) -> Counter[str]:
    """Count the requests by their names."""
    counted: Counter[str] = Counter()
    events = backend._client.meta.events
    events.register("before-call.s3", lambda model, **_: counted.update([model.name]))
    return counted


async def test_all_versions_are_listed_once_and_then_only_what_changed_is_looked_at(
    backend: S3ConfigBackend, asked: Counter[str]
) -> None:
    before = await listed(backend)
    assert len(before) == COUNT
    assert asked["ListObjectVersions"] == 1
    asked.clear()
    assert await listed(backend, after=key(9)) == dict([*before.items()][10:])
    assert asked == {"ListObjectsV2": 1}
    version = await backend.commit(source(3, n=9), expected=ANY)
    await backend.delete(key(5), expected=ANY)
    asked.clear()
    now = await listed(backend)
    assert now == {k: v for k, v in before.items() if k != key(5)} | {key(3): version}
    assert asked == {"ListObjectsV2": 1, "HeadObject": 1}


async def test_listed_versions_are_those_that_a_fetch_returns(backend: S3ConfigBackend) -> None:
    for _ in range(2):
        found = {one.key: one.version for one in await backend.list()}
        assert await listed(backend) == found
        await backend.save(source(1, n="again"))


async def test_more_objects_than_are_remembered_are_listed_with_all_versions(
    backend: S3ConfigBackend, asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_version_ids, "_REMEMBERED", COUNT - 1)
    first = await listed(backend)
    assert await listed(backend) == first
    assert asked["ListObjectVersions"] == 2


async def test_the_versions_of_young_objects_are_not_remembered(
    backend: S3ConfigBackend, asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_version_ids, "_YOUNG_SECONDS", 3600.0)
    for _ in range(3):  # the same bytes, perhaps within one second
        version = await backend.commit(source(7, n=2), expected=ANY)
        assert (await listed(backend))[key(7)] == version
    assert asked["ListObjectVersions"] == 3


async def test_listed_bundles_are_read_from_the_files_that_the_listing_names(
    backend: S3ConfigBackend, asked: Counter[str]
) -> None:
    found = await backend.list()
    assert [one.key for one in found] == [key(number) for number in range(COUNT)]
    assert asked == {"ListObjectsV2": 1, "GetObject": COUNT}


async def test_a_bundle_whose_file_is_renamed_while_a_list_runs_is_listed(
    backend: S3ConfigBackend,
) -> None:
    client = backend._client
    place = {"Bucket": backend._location.bucket}
    begin = f"{backend._location.prefix}/main/app05-prod"
    renamed: list[str] = []

    def rename(**_: Any) -> None:
        if not renamed:
            renamed.append(begin)
            client.put_object(**place, Key=f"{begin}.yml", Body=b"n: 7\n")
            client.delete_object(**place, Key=f"{begin}.yaml")

    client.meta.events.register("after-call.s3.ListObjectsV2", rename)
    found = {one.key: one for one in await backend.list()}
    assert renamed
    assert len(found) == COUNT
    assert (found[key(5)].resource, found[key(5)].properties) == ("app05-prod.yml", {"n": 7})
