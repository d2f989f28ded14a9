"""Ceph's gateway, a real store: the suite, conditions, many objects, secrets."""

import os
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bucket_objects import ORDERS, Open, Store, orders
from bucket_suite import BucketSuite
from bucket_writers import race

from pyfly.config_core import (
    BackendAccessDeniedError,
    ConfigKey,
    ConfigNotFoundError,
    UnsupportedOperationError,
)
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_s3._conditions import ConditionSupport
from pyfly.config_server.storage import ABSENT, ANY, BundleChange, ChangeBatch

pytestmark = [pytest.mark.anyio, pytest.mark.external, pytest.mark.untraced]

NOTHING = ConditionSupport(creates=False, replaces=False, deletes=False, quoted=True)


def test_ceph_honours_saves_without_quotes_and_no_removals(
    rgw: str, location: Callable[..., S3Location], honours: Any
) -> None:
    assert honours(location(rgw)) == ConditionSupport(
        creates=True, replaces=True, deletes=False, quoted=False
    )


def test_ceph_honours_nothing_in_a_bucket_with_versions(
    rgw: str, location: Callable[..., S3Location], honours: Any
) -> None:
    assert honours(location(rgw, versioned=True)) == NOTHING


async def test_nothing_is_lost_between_writers_on_ceph(
    rgw: str,
    location: Callable[..., S3Location],
    open_s3: Callable[[S3Location], S3ConfigBackend],
    patience: None,
) -> None:
    await race(open_s3, location(rgw))


async def test_ceph_keeps_a_history_without_conditions(
    rgw: str,
    location: Callable[..., S3Location],
    open_s3: Callable[[S3Location], S3ConfigBackend],
) -> None:
    backend = open_s3(location(rgw, versioned=True))
    first = await backend.commit(orders(n=1), expected=ANY, author="ada")
    second = await backend.commit(orders(n=2), expected=ANY, message="more")
    await backend.delete(ORDERS, expected=ANY)
    rows = await backend.history(ORDERS)
    assert [(row.deleted, row.author, row.message) for row in rows] == [
        (True, None, None),
        (False, None, "more"),
        (False, "ada", None),
    ]
    assert [row.version for row in rows[1:]] == [second, first]
    for place, row in enumerate(rows):
        assert await backend.history(ORDERS, before=row.version) == rows[place + 1 :]
        page = await backend.history(ORDERS, limit=1, before=row.version)
        assert page == rows[place + 1 : place + 2]
    for version in ("never-was", "null", "../x", first[:-1], ""):
        with pytest.raises(ConfigNotFoundError):
            await backend.history(ORDERS, before=version)
        assert await backend.fetch_version(ORDERS, version=version) is None
    assert await backend.fetch_version(ORDERS, version=rows[0].version) is None
    old = await backend.fetch_version(ORDERS, version=first)
    assert old is not None
    assert old.properties == {"n": 1}
    with pytest.raises(UnsupportedOperationError, match="does not honour"):
        await backend.commit(orders(n=3), expected=ABSENT)


async def test_more_objects_than_one_page_are_listed_and_watched_completely(
    rgw: str,
    location: Callable[..., S3Location],
    connect: Callable[..., Any],
    open_s3: Open,
    patience: None,
) -> None:
    store = Store(location(rgw), connect(rgw))
    names = [f"main/app{number:04}-prod.yaml" for number in range(1205)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda name: store.put(name, "n: 1\n"), names))
    backend = open_s3(store.where)

    def app(number: int) -> ConfigKey:
        return ConfigKey(application=f"app{number:04}", profile="prod")

    assert len([entry async for entry in backend.keys()]) == 1205
    assert len(await backend.list()) == 1205
    batch = await backend.changes_since(None)
    for position in (0, 999, 1000, 1204):
        store.put(names[position], f"n: {position + 2}\n")
        batch = await backend.changes_since(batch.cursor)
        assert BundleChange(key=app(position)) in batch.changes
        assert not any(BundleChange(key=app(other)) in batch.changes for other in (1, 1001))
    store.delete(names[1001])
    batch = await backend.changes_since(batch.cursor)
    assert BundleChange(key=app(1001)) in batch.changes
    assert await backend.changes_since(batch.cursor) == ChangeBatch(cursor=batch.cursor)
    assert len([entry async for entry in backend.keys("main")]) == 1204


async def test_a_secret_key_may_hold_every_printable_character(
    rgw: str, location: Callable[..., S3Location]
) -> None:
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert set(secret) == set(string.printable) - set(string.whitespace)
    backend = S3ConfigBackend(location(rgw))
    await backend.save(orders(n=1))
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"n": 1}
    assert secret not in repr(backend)
    await backend.aclose()


async def test_a_wrong_secret_is_refused_and_shown_nowhere(
    rgw: str, location: Callable[..., S3Location], connect: Callable[..., Any]
) -> None:
    client = connect(rgw, aws_access_key_id="test", aws_secret_access_key="marker")
    backend = S3ConfigBackend(location(rgw), client=client)
    with pytest.raises(BackendAccessDeniedError, match="SignatureDoesNotMatch") as refused:
        await backend.check()
    assert "marker" not in f"{refused.value!r} {backend!r}"
    await backend.aclose()


no_history = pytest.mark.xfail(
    strict=True, raises=UnsupportedOperationError, reason="the bucket keeps no versions"
)

no_conditional_delete = pytest.mark.xfail(
    strict=True, reason="Ceph 16 removes whatever the condition says; so it is refused"
)


class TestCeph(BucketSuite):
    @pytest.fixture
    def store(
        self, rgw: str, connect: Callable[[str], Any], location: Callable[..., S3Location]
    ) -> tuple[S3Location, Any]:
        return location(rgw, max_staleness=0.0), connect(rgw)

    @no_history
    async def test_what_was_never_stored_has_no_history(self, backend: Any) -> None:
        await super().test_what_was_never_stored_has_no_history(backend)

    @no_history
    async def test_changes_come_newest_first(self, backend: Any) -> None:
        await super().test_changes_come_newest_first(backend)

    @no_history
    async def test_a_removal_is_a_row_with_its_author_and_message(self, backend: Any) -> None:
        await super().test_a_removal_is_a_row_with_its_author_and_message(backend)

    @no_history
    async def test_a_write_without_remarks_has_none(self, backend: Any) -> None:
        await super().test_a_write_without_remarks_has_none(backend)

    @no_history
    async def test_an_old_version_comes_back_exactly(self, backend: Any) -> None:
        await super().test_an_old_version_comes_back_exactly(backend)

    @no_history
    async def test_an_old_version_is_not_aliased(self, backend: Any) -> None:
        await super().test_an_old_version_is_not_aliased(backend)

    @no_history
    async def test_a_version_that_never_was_is_none(self, backend: Any) -> None:
        await super().test_a_version_that_never_was_is_none(backend)

    @no_history
    async def test_a_history_comes_in_pages(self, backend: Any) -> None:
        await super().test_a_history_comes_in_pages(backend)

    @no_history
    async def test_a_page_before_a_version_that_never_was_is_refused(self, backend: Any) -> None:
        await super().test_a_page_before_a_version_that_never_was_is_refused(backend)

    @no_history
    async def test_histories_of_labels_are_separate(self, backend: Any) -> None:
        await super().test_histories_of_labels_are_separate(backend)

    @no_conditional_delete
    async def test_the_current_version_lets_a_delete_remove(self, backend: Any) -> None:
        await super().test_the_current_version_lets_a_delete_remove(backend)

    @no_conditional_delete
    async def test_a_delete_that_expects_presence_removes_whichever_version_is_stored(
        self, backend: Any
    ) -> None:
        await super().test_a_delete_that_expects_presence_removes_whichever_version_is_stored(
            backend
        )

    @no_conditional_delete
    async def test_of_concurrent_deletes_exactly_one_removes(self, backend: Any) -> None:
        await super().test_of_concurrent_deletes_exactly_one_removes(backend)
