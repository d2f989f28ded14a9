"""What `serve` can be told, and whether it makes sense. Nothing is read or opened here."""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pyfly.config_core import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    ConfigError,
    ConfigFormatError,
    copy_properties,
    flatten,
)
from pyfly.config_server import SharedCredential
from pyfly.config_server.text import parse_mapping

PREFIX: Final = "PYFLY_CONFIG_SERVER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table of settings."""

    text: str
    """What it does, for `--help`."""
    default: str = ""
    """What holds when nothing is said."""
    spring: str = ""
    """Its name in Spring Cloud Config below `spring.cloud.config.server.`, where it has one."""


KNOWN: Final[dict[str, Setting]] = {
    "BACKEND": Setting(
        text="directories or URLs to serve, one in a line, the first of highest precedence",
        spring="composite",
    ),
    "HOST": Setting(text="address to listen on", default="127.0.0.1"),
    "PORT": Setting(text="port to listen on", default="8888"),
    "BASE_PATH": Setting(text="where the routes are mounted", default="/config", spring="prefix"),
    "WORKERS": Setting(text="number of processes", default="1"),
    "DEFAULT_LABEL": Setting(
        text="label of requests that name none",
        default=DEFAULT_LABEL,
        spring="<backend>.default-label",
    ),
    "DEFAULT_APPLICATION_NAME": Setting(
        text="application whose bundles everybody gets",
        default=SHARED_APPLICATION,
        spring="default-application-name",
    ),
    "DEFAULT_PROFILE": Setting(
        text="profile whose bundles everybody gets",
        default=DEFAULT_PROFILE,
        spring="default-profile",
    ),
    "OVERRIDES": Setting(
        text="properties that outrank everything stored, as a JSON or YAML mapping",
        spring="overrides.*",
    ),
    "ACCEPT_EMPTY": Setting(
        text="'false' answers 404 when nothing is stored for an application",
        default="true",
        spring="accept-empty",
    ),
    "FAIL_ON_COMPOSITE_ERROR": Setting(
        text="'false' leaves out a store that fails, of several",
        default="true",
        spring="fail-on-composite-error",
    ),
    "CONTINUE_ON_LABEL_FAILURE": Setting(
        text="'true' leaves out an unknown label, of several",
        default="false",
        spring="<backend>.continue-on-multiple-label-failure",
    ),
    "STRIP_DOCUMENT_FROM_YAML": Setting(
        text="'false' keeps the key 'document' in the flattened YAML of a list",
        default="true",
        spring="strip-document-from-yaml",
    ),
    "USERNAME": Setting(text="user name that clients must present, with PASSWORD"),
    "PASSWORD": Setting(text="password that clients must present, with USERNAME"),
    "TOKEN": Setting(text="bearer token that clients must present, instead of those two"),
    "INSECURE": Setting(
        text="'true' listens beyond this machine without a credential", default="false"
    ),
}
"""Every setting by its name without prefix. The order is that of `--help` and the documentation."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_TRUE: Final = frozenset({"1", "on", "true", "yes"})
_FALSE: Final = frozenset({"0", "off", "false", "no"})
_MAX_PORT: Final = 65_535
_MAX_WORKERS: Final = 256


class SettingsError(ConfigError, ValueError):
    """A setting or an argument cannot be used; says which and what to do."""


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
    credential: SharedCredential | None

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
    stores = [store_url(line.strip()) for line in _value(values, "BACKEND").splitlines() if line]
    if not stores:
        raise SettingsError(
            f"what shall be served? Name a directory or a URL, or set {PREFIX}BACKEND; "
            "for example: pyfly-config serve ./config"
        )
    settings = ServeSettings(
        backends=tuple(url for url, _ in stores),
        shown=", ".join(shown for _, shown in stores),
        host=_value(values, "HOST"),
        port=_number(values, "PORT", limit=_MAX_PORT),
        workers=_number(values, "WORKERS", limit=_MAX_WORKERS),
        base_path=_value(values, "BASE_PATH"),
        options=_options(values),
        credential=_credential(values),
    )
    if settings.workers > 1 and any(url.startswith("memory:") for url in settings.backends):
        raise SettingsError("'memory:' is one process's own; serve it with one worker")
    insecure = _flag(values, "INSECURE")
    if settings.credential is None and not insecure and not _is_loopback(settings.host):
        raise SettingsError(
            f"{settings.host} is reachable from other machines and no credential is configured; "
            f"set {PREFIX}TOKEN, or {PREFIX}USERNAME and {PREFIX}PASSWORD, or say --insecure"
        )
    return settings


def store_url(text: str) -> tuple[str, str]:
    """Return the URL of a store that was named by a directory or a URL, and how to show it.

    Raises:
        SettingsError: There is no such directory.
    """
    if _SCHEME.match(text):
        return text, text.partition(":")[0] + ":"
    path = Path(text)
    if not path.exists():
        raise SettingsError(f"there is no directory {text!r}")
    if not path.is_dir():
        raise SettingsError(f"{text!r} is a file; name the directory that holds the labels")
    return path.resolve().as_uri(), text


def _value(values: Mapping[str, str], name: str) -> str:
    return values.get(name, KNOWN[name].default)


def _options(values: Mapping[str, str]) -> dict[str, Any]:
    return {
        "default_label": _value(values, "DEFAULT_LABEL"),
        "default_application_name": _value(values, "DEFAULT_APPLICATION_NAME"),
        "default_profile": _value(values, "DEFAULT_PROFILE"),
        "overrides": _overrides(_value(values, "OVERRIDES")),
        "accept_empty": _flag(values, "ACCEPT_EMPTY"),
        "fail_on_composite_error": _flag(values, "FAIL_ON_COMPOSITE_ERROR"),
        "continue_on_label_failure": _flag(values, "CONTINUE_ON_LABEL_FAILURE"),
        "strip_document_from_yaml": _flag(values, "STRIP_DOCUMENT_FROM_YAML"),
    }


def _overrides(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        return override_texts(parse_mapping(text.encode(), suffix=".yaml"))
    except ConfigFormatError as error:
        raise SettingsError(f"{PREFIX}OVERRIDES: {error}") from error


def override_texts(tree: Mapping[str, Any]) -> dict[str, str]:
    """Return a tree of overrides as flat keys and texts, as Spring keeps them."""
    flat = flatten(copy_properties(tree))
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in flat.items()
    }


def _number(values: Mapping[str, str], name: str, *, limit: int) -> int:
    text = _value(values, name)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= limit):
        low = name.lower().replace("_", " ")
        raise SettingsError(f"the {low} must be a number from 1 to {limit}, not {text[:40]!r}")
    return int(text)


def _flag(values: Mapping[str, str], name: str) -> bool:
    text = _value(values, name).lower() or KNOWN[name].default
    if text not in _TRUE | _FALSE:
        raise SettingsError(f"{PREFIX}{name} must be 'true' or 'false'")
    return text in _TRUE


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


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
