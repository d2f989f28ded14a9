"""What files held when they were last read: parsed once, until they change."""

import threading
from collections import OrderedDict
from typing import Final

from pyfly.config_server.files.bundle_files import ParsedFile

__all__ = ["ParseCache"]

_CACHED_FILES: Final = 4096
_CACHED_BYTES: Final = 8_388_608  # of text; parsed it takes some three times as much


class ParseCache:
    """Parsed files by their places. Bounded; what was not used for longest goes first.

    Several threads may use it.

    Args:
        files: So many at most.
        size: So many bytes of text at most.
    """

    def __init__(self, *, files: int = _CACHED_FILES, size: int = _CACHED_BYTES) -> None:
        self._files, self._size = files, size
        self._parsed: OrderedDict[str, ParsedFile] = OrderedDict()
        self._bytes = 0
        self._guard = threading.Lock()

    def get(self, place: str) -> ParsedFile | None:
        """Return what was last parsed there."""
        with self._guard:
            parsed = self._parsed.get(place)
            if parsed is not None:
                self._parsed.move_to_end(place)
            return parsed

    def put(self, place: str, parsed: ParsedFile) -> None:
        """Remember what a file holds, in place of what it held before."""
        with self._guard:
            before = self._parsed.pop(place, None)
            self._parsed[place] = parsed
            self._bytes += parsed.size - (before.size if before else 0)
            while len(self._parsed) > self._files or self._bytes > self._size:
                _, dropped = self._parsed.popitem(last=False)
                self._bytes -= dropped.size
