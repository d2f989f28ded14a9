"""The freezes of a text store: a hidden file in the root of its tree. Blocking.

Its name begins with a dot, so that it is no bundle, no plain file and no change of either.
"""

import random
import time
from typing import Final

from pyfly.config_core import BackendUnavailableError, ConfigFormatError
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.files.file_tree import (
    ChangeNote,
    FilesChangedError,
    FileTree,
    UnsettledFileError,
)
from pyfly.config_server.storage import check_freezes

__all__ = ["FREEZES_NAME", "FreezeFile"]

FREEZES_NAME: Final = ".pyfly-config-freezes.json"

_LONE_BYTES: Final = "surrogateescape"
_LONGEST_PAUSE_SECONDS: Final = 0.1


class FreezeFile:
    """The text of the freezes in a tree. Safe for use from several threads and processes.

    Deadlines are times of the monotonic clock.

    Args:
        tree: The tree of files.
    """

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree

    def load(self, *, deadline: float) -> str | None:
        """Return the text as it is now; `None` if there is none.

        Bytes that are not UTF-8 become lone surrogates, so that such a text can be replaced.

        Raises:
            ConfigFormatError: It is too large.
        """
        try:
            data = self._tree.read_hidden(FREEZES_NAME, limit=MAX_DOCUMENT_BYTES, deadline=deadline)
        except ConfigFormatError as error:
            raise error.at(FREEZES_NAME) from error
        return None if data is None else data.decode(errors=_LONE_BYTES)

    def store(self, text: str, *, expected: str | None, note: ChangeNote, deadline: float) -> None:
        """Replace the text; again if the tree changes in the meantime, until the deadline.

        Raises:
            ConfigConflictError: `expected` does not hold.
            BackendUnavailableError: The file cannot be written in time.
        """
        wanted = None if expected is None else expected.encode(errors=_LONE_BYTES)
        while True:
            try:
                self._tree.replace_hidden(
                    FREEZES_NAME, text.encode(), expected=wanted, note=note, deadline=deadline
                )
            except (FilesChangedError, UnsettledFileError) as error:
                if time.monotonic() >= deadline:
                    raise BackendUnavailableError(f"{error}; nothing was written") from error
            else:
                return
            time.sleep(_LONGEST_PAUSE_SECONDS * random.random())  # noqa: S311 - spreads writers
            check_freezes(self.load(deadline=deadline), expected=expected)
