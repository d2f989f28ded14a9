"""The suite of the storage interface, against moto."""

from collections.abc import Callable
from typing import Any

import pytest
from bucket_suite import BucketSuite

from pyfly.config_s3 import S3Location


class TestBucketWithVersions(BucketSuite):
    @pytest.fixture
    def store(
        self, moto: str, connect: Callable[[str], Any], location: Callable[..., S3Location]
    ) -> tuple[S3Location, Any]:
        return location(moto, versioned=True), connect(moto)
