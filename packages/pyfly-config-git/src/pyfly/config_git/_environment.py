"""The environment and options of every git process: closed, made from nothing."""

import os
import shlex
from pathlib import Path
from typing import Final

from pyfly.config_core import BackendUnavailableError
from pyfly.config_git._credentials import Credential
from pyfly.config_git._location import GitLocation

_INHERITED: Final = (
    *("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "TMPDIR"),
)
"""What git may take from the environment of the server: proxies and authorities."""
_HELPER: Final = (
    '!f() { test "$1" = get || exit 0; '
    'printf "username=%s\\npassword=%s\\n" "$PYFLY_GIT_USER" "$PYFLY_GIT_PASSWORD"; }; f'
)
"""A credential helper in one line of shell. The secret is in its environment only."""
_ASKPASS: Final = "askpass"
_ASKPASS_SCRIPT: Final = '#!/bin/sh\nprintf "%s\\n" "$PYFLY_GIT_PASSWORD"\n'
"""What ssh runs to get a passphrase. The secret is in its environment only."""


def local_environment(empty: Path) -> dict[str, str]:
    """Return the environment of commands that reach no remote.

    Args:
        empty: An empty directory, which is the home of git.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "HOME": str(empty),
        "XDG_CONFIG_HOME": str(empty),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_DEFAULT_REF_FORMAT": "files",
    }


def remote_environment(
    location: GitLocation,
    *,
    empty: Path,
    credential: Credential | None,
    configuration: Path | None,
) -> dict[str, str]:
    """Return the environment of commands that reach the remote.

    Args:
        location: The remote.
        empty: An empty directory.
        credential: As `read_credential` returns it.
        configuration: A file with the only setting that git takes from files: whose repositories
            are safe.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    made = inherited | local_environment(empty) | {"GIT_ALLOW_PROTOCOL": location.transport}
    if configuration is not None:
        made["GIT_CONFIG_GLOBAL"] = str(configuration)
    if location.transport == "ssh":
        made |= {"GIT_SSH_COMMAND": _ssh_command(location), "GIT_SSH_VARIANT": "ssh"}
    if location.passphrase_file is not None:  # without a display, ssh before 8.4 does not ask
        made |= {"SSH_ASKPASS": str(_askpass(empty.parent)), "SSH_ASKPASS_REQUIRE": "force"}
        made["DISPLAY"] = "none"
    if credential is not None:
        made |= {"PYFLY_GIT_USER": credential.user, "PYFLY_GIT_PASSWORD": credential.secret}
    return made


def _askpass(directory: Path) -> Path:
    """Write the program that gives ssh the passphrase."""
    path = directory / _ASKPASS
    path.write_text(_ASKPASS_SCRIPT, encoding="utf-8")
    path.chmod(0o700)
    return path


def _agent(location: GitLocation) -> str:
    """Return the socket of the agent, or `none`.

    Raises:
        BackendUnavailableError: There is no agent.
    """
    if not location.uses_agent:
        return "none"
    socket = os.environ.get("SSH_AUTH_SOCK", "")
    if not socket:
        raise BackendUnavailableError(
            "agent=true in the Git URL, but the variable SSH_AUTH_SOCK names no agent; start the "
            "server with it, or use key_file="
        )
    return socket


def remote_options(location: GitLocation, *, has_password: bool) -> tuple[str, ...]:
    """Return the options of git for commands that reach the remote. They hold no secret."""
    settings = [
        "credential.helper=",
        "http.followRedirects=false",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=20",
        "protocol.allow=never",
        f"protocol.{location.transport}.allow=always",
        "gc.auto=0",
        "maintenance.auto=false",
        f"core.hooksPath={os.devnull}",
        "submodule.recurse=false",
        "fetch.recurseSubmodules=false",
        "fetch.unpackLimit=100",
    ]
    if has_password:
        settings.append(f"credential.{location.host}.helper={_HELPER}")
    return tuple(part for setting in settings for part in ("-c", setting))


def _ssh_command(location: GitLocation) -> str:
    options = {
        "BatchMode": "yes" if location.passphrase_file is None else "no",
        "NumberOfPasswordPrompts": 1,
        "PreferredAuthentications": "publickey",
        "StrictHostKeyChecking": "yes",
        "GlobalKnownHostsFile": os.devnull,
        "IdentitiesOnly": "yes" if location.key_file else "no",
        "IdentityFile": location.key_file or "none",
        "IdentityAgent": _agent(location),
        "ProxyCommand": "none",
        "PermitLocalCommand": "no",
        "ForwardAgent": "no",
        "ClearAllForwardings": "yes",
        "ControlMaster": "no",
        "ControlPath": "none",
        "UpdateHostKeys": "no",
        "ConnectTimeout": 10,
        "ServerAliveInterval": 10,
        "ServerAliveCountMax": 3,
    }
    if location.known_hosts is not None:
        options["UserKnownHostsFile"] = location.known_hosts
    words = ["ssh", "-F", "none"]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return shlex.join(words)
