"""Where the directories of labels are below the root."""

import os
from dataclasses import dataclass
from pathlib import Path

from pyfly.config_server.files import safe_io
from pyfly.config_server.stores.filesystem.walk import list_root, walk_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A root with a directory for each label, or with the files of one label in the root itself."""

    root: Path
    flat_label: str | None
    """The only label, when the files lie in the root itself."""

    def open(self, label: str) -> int | None:
        """Open the directory of a label; `None` when there is none."""
        if self.flat_label is None:
            return safe_io.open_inside(self.root, label)
        return safe_io.open_root(self.root) if label == self.flat_label else None

    def path(self, label: str, name: str) -> str:
        """Return where a file is, below the root."""
        return name if self.flat_label is not None else f"{label}/{name}"

    def labels(self) -> list[tuple[str, list[str]]]:
        """Return the labels with the names of their files."""
        if self.flat_label is None:
            return walk_labels(self.root)
        return [(self.flat_label, list_root(self.root))]

    def is_in_place(self, label: str, directory: int) -> bool:
        """True if an open directory is still that of the label."""
        now = self.open(label)
        if now is None:
            return False
        with safe_io.opened(now):
            return os.path.samestat(os.fstat(now), os.fstat(directory))
