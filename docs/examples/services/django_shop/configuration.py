"""The configuration of this process: fetched once for all settings, then followed."""

from dataclasses import dataclass

from pyfly.config_client import SyncConfigClient


@dataclass(frozen=True)
class Orders:
    max_items: int = 100


client = SyncConfigClient.from_env(application="shop")
properties = client.fetch()
live_orders = client.live("orders", Orders)
