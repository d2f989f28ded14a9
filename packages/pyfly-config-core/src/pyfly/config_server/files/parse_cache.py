"""A cache of parsed files."""

import contextlib
import sys
import threading
from collections import OrderedDict
from typing import Final

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.files.bundle_files import ParsedFile

__all__ = ["ParseCache"]

_CACHED_FILES: Final = 4096
_CACHED_BYTES: Final = 67_108_864
_PROPERTY_BYTES: Final = 160
"""The estimated memory of a property in trees, flat keys and origins, without these two keys."""


class ParseCache:
    """Parsed files by path. The least recently used files are dropped first.

    Safe for use from several threads.

    Args:
        files: The largest number of files.
        size: The largest memory in bytes, as estimated from the text and the flat keys.
    """

    def __init__(self, *, files: int = _CACHED_FILES, size: int = _CACHED_BYTES) -> None:
        self._files, self._size = files, size
        self._parsed: OrderedDict[str, tuple[ParsedFile, int]] = OrderedDict()
        self._bytes = 0
        self._guard = threading.Lock()

    def get(self, place: str) -> ParsedFile | None:
        """Return the cached file, or `None`."""
        with self._guard:
            known = self._parsed.get(place)
            if known is None:
                return None
            self._parsed.move_to_end(place)
            return known[0]

    def put(self, place: str, parsed: ParsedFile) -> None:
        """Add or replace a file."""
        weight = _weight(parsed)
        with self._guard:
            _, before = self._parsed.pop(place, (parsed, 0))
            self._parsed[place] = (parsed, weight)
            self._bytes += weight - before
            while len(self._parsed) > self._files or self._bytes > self._size:
                _, (_, dropped) = self._parsed.popitem(last=False)
                self._bytes -= dropped


def _weight(parsed: ParsedFile) -> int:
    """Return the estimated memory of a parsed file in bytes, after requests have flattened it.

    A small file with a long key above many values has large flat keys. Its origins have the same
    keys. Only JSON, which has no origins, is flattened here.
    """
    weight = parsed.size
    for document in parsed.documents:
        with contextlib.suppress(ConfigFormatError):  # too large to keep
            keys = document.origins or document.flat.values
            weight += 2 * sum(map(sys.getsizeof, keys)) + len(keys) * _PROPERTY_BYTES
    return weight
