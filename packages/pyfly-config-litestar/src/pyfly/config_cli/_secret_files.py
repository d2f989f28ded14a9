"""Secrets that stand in files of their own: `TOKEN_FILE` names the file that holds `TOKEN`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyfly.config_cli._known import SECRETS, SettingsError

_SUFFIX: Final = "_FILE"
_MAX_BYTES: Final = 1_048_576
_MAX_PATH: Final = 4096
_LINE_END: Final = re.compile(r"\r?\n\Z")

FILE_SETTINGS: Final = {name + _SUFFIX: name for name in sorted(SECRETS | {"BACKEND", "USERNAME"})}
"""The settings that name a file, with the setting that the file holds."""


def read_secret_files(values: Mapping[str, str], *, where: str) -> dict[str, str]:
    """Return the settings with every `…_FILE` replaced by what the file holds.

    One line end at the end of the file does not count. A relative name is resolved against the
    current directory.

    Args:
        values: Settings of one origin, by names without prefix.
        where: Put before a name in messages.

    Raises:
        SettingsError: A file cannot be read, is empty or is not UTF-8; a setting is also given
            itself; or a secret is the name of a file.
    """
    found = {name: value for name, value in values.items() if name not in FILE_SETTINGS}
    for name in SECRETS & found.keys():
        _check_no_file(f"{where}{name}", found[name])
    for name in values.keys() & FILE_SETTINGS.keys():
        target = FILE_SETTINGS[name]
        if target in found:
            raise SettingsError(f"set either {where}{target} or {where}{name}, not both")
        found[target] = _read(f"{where}{name}", Path(values[name]))
    return found


def _read(setting: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = _LINE_END.sub("", data.decode())
    except OSError as error:
        raise SettingsError(f"{setting}: cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError:  # not chained: it holds the bytes
        raise SettingsError(f"{setting}: {str(path)!r} is not UTF-8") from None
    if not text or len(data) > _MAX_BYTES:
        size = "is empty" if not text else f"is larger than {_MAX_BYTES:,} bytes"
        raise SettingsError(f"{setting}: {str(path)!r} {size}")
    return text


def _check_no_file(setting: str, text: str) -> None:
    """Refuse a secret that is the absolute name of an existing file."""
    if not text.startswith("/") or len(text) > _MAX_PATH or "\0" in text:
        return
    try:
        is_file = Path(text).is_file()
    except OSError:  # a name that is too long for this file system
        return
    if is_file:
        raise SettingsError(
            f"{setting} is the name of a file; to use what the file holds, set "
            f"{setting}{_SUFFIX} instead"
        )
