"""A Celery worker whose tasks read the current settings.

Run it with: PYFLY_CONFIG_URL=http://127.0.0.1:8888 celery --app celery_app worker
"""

from dataclasses import dataclass
from pathlib import Path

from celery import Celery
from celery.utils.log import get_task_logger

from pyfly.config_client import SyncConfigClient


@dataclass(frozen=True)
class Orders:
    currency: str
    max_items: int = 100


client = SyncConfigClient.from_env(application="orders")
properties = client.fetch()  # what Celery reads once, at the start
live_orders = client.live("orders", Orders)  # what may change

logger = get_task_logger(__name__)
app = Celery("orders", broker=properties["celery.broker-url"])
if app.conf.broker_url.startswith("filesystem:"):  # needs no broker, for a trial
    queue = Path("queue")
    queue.mkdir(exist_ok=True)
    app.conf.broker_transport_options = {"data_folder_in": queue, "data_folder_out": queue}


@app.task
def take_order(items: int) -> None:
    orders = live_orders.value  # read once for each task
    answer = "accepted" if items <= orders.max_items else "refused"
    logger.info("%s: %d items, paid in %s", answer, items, orders.currency)
