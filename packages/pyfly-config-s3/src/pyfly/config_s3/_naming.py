"""Bundles as text files: their names, and what a reader and a writer make of them.

`<label>/<application>-<profile>.<suffix>`, whatever it is that holds the files. Pure functions;
nothing is opened here.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_core import (
    BASE_PROFILE,
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
)
from pyfly.config_server.formats.text import SUFFIXES, holds_several_documents
from pyfly.config_server.storage import ConfigDocument, ConfigSource

PROPERTIES_SUFFIX: Final = ".properties"

MAX_RESOURCE_BYTES: Final = 10_485_760
"""The size of a plain file beside the bundles."""


def file_names(key: ConfigKey) -> tuple[str, ...]:
    """Return the names under which a reader looks, in that order."""
    stem = key.stem
    return tuple(stem + suffix for suffix in SUFFIXES)


def keys_of(label: str, names: Iterable[str]) -> list[ConfigKey]:
    """Return the keys of the bundle files among `names`, sorted, each once.

    The name is split at the last `-`; without one it is a base bundle. Files that are no bundles
    are passed over.
    """
    keys = {key for name in names if (key := _key_of(label, name)) is not None}
    return sorted(keys, key=lambda key: (key.application, key.profile))


def is_bundle(name: str) -> bool:
    """True if a file name is that of a bundle, for some profile or for every one."""
    return _key_of("main", name) is not None


def source_of(
    key: ConfigKey, *, name: str, version: str, documents: tuple[ConfigDocument, ...], size: int = 0
) -> ConfigSource:
    """Return the bundle that the file `name`, of `size` bytes, holds."""
    return ConfigSource.from_documents(key, documents, resource=name, version=version, size=size)


def check_writable(key: ConfigKey) -> None:
    """Refuse a key whose file name would read as another key's.

    Raises:
        InvalidConfigKeyError: The profile contains `-`, the application contains `/`, or it is a
            base bundle and its application contains `-`.
    """
    if key.is_base and "-" in key.application:
        raise InvalidConfigKeyError(
            "application",
            key.application,
            "the file of its base bundle would be read as that of a profile; save it without '-'",
        )
    if "-" in key.profile and not key.is_base:
        raise InvalidConfigKeyError(
            "profile",
            key.profile,
            "a file name cannot tell where such a profile begins; save it without '-'",
        )
    if "/" in key.application:
        raise InvalidConfigKeyError(
            "application",
            key.application,
            "a path cannot tell such an application from a label; save it without '/'",
        )


def check_flat_label(label: str, flat_label: str) -> None:
    """Refuse to save under a label that a flat layout does not have.

    Raises:
        InvalidConfigKeyError: It is not `flat_label`.
    """
    if label != flat_label:
        raise InvalidConfigKeyError(
            "label", label, f"a flat directory holds the label '{flat_label}' only"
        )


def check_rewritable(
    key: ConfigKey, *, name: str, data: bytes | None, beside_properties: bool
) -> None:
    """Refuse a save, or a removal, that would lose what a file says beside the bundle.

    Args:
        key: What is to be saved or removed.
        name: The file to be rewritten or removed.
        data: What it holds now, `None` when there is none.
        beside_properties: Whether the bundle also has a `.properties` file, or only that.

    Raises:
        ConfigObstructedError: There is a `.properties` file, or several documents in one file.
    """
    if beside_properties:
        raise ConfigObstructedError(
            f"{key.label}/{key.stem}{PROPERTIES_SUFFIX}",
            "a .properties file is never rewritten or removed",
        )
    if data is not None and holds_several_documents(data, suffix=PurePosixPath(name).suffix):
        raise ConfigObstructedError(
            f"{key.label}/{name}", "it holds several documents, which would be lost"
        )


def _key_of(label: str, name: str) -> ConfigKey | None:
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            application, dash, profile = name.removesuffix(suffix).rpartition("-")
            if not dash:
                application, profile = profile, BASE_PROFILE
            try:
                return ConfigKey(application=application, profile=profile, label=label)
            except InvalidConfigKeyError:
                return None
    return None
