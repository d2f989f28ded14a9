"""Telling systemd that the server is ready (`sd_notify`, for units with `Type=notify`)."""

import contextlib
import os
import socket
import sys


def notify_ready() -> None:
    """Tell the service manager that requests are answered; does nothing without one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or sys.platform == "win32":
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1", address)
