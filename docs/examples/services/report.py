"""A script: fetch once, work, end.

Run it with: PYFLY_CONFIG_URL=http://127.0.0.1:8888 python report.py
"""

from dataclasses import dataclass

from pyfly.config_client import SyncConfigClient


@dataclass(frozen=True)
class Orders:
    currency: str
    payment_methods: list[str]
    max_items: int = 100


properties = SyncConfigClient.from_env(application="orders").fetch()
orders = properties.bind("orders", Orders)
print(properties["company.name"], "takes", orders.currency, "by", *orders.payment_methods)
