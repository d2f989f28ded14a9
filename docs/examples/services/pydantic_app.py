"""Settings of pydantic that are filled by the configuration server, too.

Run it with: PYFLY_CONFIG_URL=http://127.0.0.1:8888 python pydantic_app.py
"""

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from pyfly.config_client import SyncConfigClient
from pyfly.config_client.settings import from_config_server


class Db(BaseModel):
    url: str = ""
    pool_size: int = Field(default=5, le=100)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="SHOP_", env_nested_delimiter="__", hide_input_in_errors=True
    )
    settings_customise_sources = from_config_server(SyncConfigClient.from_env(application="orders"))

    db: Db = Db()


if __name__ == "__main__":
    print(Settings().db.pool_size)
