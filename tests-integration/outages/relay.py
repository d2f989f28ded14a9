"""Forwards connections to a store: relay.py PORT UPSTREAM_PORT.

After SIGUSR1 all packets are lost: what is sent on open and on new connections disappears, and
nothing ends them. After SIGUSR2 new connections are forwarded again; the old ones stay dead, as
after the loss of a host or of the state of a firewall.
"""

import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(eq=False)
class Connection:
    is_dead: bool


class Relay:
    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._loses = False
        self._open: set[Connection] = set()

    def lose(self) -> None:
        self._loses = True
        for connection in self._open:
            connection.is_dead = True

    def forward(self) -> None:
        self._loses = False

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(is_dead=self._loses)
        self._open.add(connection)
        with contextlib.suppress(OSError):
            if connection.is_dead:
                await reader.read(-1)
            else:
                await self._connect(connection, reader, writer)
        self._open.discard(connection)
        writer.transport.abort()

    async def _connect(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        back, forth = await asyncio.open_connection(HOST, self._upstream)
        sending = asyncio.create_task(_pump(connection, reader, forth))
        answering = asyncio.create_task(_pump(connection, back, writer))
        await asyncio.wait([sending, answering], return_when=asyncio.FIRST_COMPLETED)
        if connection.is_dead:  # a dead connection ends when the client gives it up
            await asyncio.wait([sending])
        for task in (sending, answering):
            task.cancel()
        forth.transport.abort()


async def _pump(
    connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            if not connection.is_dead:
                writer.write(data)
                await writer.drain()


async def main(port: int, upstream: int) -> None:
    relay = Relay(upstream)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, relay.lose)
    loop.add_signal_handler(signal.SIGUSR2, relay.forward)
    async with await asyncio.start_server(relay.accept, HOST, port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
