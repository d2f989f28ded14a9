"""How keys become file names and back: `<label>/<application>-<profile>.<suffix>` (design §8).

Pure functions; nothing is opened here.
"""

from collections.abc import Iterable

from pyfly.config_core import ConfigKey, InvalidConfigKeyError
from pyfly.config_server.text import SUFFIXES

PROPERTIES_SUFFIX = ".properties"


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


def keys_of(label: str, names: Iterable[str]) -> list[ConfigKey]:
    """Return the keys of the bundle files among `names`, sorted, each once.

    The name is split at the last `-`. Files that are no bundles are passed over.
    """
    keys = {key for name in names if (key := _key_of(label, name)) is not None}
    return sorted(keys, key=lambda key: (key.application, key.profile))


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
