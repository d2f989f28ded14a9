"""The channel between a worker and its supervisor, on the side of the worker."""

import os
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue


class Channel:
    """The worker's end of the channel, which is its standard input.

    The supervisor sends an order first, then perhaps `drain`. When the channel ends, so does the
    process: that is how the end of the supervisor shows, even after SIGKILL.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=os.dup(0))
        self._order: SimpleQueue[bytes] = SimpleQueue()
        self._can_drain = threading.Event()
        self._drain: Callable[[], object] = self._can_drain.is_set
        threading.Thread(target=self._listen, daemon=True).start()

    def order(self) -> bytes:
        """Return the order, once."""
        return self._order.get()

    def on_drain(self, drain: Callable[[], object]) -> None:
        """Call a function, in another thread, when this worker has been replaced."""
        self._drain = drain
        self._can_drain.set()

    def say(self, line: str) -> None:
        """Send a line to the supervisor."""
        self._socket.sendall(line.replace("\n", " ").encode() + b"\n")

    def _listen(self) -> None:
        try:
            self._follow()
        finally:  # an error, too: the channel is reset if the supervisor had not read all of it
            os._exit(1)

    def _follow(self) -> None:
        with self._socket.makefile("rb") as lines:
            if order := lines.readline():
                self._order.put(order)
                if lines.readline():
                    self._can_drain.wait()
                    self._drain()
                    lines.read()
