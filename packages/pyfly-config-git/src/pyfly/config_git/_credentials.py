"""Passwords and passphrases for a remote: read before each use, so that they may change.

Nothing ever asks a person: a process without a terminal would hang.
"""

import base64
import binascii
import netrc
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pyfly.config_core import BackendUnavailableError
from pyfly.config_git._location import GitLocation
from pyfly.config_git._process import Git, GitError, RunningProcesses

_MAX_BYTES: Final = 65_536
_HELPER_SECONDS: Final = 30.0
_NOT_PASSED_ON: Final = ("PYFLY_", "SSH_ASKPASS")
_OPENSSH: Final = b"openssh-key-v1\0"
"""The beginning of a key of OpenSSH; the length of the name of its cipher and the name follow."""
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A name and a password for HTTP, or a passphrase for the key of SSH."""

    user: str = ""
    secret: str = field(repr=False)


def read_credential(
    location: GitLocation, *, running: RunningProcesses | None = None
) -> Credential | None:
    """Return the password of the URL, its file, a helper of git or `.netrc`; `None` without one.

    For SSH it is the passphrase of the key.

    Args:
        location: The remote.
        running: Where the process of a helper is noted.

    Raises:
        BackendUnavailableError: A source has none, or cannot be read.
    """
    user = location.user or ""
    if location.credentials == "helper":
        return _from_helper(location, running)
    if location.credentials == "netrc":
        return _from_netrc(location)
    if location.passphrase_file is not None:
        return Credential(secret=_line_of(location.passphrase_file, "passphrase"))
    if location.password_file is not None:
        return Credential(user=user, secret=_line_of(location.password_file, "password"))
    return None if location.password is None else Credential(user=user, secret=location.password)


def needs_passphrase(key_file: Path) -> bool:
    """True if a private key is encrypted; false if that cannot be told."""
    try:
        text = key_file.read_bytes()[:_MAX_BYTES].decode(errors="replace")
        if "ENCRYPTED" in text:
            return True
        body = base64.b64decode(text.partition("KEY-----")[2].partition("-----")[0])
    except (OSError, binascii.Error):
        return False
    cipher = body.removeprefix(_OPENSSH)[_LENGTH_BYTES:]
    return body.startswith(_OPENSSH) and not cipher.startswith(b"none")


def _line_of(path: Path, what: str) -> str:
    try:
        data = path.read_bytes()
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BackendUnavailableError(f"the {what} file {path} cannot be read: {reason}") from None
    if not text or len(data) > _MAX_BYTES or any(one in text for one in "\r\n\0"):
        raise BackendUnavailableError(f"the {what} file {path} must hold the {what} in one line")
    return text


def _from_helper(location: GitLocation, running: RunningProcesses | None) -> Credential:
    """Ask `git credential fill` with the settings of the user who runs this process."""
    parts = urlsplit(location.address)
    lines = {"protocol": parts.scheme, "host": parts.netloc, "path": parts.path.lstrip("/")}
    if location.user:
        lines["username"] = location.user
    asked = "".join(f"{name}={value}\n" for name, value in lines.items()) + "\n"
    git = Git(directory=Path("/"), environment=_user_environment(), running=running)
    command = ["git", "-c", "core.askPass=", "credential", "fill"]
    deadline = time.monotonic() + _HELPER_SECONDS
    try:
        output = git.run_command(command, name="credential", deadline=deadline, data=asked.encode())
    except GitError:  # its text is that of a foreign program, which may show a secret
        output = b""
    lines_found = output.decode(errors="replace").splitlines()
    found = dict(line.split("=", 1) for line in lines_found if "=" in line)
    if not found.get("password") or "\0" in found["password"]:
        raise BackendUnavailableError(
            f"git has no password for {location.host} without asking a person; configure "
            "credential.helper for the user who runs the server, and try it with: "
            "git credential fill"
        )
    return Credential(user=found.get("username", ""), secret=found["password"])


def _user_environment() -> dict[str, str]:
    """Return the environment of this process, so that git finds the settings of its user.

    Without secrets of this project, and without what makes git ask a person.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_PASSED_ON)
        and (not name.startswith("GIT_") or name.startswith("GIT_CONFIG"))
    }
    return inherited | {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never"}


def _from_netrc(location: GitLocation) -> Credential:
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        found = netrc.netrc(str(path)).authenticators(urlsplit(location.address).hostname or "")
    except netrc.NetrcParseError as error:  # its text may show a password
        raise BackendUnavailableError(f"{path} does not parse at line {error.lineno}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BackendUnavailableError(f"{path} cannot be read: {reason}") from None
    user, _, password = found or ("", "", "")
    if not password or (location.user and location.user != user):
        who = f"the user '{location.user}' of " if location.user else ""
        raise BackendUnavailableError(f"{path} has no password for {who}{location.host}")
    return Credential(user=user, secret=password)
