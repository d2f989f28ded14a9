"""A Flask application whose views read the current settings.

Run it with: PYFLY_CONFIG_URL=http://127.0.0.1:8888 flask --app flask_app run
"""

from dataclasses import dataclass

from flask import Flask

from pyfly.config_client import SyncConfigClient


@dataclass(frozen=True)
class Orders:
    currency: str
    max_items: int = 100


client = SyncConfigClient.from_env(application="orders")
properties = client.fetch()  # what is read once, at the start
live_orders = client.live("orders", Orders)  # what may change

app = Flask(__name__)
app.config.update(SUPPORT=properties["company.support"])


@app.get("/limit")
def limit() -> dict[str, object]:
    orders = live_orders.value  # read once for each request
    return {"max-items": orders.max_items, "support": app.config["SUPPORT"]}
