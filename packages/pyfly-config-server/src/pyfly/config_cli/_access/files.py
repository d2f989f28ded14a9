"""The access file on disk: found by the settings, read whole, replaced whole by one writer."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pyfly.config_cli._errors import ArgumentError
from pyfly.config_core import BackendUnavailableError
from pyfly.config_server.access.access_file import AccessEntry, AccessTable, parse_access_file
from pyfly.config_server.files.atomic import locked, replace_file
from pyfly.config_server.files.platforms import check_platform
from pyfly.config_server.files.safe_io import DIRECTORY, opened, translated

_LOCK_SECONDS: Final = 10.0
_PRIVATE: Final = 0o600


class AccessText(NamedTuple):
    """The text of an access file, and what it means."""

    text: str
    table: AccessTable

    def entry(self, name: str) -> AccessEntry:
        """Return a principal.

        Raises:
            ArgumentError: There is none of this name.
        """
        found = self.table.entries.get(name)
        if found is None:
            raise ArgumentError(
                f"there is no principal {name!r}; there are: {', '.join(self.table.entries)}"
            )
        return found


def access_path(file: str | None, settings: str | None) -> Path:
    """Return the path of the access file: as given, or as the settings of the server name it.

    Raises:
        ArgumentError: Neither names one.
        SettingsError: A setting cannot be used.
    """
    if file is None:
        # pydantic is not imported to complete a command line
        from pyfly.config_cli._settings.loading import load_settings  # noqa: PLC0415

        file = load_settings({} if settings is None else {"settings": settings}).access_file
    if not file:
        raise ArgumentError(
            "no access file is configured; name one with --file, or set "
            "PYFLY_CONFIG_SERVER_ACCESS_FILE, or name the settings file of the server with "
            "--settings"
        )
    return Path(file)


def read_access(path: Path) -> AccessText:
    """Return the text of an access file.

    Raises:
        ArgumentError: There is no such file.
        BackendError: It cannot be read.
        ConfigFormatError: It is broken.
    """
    try:
        with translated(f"read {str(path)!r}"):
            data = path.read_bytes()
    except BackendUnavailableError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ArgumentError(
                f"there is no access file {str(path)!r}; the first 'pyfly-config access add' "
                "makes it"
            ) from None
        raise
    table = parse_access_file(data, where=str(path))
    return AccessText(data.decode("utf-8-sig"), table)


def change_access(
    path: Path, change: Callable[[AccessText], str], *, creates: bool = False
) -> None:
    """Replace an access file by a changed one, atomically and durably; other writers wait.

    A new file can be read and written by its owner only; an existing one keeps its permissions.

    Args:
        path: The file. A link stays one: what it leads to is replaced.
        change: Returns the new text.
        creates: True to begin with an empty text if there is no file.

    Raises:
        ConfigError: It cannot be read or written, or was changed meanwhile; nothing was written.
    """
    check_platform()
    path = Path(os.path.realpath(path))
    directory = str(path.parent)
    with (
        translated(f"write {str(path)!r}"),
        opened(os.open(directory, DIRECTORY)) as descriptor,
        locked(descriptor, what=repr(directory), deadline=time.monotonic() + _LOCK_SECONDS),
    ):
        is_new = creates and not path.exists()
        before = None if is_new else path.read_bytes()
        found = AccessText("", AccessTable({})) if is_new else read_access(path)
        data = change(found).encode()

        def check() -> None:
            now = path.read_bytes() if path.exists() else None
            if now != before:
                raise ArgumentError(f"{str(path)!r} was changed meanwhile; repeat the command")

        replace_file(descriptor, path.name, data, check=check, mode=_PRIVATE)
