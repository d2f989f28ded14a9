"""Compositions that are under way. Requests for the same document share one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pyfly.config_server.composition.representation import DocumentRequest
from pyfly.config_server.live.inputs import Touched

__all__ = ["Flight", "Flights"]

_Result = TypeVar("_Result")


@dataclass(slots=True, eq=False, kw_only=True)
class Flight(Generic[_Result]):
    """One composition."""

    sequence: int
    """The number of batches of changes that came before it."""
    touched: Touched = field(default_factory=Touched)
    """What has changed since."""
    task: "asyncio.Task[_Result]" = field(init=False)


class Flights(Generic[_Result]):
    """Runs compositions, each as a task that does not end with one of those who wait for it.

    Args:
        compose: Composes a document.
    """

    def __init__(
        self, compose: Callable[[DocumentRequest, Flight[_Result]], Awaitable[_Result]]
    ) -> None:
        self._compose = compose
        self._newest: dict[DocumentRequest, Flight[_Result]] = {}
        self._running: set[Flight[_Result]] = set()
        self._sequence = 0

    async def join(self, request: DocumentRequest) -> _Result:
        """Return the result of a composition that knows every change noted so far."""
        flight = self._newest.get(request)
        if flight is None or flight.sequence != self._sequence:
            flight = Flight[_Result](sequence=self._sequence)
            self._newest[request] = flight
            self._running.add(flight)
            flight.task = asyncio.create_task(self._run(request, flight))
            flight.task.add_done_callback(_retrieve)
        return await asyncio.shield(flight.task)

    def touch(self, touched: Touched) -> None:
        """Note changes: what is composed at this moment may lack them."""
        self._sequence += 1
        for flight in self._running:
            flight.touched |= touched

    async def _run(self, request: DocumentRequest, flight: Flight[_Result]) -> _Result:
        try:
            return await self._compose(request, flight)
        finally:
            self._running.discard(flight)
            if self._newest.get(request) is flight:
                del self._newest[request]


def _retrieve(task: "asyncio.Task[_Result]") -> None:
    """Look at the error of a composition, which everybody who waited for it may have left."""
    if not task.cancelled():
        task.exception()
