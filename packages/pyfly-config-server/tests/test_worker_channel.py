"""The channel between a worker process and its supervisor."""

import socket
import subprocess
import sys

WORKER = """
import time
from pyfly.config_cli._serving.channel import Channel

Channel().say("live")
time.sleep(600)
"""


def test_a_worker_ends_with_a_supervisor_that_had_not_read_all_it_said() -> None:
    ours, theirs = socket.socketpair()
    with subprocess.Popen(
        [sys.executable, "-P", "-c", WORKER], stdin=theirs.fileno(), stderr=subprocess.PIPE
    ) as worker:
        theirs.close()
        assert ours.recv(64, socket.MSG_PEEK) == b"live\n"
        ours.close()  # with the line unread, which resets the connection
        try:
            assert worker.wait(60) == 1
        finally:
            worker.kill()
