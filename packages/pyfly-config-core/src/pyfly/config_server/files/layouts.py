"""Bundles as text files: their names, and what a reader and a writer make of them (design §8).

`<label>/<application>-<profile>.<suffix>`, whatever it is that holds the files. Pure functions;
nothing is opened here.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_core import (
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
)
from pyfly.config_server.formats.text import SUFFIXES, holds_several_documents
from pyfly.config_server.storage import ConfigDocument, ConfigSource

PROPERTIES_SUFFIX: Final = ".properties"

MAX_RESOURCE_BYTES: Final = 10_485_760
"""The size of a plain file beside the bundles."""


def file_stem(key: ConfigKey) -> str:
    """Return the file name without its suffix."""
    return f"{key.application}-{key.profile}"


def file_names(key: ConfigKey) -> tuple[str, ...]:
    """Return the names under which a reader looks, in that order."""
    stem = file_stem(key)
    return tuple(stem + suffix for suffix in SUFFIXES)


def base_file_names(application: str) -> tuple[str, ...]:
    """Return the names of an application's file for every profile, in the order of reading."""
    return tuple(application + suffix for suffix in SUFFIXES)


def keys_of(label: str, names: Iterable[str]) -> list[ConfigKey]:
    """Return the keys of the bundle files among `names`, sorted, each once.

    The name is split at the last `-`. Files that are no bundles are passed over.
    """
    keys = {key for name in names if (key := _key_of(label, name)) is not None}
    return sorted(keys, key=lambda key: (key.application, key.profile))


def source_of(
    key: ConfigKey, *, name: str, version: str, documents: tuple[ConfigDocument, ...], size: int = 0
) -> ConfigSource:
    """Return the bundle that the file `name`, of `size` bytes, holds."""
    return ConfigSource(
        application=key.application,
        profile=key.profile,
        label=key.label,
        properties=documents[0].properties if len(documents) == 1 else {},
        version=version,
        resource=name,
        documents=documents,
        size=size,
    )


def check_writable(key: ConfigKey) -> None:
    """Refuse a key whose file name would read as another key's.

    Raises:
        InvalidConfigKeyError: The profile contains `-` or the application contains `/`.
    """
    if "-" in key.profile:
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
            f"{key.label}/{file_stem(key)}{PROPERTIES_SUFFIX}",
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
                return None
            try:
                return ConfigKey(application=application, profile=profile, label=label)
            except InvalidConfigKeyError:
                return None
    return None
