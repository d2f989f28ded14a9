"""The requirements of the filesystem store on the operating system."""

import os
from importlib import import_module

from pyfly.config_core import UnsupportedOperationError

__all__ = ["check_platform"]


def check_platform() -> None:
    """Refuse an operating system that cannot keep bundles in files safely.

    Raises:
        UnsupportedOperationError: The system lacks locks, or cannot open files below a directory
            without following links. The message names the missing functions.
    """
    missing = [
        name for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK") if not hasattr(os, name)
    ]
    if os.open not in os.supports_dir_fd:
        missing.append("dir_fd")
    try:
        import_module("fcntl")
    except ImportError:
        missing.append("fcntl")
    if missing:
        raise UnsupportedOperationError(
            "the filesystem store",
            f"this operating system, which lacks {', '.join(missing)}; use memory: or a database",
        )
