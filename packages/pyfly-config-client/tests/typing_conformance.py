"""Never executed: the type checkers read it, to see the types that user code gets."""

from dataclasses import dataclass
from typing import assert_type

from pyfly.config_client import (
    AsyncLive,
    ConfigClient,
    Live,
    Rejection,
    SyncConfigClient,
    SyncLive,
)


@dataclass(frozen=True)
class Db:
    url: str
    pool_size: int = 5


def pool_size(live: Live[Db]) -> int:
    return live.value.pool_size


def live_values_in_threads(client: SyncConfigClient) -> None:
    with client.live("db", Db) as live:
        assert_type(live, SyncLive[Db])
        assert_type(live.value, Db)
        assert_type(live.rejected, Rejection | None)
        assert_type(pool_size(live), int)
        live.on_change(lambda old, new: (old.url, new.url))

        @live.on_change
        def reconnect(old: Db, new: Db) -> None:
            assert_type((old, new), tuple[Db, Db])

        reconnect(live.value, live.value)
    assert_type(client.live("db.pool-size", int).value, int)
    assert_type(client.live("hosts", list[str], watch=False).value, list[str])


async def live_values_in_an_event_loop(client: ConfigClient) -> None:
    async with client.live("db", Db) as live:
        assert_type(live, AsyncLive[Db])
        assert_type(live.value, Db)
        assert_type(pool_size(live), int)

        @live.on_change
        async def reconnect(old: Db, new: Db) -> None:
            assert_type((old, new), tuple[Db, Db])

        @live.on_rejected
        def report(rejection: Rejection) -> str:
            return rejection.reason

        await reconnect(live.value, live.value)
        if live.rejected is not None:
            assert_type(report(live.rejected), str)


def mistakes(client: SyncConfigClient, live: SyncLive[Db]) -> None:
    live.value = Db("x")  # type: ignore[misc]
    live.on_change(lambda value: None)  # type: ignore  # noqa: PGH003
    with client.live("db", Db) as other:
        size: str = other.value.pool_size  # type: ignore[assignment]
        assert size
