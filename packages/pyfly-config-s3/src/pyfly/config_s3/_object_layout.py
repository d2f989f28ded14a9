"""The names of objects for labels and paths. Pure functions.

The rules for file names are in `pyfly.config_server.files`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pyfly.config_core import ConfigKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectLayout:
    """The prefixes of object names for labels."""

    label: str | None
    """The only label if names do not begin with a label; otherwise `None`."""

    def has(self, label: str) -> bool:
        """True if the label can have objects."""
        return self.label in {None, label}

    def begin(self, label: str) -> str:
        """Return the prefix of the names under a label."""
        return "" if self.label is not None else f"{label}/"

    def name(self, label: str, path: str) -> str:
        """Return the name of an object."""
        return self.begin(label) + path

    def path(self, label: str, name: str) -> str:
        """Return the path under a label of an object."""
        return name.removeprefix(self.begin(label))

    def siblings(self, key: ConfigKey, path: str | None = None) -> str:
        """Return the prefix of the listing that includes a file of a bundle.

        The bundles of an application in all profiles are one listing in each directory, its base
        bundle another.

        Args:
            key: The bundle.
            path: The path of the file; `None` for one directly under the label.
        """
        directory = "" if path is None else path.rpartition(".")[0].removesuffix(key.stem)
        return self.name(key.label, directory + key.application + ("." if key.is_base else "-"))

    def split(self, name: str) -> tuple[str, str]:
        """Return the label of a listed object, possibly not an acceptable one, and its file."""
        if self.label is not None:
            return self.label, name
        label, _, file_name = name.rpartition("/")
        return label, file_name


def is_hidden(name: str) -> bool:
    """True if a part of a name begins with a dot: no file of configuration."""
    return name.startswith(".") or "/." in name


def directories_of(names: Iterable[str]) -> set[str]:
    """Return everything before a slash in the names."""
    found: set[str] = set()
    for name in names:
        parent = name.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def version_of(etag: str, version_id: str | None) -> str:
    """Return the version of a file: the one of the bucket where it keeps versions."""
    return etag if version_id in {None, "", "null"} else str(version_id)
