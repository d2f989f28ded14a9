"""Whether the git command can be used."""

import os
import re
import subprocess
from functools import cache
from typing import Final

from pyfly.config_core import BackendUnavailableError

_OLDEST: Final = (2, 30)
_SECONDS: Final = 5.0
_VERSION: Final = re.compile(rb"git version (\d+)\.(\d+)")


def check_git() -> None:
    """Return if git is installed and new enough.

    Raises:
        BackendUnavailableError: It is not.
    """
    found = _version()
    if found < _OLDEST:
        raise BackendUnavailableError(
            f"git {found[0]}.{found[1]} is too old; install Git 2.30 or newer"
        )


@cache
def _version() -> tuple[int, int]:
    try:
        output = subprocess.run(
            ["git", "version"],  # noqa: S607 - the git of this user
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_SECONDS,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendUnavailableError(
            "the program 'git' cannot be run; install Git 2.30 or newer"
        ) from error
    match = _VERSION.match(output)
    return (int(match[1]), int(match[2])) if match else _OLDEST
