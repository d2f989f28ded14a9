"""The suite of the storage interface, against moto and against a real store."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyfly.config_core import UnsupportedOperationError
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_server.storage import SupportsResources
from pyfly.config_server.testing import (
    BackendConformance,
    BaseBundlesConformance,
    BatchFetchConformance,
    ChangesConformance,
    CheckConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    HistoryConformance,
    KeysConformance,
    LabelsConformance,
    ResourcesConformance,
)

no_history = pytest.mark.xfail(
    strict=True, raises=UnsupportedOperationError, reason="the bucket keeps no versions"
)
no_conditional_delete = pytest.mark.xfail(
    strict=True, reason="Ceph 16 removes whatever the condition says; so it is refused"
)


class _Suite(
    BackendConformance,
    BatchFetchConformance,
    KeysConformance,
    LabelsConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    HistoryConformance,
    ChangesConformance,
    BaseBundlesConformance,
    ResourcesConformance,
    CheckConformance,
    CloseConformance,
):
    removals_without_remarks = "a delete marker has no metadata to keep them in"
    location: S3Location
    client: Any

    async def store_resource(
        self, backend: SupportsResources, label: str, path: str, content: bytes
    ) -> None:
        self._put(f"{label}/{path}", content)

    def _put(self, name: str, data: bytes) -> None:
        key = f"{self.location.prefix}/{name}"
        self.client.put_object(Bucket=self.location.bucket, Key=key, Body=data)

    @pytest.fixture
    def backend(self, store: tuple[S3Location, Any], patience: None) -> Iterator[S3ConfigBackend]:
        self.location, self.client = store
        backend = S3ConfigBackend(self.location)
        yield backend
        asyncio.run(backend.aclose())


class TestBucketWithVersions(_Suite):
    @pytest.fixture
    def store(
        self, moto: str, connect: Callable[[str], Any], location: Callable[..., S3Location]
    ) -> tuple[S3Location, Any]:
        return location(moto, versioned=True), connect(moto)


@pytest.mark.untraced
@pytest.mark.external
class TestCeph(_Suite):
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
