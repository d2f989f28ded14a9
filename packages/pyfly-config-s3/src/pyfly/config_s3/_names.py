"""Where bundles lie below the prefix: names of objects to labels and names of files, and back.

Pure functions. The rules for names of files are `pyfly.config_server.files.layouts`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyfly.config_core import ConfigKey, InvalidConfigKeyError, check_path
from pyfly.config_s3._naming import file_names, keys_of
from pyfly.config_server.formats.text import SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How labels become beginnings of names.

    Args:
        flat_label: The only label, when there is nothing before the names of files.
    """

    flat_label: str | None

    def has(self, label: str) -> bool:
        """Tell whether anything can lie under a label."""
        return self.flat_label in {None, label}

    def begin(self, label: str) -> str:
        """Return what the names under a label begin with."""
        return "" if self.flat_label is not None else f"{label}/"

    def of(self, label: str, file_name: str) -> str:
        """Return the name of an object."""
        return self.begin(label) + file_name

    def file_name(self, label: str, name: str) -> str:
        """Return what `of` was given for the name of an object under a label."""
        return name.removeprefix(self.begin(label))

    def split(self, name: str) -> tuple[str, str]:
        """Return the label that a listing shows, possibly none that is acceptable, and the file."""
        if self.flat_label is not None:
            return self.flat_label, name
        label, _, file_name = name.rpartition("/")
        return label, file_name


def bundles_in(places: Places, versions: Mapping[str, str]) -> dict[ConfigKey, tuple[str, str]]:
    """Return the bundles among objects: the file that a reader uses, and its version.

    Args:
        places: How names are made.
        versions: The versions of all objects by name.
    """
    files: dict[str, dict[str, str]] = {}
    for name, version in versions.items():
        label, file_name = places.split(name)
        files.setdefault(label, {})[file_name] = version
    found: dict[ConfigKey, tuple[str, str]] = {}
    for label, present in files.items():
        for key in keys_of(label, present):
            used = next(name for name in file_names(key) if name in present)
            found[key] = (used, present[used])
    return dict(sorted(found.items(), key=lambda row: row[0].sort_key))


def holds_configuration(file_names_: Iterable[str]) -> bool:
    """Tell whether any of the names is that of a bundle, with a profile or without."""
    return any(name.endswith(SUFFIXES) and not name.startswith(".") for name in file_names_)


def version_of(etag: str, version_id: str | None) -> str:
    """Return the version of a bundle: the bucket's own where it keeps versions."""
    return etag if version_id in {None, "", "null"} else str(version_id)


def is_path(text: str) -> bool:
    """True if an object may be served under this path below its label."""
    try:
        check_path(text)
    except InvalidConfigKeyError:
        return False
    return True
