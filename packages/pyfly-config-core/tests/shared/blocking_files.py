"""Bundles in files without threads: for tests of single operations, of kills and of faults."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyfly.config_core import ConfigKey
from pyfly.config_server.files import ChangeNote, DirectoryTree, LabelsLayout, ListedKey
from pyfly.config_server.files.loss import LossDetector
from pyfly.config_server.files.text_lister import TextLister
from pyfly.config_server.files.text_reader import TextReader
from pyfly.config_server.files.text_writer import TextWriter
from pyfly.config_server.storage import ConfigEntry, ConfigSource, Expected

SHARED: Final = Path(__file__).parent
"""For `PYTHONPATH` of processes that import this module."""
SECONDS: Final = 10.0


class BundleFiles:
    """The bundles below a root, one blocking call at a time."""

    def __init__(self, root: Path) -> None:
        tree, layout = DirectoryTree(root), LabelsLayout()
        loss = LossDetector(tree)
        self._reader = TextReader(tree, layout, loss)
        self._lister = TextLister(tree, layout, self._reader)
        self._writer = TextWriter(tree, layout, loss)
        self._tree = tree

    def fetch_many(self, keys: Sequence[ConfigKey]) -> list[ConfigSource | None]:
        return self._reader.fetch_many(keys, deadline=_deadline())

    def keys(self) -> list[ListedKey]:
        return self._lister.keys(deadline=_deadline())

    def entries(self, rows: Sequence[ListedKey]) -> list[ConfigEntry]:
        return self._lister.entries(rows, deadline=_deadline())

    def sources(self, rows: Sequence[ListedKey]) -> list[ConfigSource]:
        return self._lister.sources(rows, deadline=_deadline())

    def labels(self) -> list[str]:
        return self._lister.labels(deadline=_deadline())

    def has_label(self, label: str) -> bool:
        return self._lister.has_label(label, deadline=_deadline())

    def check(self) -> None:
        self._tree.check(deadline=_deadline())

    def save(self, source: ConfigSource, expected: Expected) -> str:
        note = ChangeNote()
        saved = self._writer.save(source, expected=expected, note=note, deadline=_deadline())
        return saved.version

    def delete(self, key: ConfigKey, expected: Expected) -> None:
        note = ChangeNote()
        self._writer.delete(key, expected=expected, note=note, deadline=_deadline())


def _deadline() -> float:
    return time.monotonic() + SECONDS
