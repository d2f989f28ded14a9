"""The transport of a connection as the HTTP protocol sees it."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values, as they are sent."""


class ClosableTransport(asyncio.Transport):
    """A transport that ignores writes after its end.

    The protocol does not notify every response of a disconnected client: with several pipelined
    requests, only the last one is notified.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._is_paused = False
        self._is_held = False
        self._is_postponed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data, or drop it when the connection is closing."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close when everything is sent."""
        self._transport.close()

    def is_closing(self) -> bool:
        """True if the connection is closed or will be."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Stop receiving."""
        self._is_paused = True
        self._read_or_not()

    def resume_reading(self) -> None:
        """Receive again."""
        self._is_paused = False
        self._read_or_not()

    def hold_reading(self, *, held: bool) -> None:
        """Stop receiving, whatever the protocol says, or leave it to the protocol again."""
        self._is_held = held
        self._read_or_not()

    def postpone_reading(self, *, postponed: bool) -> None:
        """Stop receiving while others are answered, or receive again."""
        self._is_postponed = postponed
        self._read_or_not()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known about the connection."""
        return self._transport.get_extra_info(name, default)

    def _read_or_not(self) -> None:
        reads = not (self._is_paused or self._is_held or self._is_postponed)
        if self._transport.is_closing() or self._transport.is_reading() == reads:
            return
        if reads:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
