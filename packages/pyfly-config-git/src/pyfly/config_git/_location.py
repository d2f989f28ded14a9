"""Parsing `git+…:` URLs."""

import ipaddress
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pyfly.config_core import BackendLookupError
from pyfly.config_server.files import Layout, SpringLayout, parse_layout

DEFAULT_REFRESH: Final = 30.0
"""Seconds between two fetches."""

_TRANSPORTS: Final = ("file", "http", "https", "ssh")
_FORM: Final = (
    "write a Git URL as git+https://host/path, git+ssh://user@host/path or git+file:///path"
)
_LAYOUT_OPTIONS: Final = ("layout", "profiles", "search")
_FILES: Final = {
    "password_file": "https",
    "key_file": "ssh",
    "passphrase_file": "ssh",
    "known_hosts": "ssh",
}
_CREDENTIALS: Final = ("helper", "netrc")
_FLAGS: Final = ("agent", "insecure", "trust_owner", "write")
_OPTIONS: Final = frozenset({*_LAYOUT_OPTIONS, *_FILES, *_FLAGS, "credentials", "refresh", "state"})
_SAFE_PATH: Final = re.compile(r"/[A-Za-z0-9/._+@,:=-]*")
"""Paths that ssh takes as they are; it expands `%` and divides at blanks."""
_SAFE_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+")
_SAFE_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_REFRESH: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLocation:
    """A remote repository, how it is reached, and how its files are read."""

    transport: str
    """`file`, `http`, `https` or `ssh`."""
    address: str
    """The URL for git, without a password."""
    layout: Layout = field(default_factory=SpringLayout)
    """The rules for file names."""
    refresh: float = DEFAULT_REFRESH
    """Seconds between two fetches."""
    writable: bool = False
    """True if bundles may be saved, with a push for each save."""
    state: Path | None = None
    """The directory for the clones of this user; by default one in the user's state directory."""
    user: str | None = None
    """The name for `http` and `https`."""
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    """A file with the password or token, read before each use."""
    key_file: Path | None = None
    """The private key for `ssh`."""
    passphrase_file: Path | None = None
    """A file with the passphrase of the key, read before each use."""
    uses_agent: bool = False
    """True if `ssh` asks the agent of `SSH_AUTH_SOCK` for keys."""
    credentials: str | None = None
    """Where `http` and `https` find a password: `helper`, those of git, or `netrc`."""
    known_hosts: Path | None = None
    """The host keys for `ssh`; by default those of the user."""
    trusts_owner: bool = False
    """True to read a local repository of another user."""

    @property
    def host(self) -> str:
        """The origin for credentials: `https://host:port`."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"


def parse_url(url: str) -> GitLocation:
    """Return the location for a URL such as `git+https://host/path?refresh=60`.

    Raises:
        BackendLookupError: The URL is malformed. The message shows names of parameters only.
        InvalidConfigKeyError: A profile is not acceptable.
    """
    try:
        parts = urlsplit(url.removeprefix("git+"))
        _ = parts.port
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:  # the text of the error may be a part of a password
        raise BackendLookupError(_FORM) from error.__cause__
    options = dict(given)
    if not url.startswith("git+") or parts.scheme not in _TRANSPORTS or parts.fragment:
        raise BackendLookupError(_FORM)
    if len(options) < len(given) or not options.keys() <= _OPTIONS:
        raise BackendLookupError(f"{_FORM}, with each of {', '.join(sorted(_OPTIONS))} once")
    flags = {name: _flag(name, options.get(name)) for name in _FLAGS}
    address = _address(parts, insecure=flags["insecure"])
    password = None if parts.password is None else unquote(parts.password)
    files = {name: _file(name, options[name], parts) for name in _FILES if name in options}
    return check_location(
        GitLocation(
            transport=parts.scheme,
            address=address,
            layout=_layout(options),
            refresh=_seconds(options.get("refresh")),
            writable=flags["write"],
            state=_path("state", options["state"]) if "state" in options else None,
            user=None
            if parts.username is None or parts.scheme == "ssh"
            else unquote(parts.username),
            password=password,
            password_file=files.get("password_file"),
            key_file=files.get("key_file"),
            passphrase_file=files.get("passphrase_file"),
            uses_agent=flags["agent"],
            credentials=options.get("credentials"),
            known_hosts=files.get("known_hosts"),
            trusts_owner=flags["trust_owner"],
        )
    )


def check_location(location: GitLocation) -> GitLocation:
    """Return the location, or refuse it.

    Raises:
        BackendLookupError: A part of it is not acceptable, or a part that it needs is missing.
    """
    if not 1 <= location.refresh <= _LONGEST_REFRESH:
        raise BackendLookupError(
            f"refresh of a Git URL must be seconds from 1 to {_LONGEST_REFRESH}"
        )
    _check_ssh(location)
    _check_credentials(location)
    has_password = location.password is not None or location.password_file is not None
    if has_password and not location.user:
        raise BackendLookupError("a Git URL with a password needs a user: https://user@host/path")
    if any(_CONTROL.search(text) for text in (location.user or "", location.password or "")):
        raise BackendLookupError("user and password of a Git URL must not hold control characters")
    for name in ("state", "key_file", "passphrase_file", "known_hosts"):
        path: Path | None = getattr(location, name)
        if path is not None and not _SAFE_PATH.fullmatch(str(path)):
            raise BackendLookupError(
                f"{name} of a Git URL must be an absolute path without blanks, quotes and '%'"
            )
    return location


def _check_ssh(location: GitLocation) -> None:
    if location.transport == "ssh" and location.key_file is None and not location.uses_agent:
        raise BackendLookupError(
            "a git+ssh: URL needs key_file=, the path of a private key, such as a deploy key, or "
            "agent=true"
        )
    if location.transport != "ssh" and location.uses_agent:
        raise BackendLookupError("use agent= with git+ssh: only")
    if location.passphrase_file is not None and location.key_file is None:
        raise BackendLookupError("passphrase_file= of a Git URL needs key_file=")


def _check_credentials(location: GitLocation) -> None:
    given = (location.password, location.password_file, location.credentials)
    if sum(one is not None for one in given) > 1:
        raise BackendLookupError(
            "give the password of a Git URL in one place: password_file=, credentials= or the URL"
        )
    if location.credentials is None:
        return
    if location.credentials not in _CREDENTIALS:
        raise BackendLookupError(
            f"credentials= of a Git URL must be one of {', '.join(_CREDENTIALS)}"
        )
    if location.transport not in {"http", "https"}:
        raise BackendLookupError("use credentials= with git+https: only")


def state_directory(location: GitLocation) -> Path:
    """Return the directory for all clones of this user.

    Raises:
        BackendLookupError: Its path has a blank, a quote or a `%`.
    """
    if location.state is not None:
        return location.state
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]  # set by systemd
    base = given or os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    path = Path(base) / "pyfly-config-git"
    if not _SAFE_PATH.fullmatch(str(path)):
        raise BackendLookupError(
            "name a directory for the clones in state= of the Git URL: an absolute path without "
            "blanks, quotes and '%'"
        )
    return path


def _address(parts: SplitResult, *, insecure: bool) -> str:
    """Return the URL for git."""
    path = unquote(parts.path)
    if _CONTROL.search(path) or not path.strip("/") or "@" in parts.netloc.rpartition("@")[0]:
        raise BackendLookupError(_FORM)
    if parts.scheme == "file":
        if parts.netloc:
            raise BackendLookupError("a git+file: URL has three slashes: git+file:///path")
        return f"file://{path}"
    host = parts.hostname or ""
    if not _SAFE_HOST.fullmatch(host):
        raise BackendLookupError(_FORM)
    if parts.scheme == "http" and not insecure and not _is_loopback(host):
        raise BackendLookupError(
            "git+http: sends password and configuration in the clear; use git+https:, or add "
            "insecure=true"
        )
    user = ""
    if parts.scheme == "ssh":
        if parts.password is not None or not _SAFE_USER.fullmatch(parts.username or ""):
            raise BackendLookupError(
                "a git+ssh: URL has a user and no password: git+ssh://git@host/path"
            )
        user = f"{parts.username}@"
    netloc = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{user}{netloc}{port}{parts.path}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _layout(options: dict[str, str]) -> Layout:
    given: dict[str, str] = {name: options[name] for name in _LAYOUT_OPTIONS if name in options}
    given.setdefault("layout", "spring")
    try:
        layout, _ = parse_layout(given, in_git=True)
    except BackendLookupError as error:
        raise BackendLookupError(f"{_FORM}; {error}") from error
    if given:  # `parse_layout` has taken the options that it knows
        raise BackendLookupError(f"{_FORM}; this layout has no {', '.join(sorted(given))}=")
    return layout


def _flag(name: str, text: str | None) -> bool:
    if text not in {None, "true", "false"}:
        raise BackendLookupError(f"{name} of a Git URL must be 'true' or 'false'")
    return text == "true"


def _file(name: str, text: str, parts: SplitResult) -> Path:
    if parts.scheme.removesuffix("s") != _FILES[name].removesuffix("s"):
        raise BackendLookupError(f"use {name}= with git+{_FILES[name]}: only")
    return _path(name, text)


def _path(name: str, text: str) -> Path:
    if not text.startswith("/") or _CONTROL.search(text):
        raise BackendLookupError(f"{name} of a Git URL must be an absolute path")
    return Path(text)


def _seconds(text: str | None) -> float:
    try:
        return DEFAULT_REFRESH if text is None else float(text)
    except ValueError:
        return math.nan
