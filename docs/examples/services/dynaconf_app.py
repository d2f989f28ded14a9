"""Settings of Dynaconf that the configuration server fills, too.

Run it with: PYFLY_CONFIG_URL=http://127.0.0.1:8888 python dynaconf_app.py
"""

from typing import Any

from dynaconf import Dynaconf

from pyfly.config_client import SyncConfigClient

client = SyncConfigClient.from_env(application="orders")


def from_config_server(_: Any) -> dict[str, Any]:
    """Return what the server has for this application, for Dynaconf to merge."""
    tree = client.fetch().tree()
    return {**tree, "dynaconf_merge": True}


settings = Dynaconf(envvar_prefix="SHOP", post_hooks=[from_config_server])

if __name__ == "__main__":
    print(settings.db["pool-size"], settings.company.name)
