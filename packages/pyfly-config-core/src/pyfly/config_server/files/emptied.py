"""Whether a root without files is empty on purpose. Every process that uses the root can see it."""

import errno
import os
from pathlib import Path
from typing import Final

from pyfly.config_server.files.walk import has_file, has_label

__all__ = ["EMPTIED_NAME", "looks_lost", "mark_emptied"]

EMPTIED_NAME: Final = ".pyfly-config.emptied"
"""The name of a file that a store leaves in a root from which it has removed the last bundle.

It lies on the volume of the root, so that the directory below an unmounted volume lacks it.
"""

_NOT_ALLOWED: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))


def looks_lost(root: Path, *, has_directories: bool) -> bool:
    """True if there is no label, or no file, and no store removed the last bundle of this root.

    Args:
        root: The root directory.
        has_directories: True if each label is a directory; otherwise the files of one label are in
            the root.

    Raises:
        BackendUnavailableError: The root does not exist.
        OSError: The root cannot be listed.
    """
    has_content = has_label(root) if has_directories else has_file(root)
    return not has_content and not (root / EMPTIED_NAME).exists()


def mark_emptied(root: Path, *, has_directories: bool) -> None:
    """Leave the file after a removal, if no label, or no file, is left.

    Without the permission to do so, only the store that removed the last bundle knows it.

    Raises:
        BackendUnavailableError: The root does not exist.
        OSError: Another failure.
    """
    if looks_lost(root, has_directories=has_directories):
        try:
            os.close(os.open(root / EMPTIED_NAME, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        except OSError as error:
            if error.errno not in _NOT_ALLOWED:
                raise
