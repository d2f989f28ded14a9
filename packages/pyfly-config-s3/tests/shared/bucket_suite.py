"""The suite of the storage interface, for buckets."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

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


class BucketSuite(
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
