"""What `serve` can be told, and whether it makes sense. Nothing is read or opened here."""

import contextlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pyfly.config_cli._encryption_settings import flags_of, keys_of
from pyfly.config_cli._health_settings import health_of
from pyfly.config_cli._known import (
    PREFIX,
    SettingsError,
    flag_of,
    flat_texts,
    mapping_of,
    value_of,
)
from pyfly.config_cli._suggest import nearest
from pyfly.config_server import EncryptionKeys, HealthSettings, HostPolicy, SharedCredential

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_SHOWN: Final = re.compile(
    r"(?P<start>//|(?!//))"
    r"(?:(?P<user>[^:@/?#]*)(?::[^@/?#]*)?@)?"
    r"(?P<end>(?:[\w.,~%-]*|\[[0-9A-Fa-f:.]*\])(?::\d+)?(?:/[^@?#]*)?)"
    r"(?:\?[^@#]*)?"
)
_MAX_PORT: Final = 65_535
_MAX_WORKERS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Everything that `serve` was told."""

    backends: tuple[str, ...] = field(repr=False)
    """URLs of the stores, the highest first; may carry credentials."""
    shown: str
    """The stores as they may be shown."""
    host: str
    port: int
    workers: int
    base_path: str
    options: Mapping[str, Any] = field(repr=False)
    """The further arguments of `ConfigServer`."""
    keys: EncryptionKeys | None = field(repr=False)
    encryption: Mapping[str, bool]
    """The further arguments of `Encryption`."""
    health: HealthSettings
    credential: SharedCredential | None
    hosts: HostPolicy | None
    """By which names it may be called; `None` with a credential or `--insecure`."""

    @property
    def url(self) -> str:
        """Where the documents are found."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.base_path}"


def parse_settings(values: Mapping[str, str]) -> ServeSettings:
    """Check every setting.

    Args:
        values: By name without prefix.

    Raises:
        SettingsError: One of them cannot be used.
    """
    stores = [store_url(line.strip()) for line in value_of(values, "BACKEND").splitlines() if line]
    if not stores:
        raise SettingsError(
            f"what shall be served? Name a directory or a URL, or set {PREFIX}BACKEND; "
            "for example: pyfly-config serve ./config"
        )
    credential, insecure = _credential(values), flag_of(values, "INSECURE")
    hosts = _hosts(values)
    settings = ServeSettings(
        backends=tuple(url for url, _ in stores),
        shown=", ".join(shown for _, shown in stores),
        host=value_of(values, "HOST"),
        port=_number(values, "PORT", limit=_MAX_PORT),
        workers=_number(values, "WORKERS", limit=_MAX_WORKERS),
        base_path=value_of(values, "BASE_PATH"),
        options=_options(values),
        keys=keys_of(values),
        encryption=flags_of(values),
        health=health_of(values),
        credential=credential,
        hosts=hosts if credential is None and not insecure else None,
    )
    if settings.workers > 1 and any(url.startswith("memory:") for url in settings.backends):
        raise SettingsError("'memory:' is one process's own; serve it with one worker")
    return settings


def store_url(text: str) -> tuple[str, str]:
    """Return the URL of a store that was named by a directory or a URL, and how to show it.

    Raises:
        SettingsError: There is no such directory, or this user may not look for it.
    """
    if _SCHEME.match(text):
        return text, shown_store(text)
    path = Path(text)
    try:
        exists, is_directory = path.exists(), path.is_dir()
    except OSError as error:
        raise SettingsError(
            f"cannot look for the directory {text[:80]!r}: {error.strerror}"
        ) from error
    if not exists:
        if "@" in text:  # meant as a URL, with a password in it
            raise SettingsError("a store is a directory, or a URL that begins with its scheme")
        raise SettingsError(f"there is no directory {text!r}{_near(path)}")
    if not is_directory:
        raise SettingsError(f"{text!r} is a file; name the directory that holds the labels")
    return path.resolve().as_uri(), text


def _near(path: Path) -> str:
    """Return a question about the directory beside the missing one that has a similar name."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return ""
    found = nearest(path.name, names)
    return "" if found is None else f"; did you mean {str(path.with_name(found))!r}?"


def shown_store(url: str) -> str:
    """Return the URL of a store as it may be shown: without password and without options.

    What cannot be told apart from a password is left out, too.
    """
    scheme, _, rest = url.partition(":")
    if rest.isprintable() and (match := _SHOWN.fullmatch(rest)):
        user = "" if match["user"] is None else match["user"] + "@"
        return f"{scheme}:{match['start']}{user}{match['end']}"
    return f"{scheme}:"


def _options(values: Mapping[str, str]) -> dict[str, Any]:
    return {
        "default_label": value_of(values, "DEFAULT_LABEL"),
        "default_application_name": value_of(values, "DEFAULT_APPLICATION_NAME"),
        "default_profile": value_of(values, "DEFAULT_PROFILE"),
        "overrides": flat_texts(mapping_of(values, "OVERRIDES")),
        "accept_empty": flag_of(values, "ACCEPT_EMPTY"),
        "fail_on_composite_error": flag_of(values, "FAIL_ON_COMPOSITE_ERROR"),
        "continue_on_label_failure": flag_of(values, "CONTINUE_ON_LABEL_FAILURE"),
        "strip_document_from_yaml": flag_of(values, "STRIP_DOCUMENT_FROM_YAML"),
        "reverse_location_order": flag_of(values, "REVERSE_LOCATION_ORDER"),
        "version": value_of(values, "VERSION") or None,
    }


def _number(values: Mapping[str, str], name: str, *, limit: int) -> int:
    text = value_of(values, name)
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(limit))
    if not (digits and 1 <= int(text) <= limit):
        low = name.lower().replace("_", " ")
        raise SettingsError(f"the {low} must be a number from 1 to {limit}, not {text[:40]!r}")
    return int(text)


def _credential(values: Mapping[str, str]) -> SharedCredential | None:
    username, password = values.get("USERNAME"), values.get("PASSWORD")
    token = values.get("TOKEN")
    if token is not None and (username is not None or password is not None):
        raise SettingsError(f"set either {PREFIX}TOKEN or a user name and a password, not both")
    if (username is None) != (password is None):
        raise SettingsError(f"{PREFIX}USERNAME and {PREFIX}PASSWORD belong together")
    try:
        if token is not None:
            return SharedCredential.bearer(token)
        if username is not None and password is not None:
            return SharedCredential.basic(username=username, password=password)
    except ValueError as error:
        raise SettingsError(f"the credential cannot be used: {error}") from error
    return None


def _hosts(values: Mapping[str, str]) -> HostPolicy:
    names = (name.strip() for name in value_of(values, "ALLOWED_HOSTS").split(","))
    try:
        policy = HostPolicy(allowed=frozenset(name for name in names if name))
    except ValueError as error:
        raise SettingsError(f"{PREFIX}ALLOWED_HOSTS: {error}") from error
    host = value_of(values, "HOST")
    with contextlib.suppress(ValueError):  # what cannot be a name is told when it is resolved
        if not _is_address(host):  # requests by that name come from this machine, too
            listening = HostPolicy(allowed=frozenset({host}))
            policy = replace(policy, allowed=policy.allowed | listening.allowed)
    return policy


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
