"""Writers that all want the same bundle."""

import asyncio
from collections.abc import Callable

from bucket_objects import orders

from pyfly.config_core import ConfigConflictError
from pyfly.config_s3 import S3ConfigBackend, S3Location
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ABSENT, ConfigBackend


async def stored(backend: ConfigBackend) -> ConfigSource:
    found = await backend.fetch("orders", "prod")
    assert found is not None
    return found


async def count_up(backend: S3ConfigBackend, times: int) -> None:
    for _ in range(times):
        while True:
            source = await stored(backend)
            number = source.properties["n"]
            assert isinstance(number, int)
            assert source.version is not None
            try:
                await backend.commit(orders(n=number + 1), expected=source.version)
            except ConfigConflictError:
                continue
            break


async def race(open_s3: Callable[[S3Location], S3ConfigBackend], where: S3Location) -> None:
    """Sixteen creators, then eight writers that count, each with a backend of its own."""
    backends = [open_s3(where) for _ in range(8)]
    outcomes = await asyncio.gather(
        *(backend.commit(orders(n=0), expected=ABSENT) for backend in backends for _ in range(2)),
        return_exceptions=True,
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, str)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, ConfigConflictError)]
    assert len(won) == 1, outcomes
    assert [error.current for error in lost] == won * 15
    await asyncio.gather(*(count_up(backend, 5) for backend in backends))
    assert (await stored(backends[0])).properties == {"n": 40}
