"""A FastAPI service whose handlers get the current settings.

Run it with: PYFLY_CONFIG_URL=http://127.0.0.1:8888 uvicorn fastapi_app:app
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI

from pyfly.config_client import ConfigClient


@dataclass(frozen=True)
class Db:
    url: str
    pool_size: int = 5


live_db = ConfigClient.from_env(application="orders").live("db", Db)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Fetch before the first request, follow until the end."""
    async with live_db:
        yield


@live_db.on_change
async def resize(old: Db, new: Db) -> None:
    logging.getLogger("uvicorn").info("a pool of %d becomes %d", old.pool_size, new.pool_size)


def current_db() -> Db:
    return live_db.value


app = FastAPI(lifespan=lifespan)


@app.get("/pool-size")
async def pool_size(db: Annotated[Db, Depends(current_db)]) -> int:
    return db.pool_size
