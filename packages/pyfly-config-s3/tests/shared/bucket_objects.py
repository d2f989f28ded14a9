"""Objects of a bucket, and bundles that are stored as such."""

from collections.abc import Callable
from typing import Any

from pyfly.config_core import ConfigKey
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_server import ConfigSource

ORDERS = ConfigKey(application="orders", profile="prod")

Open = Callable[..., S3ConfigBackend]


class Store:
    """A place in a bucket as another tool sees it."""

    def __init__(self, where: S3Location, client: Any) -> None:
        self.where = where
        self.client = client

    def put(self, name: str, text: str | bytes, **more: Any) -> None:
        body = text.encode() if isinstance(text, str) else text
        self.client.put_object(**self._place(name), Body=body, **more)

    def get(self, name: str) -> dict[str, Any]:
        return self.client.get_object(**self._place(name))

    def text(self, name: str) -> str:
        return self.get(name)["Body"].read().decode()

    def delete(self, name: str) -> None:
        self.client.delete_object(**self._place(name))

    def names(self) -> list[str]:
        prefix = f"{self.where.prefix}/"
        listed = self.client.list_objects_v2(Bucket=self.where.bucket, Prefix=prefix)
        return [row["Key"].removeprefix(prefix) for row in listed.get("Contents", ())]

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self.where.bucket, "Key": f"{self.where.prefix}/{name}"}


def orders(label: str = "main", **properties: Any) -> ConfigSource:
    return ConfigSource(application="orders", profile="prod", label=label, properties=properties)
