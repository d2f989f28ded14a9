"""Clients whose held requests were just answered are read again after the others were answered."""

import asyncio
from typing import Any

import pytest

from pyfly.config_cli._serving import postponed_reads
from pyfly.config_cli._serving.postponed_reads import PostponedReads
from pyfly.config_cli._serving.transport import ClosableTransport

pytestmark = pytest.mark.anyio

SECONDS = 30


class Transport(asyncio.Transport):
    """A transport that only knows whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return self.reads

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def answered(reads: PostponedReads, count: int) -> list[Transport]:
    transports = [Transport() for _ in range(count)]
    for transport in transports:
        reads.add(ClosableTransport(transport))
    return transports


async def resumed(*transports: Transport) -> None:
    async with asyncio.timeout(SECONDS):
        while not all(transport.reads for transport in transports):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_few_clients_are_read_on() -> None:
    reads = PostponedReads()
    assert all(transport.reads for transport in answered(reads, postponed_reads._FEW))
    assert not len(reads)


async def test_many_clients_are_read_again_after_the_last_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postponed_reads, "_LONGEST_SECONDS", float(SECONDS))
    reads = PostponedReads()
    many = answered(reads, 3 * postponed_reads._FEW)[postponed_reads._FEW :]
    assert not any(transport.reads for transport in many)
    ended = asyncio.get_running_loop().time() + 10 * postponed_reads._QUIET_SECONDS
    while asyncio.get_running_loop().time() < ended:
        many += answered(reads, 1)
        await asyncio.sleep(0)
    assert not any(transport.reads for transport in many)
    await resumed(*many)
    assert not len(reads)


async def test_nobody_waits_longer_than_that_while_others_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postponed_reads, "_LONGEST_SECONDS", 0.0)
    reads = PostponedReads()
    many = answered(reads, 2 * postponed_reads._FEW)
    waiting = asyncio.create_task(resumed(*many))
    while not waiting.done():
        answered(reads, 1)
        await asyncio.sleep(0)
    await waiting


async def test_a_closed_connection_is_left_alone() -> None:
    reads = PostponedReads()
    *others, last = answered(reads, postponed_reads._FEW + 2)
    last.closing = True
    await resumed(*others)
    async with asyncio.timeout(SECONDS):
        while len(reads):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert not last.reads
