"""A function that reads configuration."""

from pyfly.config_client import SyncConfigClient


def shipping_fee() -> int:
    client = SyncConfigClient(server_url="http://config:8888", application="shop")
    return client.fetch().get("shipping.fee", int)
