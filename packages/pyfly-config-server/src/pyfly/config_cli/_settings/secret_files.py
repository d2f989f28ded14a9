"""Values that stand in files of their own: `TOKEN_FILE` names the file that holds `TOKEN`."""

from pathlib import Path
from typing import Final

from pyfly.config_cli._cli.texts import without_line_end
from pyfly.config_cli._errors import SettingsError

_KEY: Final = "encrypt_key"
_MAX_BYTES: Final = 1_048_576
_MAX_PATH: Final = 4096


def read_secret_file(path: Path, *, setting: str) -> str:
    """Return the value in a file.

    A byte order mark and one line end at the end of the file do not count. A relative name is
    resolved against the current directory.

    Args:
        path: The file.
        setting: The setting that names it, for messages.

    Raises:
        SettingsError: The file cannot be read, is empty, too large, or is not UTF-8.
    """
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


def is_file_name(field: str, text: str) -> bool:
    """True if a secret is the name of an existing file, or of one that this user may not see.

    Only the name for a key may be relative.
    """
    path = text.removeprefix("file:")
    if len(path) > _MAX_PATH or "\0" in path:
        return False
    if field != _KEY and not path.startswith("/"):
        return False
    try:
        return Path(path).is_file()
    except PermissionError:  # it leads into a directory that this user may not read
        return True
    except OSError:  # a name that is too long for this file system
        return False
