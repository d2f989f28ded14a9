"""Secrets that stand in files of their own: `TOKEN_FILE` names the file that holds `TOKEN`."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from pyfly.config_cli._known import SECRETS, SettingsError

_SUFFIX: Final = "_FILE"
_KEY: Final = "ENCRYPT_KEY"
_MAX_BYTES: Final = 1_048_576
_MAX_PATH: Final = 4096
_LINE_END: Final = re.compile(r"\r?\n\Z")

FILE_SETTINGS: Final = {name + _SUFFIX: name for name in sorted(SECRETS | {"BACKEND", "USERNAME"})}
"""The settings that name a file, with the setting that the file holds."""


def read_secret_files(
    values: Mapping[str, str], *, where: str = "", spelled: Callable[[str], str]
) -> dict[str, str]:
    """Return the settings with every `…_FILE` replaced by what the file holds.

    A byte order mark and one line end at the end of the file do not count. A relative name is
    resolved against the current directory.

    Args:
        values: Settings of one origin, by names without prefix.
        where: Put before messages.
        spelled: Returns how the user writes the name of a setting there.

    Raises:
        SettingsError: A file cannot be read, is empty or is not UTF-8; a setting is also given
            itself; or a secret is the name of a file.
    """
    found = {name: value for name, value in values.items() if name not in FILE_SETTINGS}
    for name in SECRETS & found.keys():
        if _is_file(name, found[name]):
            raise SettingsError(
                f"{where}{spelled(name)} is the name of a file; to use what the file holds, set "
                f"{spelled(name + _SUFFIX)} instead"
            )
    for name in values.keys() & FILE_SETTINGS.keys():
        target = FILE_SETTINGS[name]
        if target in found:
            raise SettingsError(f"{where}set either {spelled(target)} or {spelled(name)}, not both")
        found[target] = _read(where + spelled(name), Path(values[name]))
    return found


def without_line_end(text: str) -> str:
    """Return a secret without the one line end that editors, `echo` and pipes put behind it."""
    return _LINE_END.sub("", text)


def _read(setting: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = without_line_end(data.decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{setting}: cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError:  # not chained: it holds the bytes
        raise SettingsError(f"{setting}: {str(path)!r} is not UTF-8") from None
    if not text or len(data) > _MAX_BYTES:
        size = "is empty" if not text else f"is larger than {_MAX_BYTES:,} bytes"
        raise SettingsError(f"{setting}: {str(path)!r} {size}")
    return text


def _is_file(setting: str, text: str) -> bool:
    """True if a secret is the name of an existing file, or of one that this user may not see.

    Only that of a key may be relative.
    """
    path = text.removeprefix("file:")
    if len(path) > _MAX_PATH or "\0" in path:
        return False
    if setting != _KEY and not path.startswith("/"):
        return False
    try:
        return Path(path).is_file()
    except PermissionError:  # it leads into a directory that this user may not read
        return True
    except OSError:  # a name that is too long for this file system
        return False
