"""A Litestar service whose handlers get the current settings.

Run it with: PYFLY_CONFIG_URL=http://127.0.0.1:8888 uvicorn litestar_app:app
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from litestar import Litestar, get
from litestar.di import Provide

from pyfly.config_client import ConfigClient


@dataclass(frozen=True)
class Db:
    url: str
    pool_size: int = 5


live_db = ConfigClient.from_env(application="orders").live("db", Db)


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncGenerator[None]:
    """Fetch before the first request, follow until the end."""
    async with live_db:
        yield


@live_db.on_change
async def resize(old: Db, new: Db) -> None:
    logging.getLogger("uvicorn").info("a pool of %d becomes %d", old.pool_size, new.pool_size)


async def current_db() -> Db:
    return live_db.value


@get("/pool-size")
async def pool_size(db: Db) -> int:
    return db.pool_size


app = Litestar([pool_size], lifespan=[lifespan], dependencies={"db": Provide(current_db)})
