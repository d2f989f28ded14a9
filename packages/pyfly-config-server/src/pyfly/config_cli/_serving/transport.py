"""The transport of a connection as the HTTP protocol sees it."""

import asyncio
from typing import Any


class ClosableTransport(asyncio.Transport):
    """A transport that ignores writes after its end.

    The protocol does not notify every response of a disconnected client: with several pipelined
    requests, only the last one is notified.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

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
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known about the connection."""
        return self._transport.get_extra_info(name, default)
