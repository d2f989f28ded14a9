"""Every setting that `serve` knows, and how one of them is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyfly.config_core import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    ConfigError,
    ConfigFormatError,
    JsonValue,
    copy_properties,
    flatten,
)
from pyfly.config_server.formats.text import parse_mapping

PREFIX: Final = "PYFLY_CONFIG_SERVER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table of settings."""

    text: str
    """What it does, for `--help`."""
    default: str = ""
    """What holds when nothing is said."""
    spring: str = ""
    """Its name in Spring Cloud Config below `spring.cloud.config.server.`, where it has one; those
    of keys are whole names."""


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
    "REVERSE_LOCATION_ORDER": Setting(
        text="'true' looks for plain files from the lowest store and the first label on",
        default="false",
        spring="reverse-location-order",
    ),
    "VERSION": Setting(
        text="version that documents name where the store has none, such as a commit",
        spring="native.version",
    ),
    "ENCRYPT_ENABLED": Setting(
        text="'false' leaves the decryption of '{cipher}' values to clients",
        default="true",
        spring="encrypt.enabled",
    ),
    "ENCRYPT_PLAIN_TEXT": Setting(
        text="'true' decrypts '{cipher}' values in plain files too",
        default="false",
        spring="encrypt.plain-text-encrypt",
    ),
    "ENCRYPT_PREFIX_INVALID_PROPERTIES": Setting(
        text="'false' keeps the key of a value that cannot be decrypted",
        default="true",
        spring="encrypt.prefix-invalid-properties",
    ),
    "DECRYPT_ENDPOINT": Setting(
        text="'true' answers /decrypt to everybody who may read", default="false"
    ),
    "ENCRYPT_KEY": Setting(
        text="key that encrypts and decrypts: a password, or an RSA key as PEM",
        spring="encrypt.key",
    ),
    "ENCRYPT_KEYS": Setting(
        text="further keys by the names that '{key:NAME}' uses, as a JSON or YAML mapping"
    ),
    "ENCRYPT_SALT": Setting(
        text="salt of passwords, in hexadecimal digits", default="deadbeef", spring="encrypt.salt"
    ),
    "ENCRYPT_KEY_STORE_LOCATION": Setting(
        text="PKCS#12 file with RSA keys, instead of a key",
        spring="encrypt.key-store.location",
    ),
    "ENCRYPT_KEY_STORE_TYPE": Setting(
        text="its type; no other is read", default="pkcs12", spring="encrypt.key-store.type"
    ),
    "ENCRYPT_KEY_STORE_PASSWORD": Setting(
        text="what opens the key store", spring="encrypt.key-store.password"
    ),
    "ENCRYPT_KEY_STORE_ALIAS": Setting(
        text="the key that texts without '{key:NAME}' are for", spring="encrypt.key-store.alias"
    ),
    "ENCRYPT_KEY_STORE_SECRET": Setting(
        text="password of its keys, when it is not that of the store",
        spring="encrypt.key-store.secret",
    ),
    "ENCRYPT_RSA_ALGORITHM": Setting(
        text="for the key store: 'DEFAULT' or 'OAEP'",
        default="DEFAULT",
        spring="encrypt.rsa.algorithm",
    ),
    "ENCRYPT_RSA_STRONG": Setting(
        text="for the key store: 'true' encrypts with AES-GCM instead of AES-CBC",
        default="false",
        spring="encrypt.rsa.strong",
    ),
    "ENCRYPT_RSA_SALT": Setting(
        text="for the key store: salt of the passwords inside of cipher texts",
        default="deadbeef",
        spring="encrypt.rsa.salt",
    ),
    "HEALTH_ENABLED": Setting(
        text="'false' answers /actuator/health without a look at the stores",
        default="true",
        spring="health.enabled",
    ),
    "HEALTH_REPOSITORIES": Setting(
        text="what /actuator/health fetches: a mapping of any names to name, profiles and label",
        spring="health.repositories.*",
    ),
    "HEALTH_DOWN_STATUS": Setting(
        text="what /actuator/health says when that fails",
        default="DOWN",
        spring="health.down-health-status",
    ),
    "USERNAME": Setting(text="user name that clients must present, with PASSWORD"),
    "PASSWORD": Setting(text="password that clients must present, with USERNAME"),
    "TOKEN": Setting(text="bearer token that clients must present, instead of those two"),
    "ALLOWED_HOSTS": Setting(
        text="further host names of a server without a credential, separated by commas"
    ),
    "INSECURE": Setting(
        text="'true' listens beyond this machine without a credential", default="false"
    ),
}
"""Every setting by its name without prefix. The order is that of `--help` and the documentation."""

SECRETS: Final = frozenset(
    {
        "PASSWORD",
        "TOKEN",
        "ENCRYPT_KEY",
        "ENCRYPT_KEYS",
        "ENCRYPT_KEY_STORE_PASSWORD",
        "ENCRYPT_KEY_STORE_SECRET",
    }
)
"""Settings that nobody else on the machine may read."""

LISTS: Final = {"ALLOWED_HOSTS": ",", "BACKEND": "\n"}
"""Settings that are lists in a settings file, and what separates their elements elsewhere."""

MAPPINGS: Final = frozenset({"ENCRYPT_KEYS", "HEALTH_REPOSITORIES", "OVERRIDES"})
"""Settings that are tables in a settings file."""

_TRUE: Final = frozenset({"1", "on", "true", "yes"})
_FALSE: Final = frozenset({"0", "off", "false", "no"})


class SettingsError(ConfigError, ValueError):
    """A setting or an argument cannot be used; says which and what to do."""


def value_of(values: Mapping[str, str], name: str) -> str:
    """Return what was said, or the default."""
    return values.get(name, KNOWN[name].default)


def flag_of(values: Mapping[str, str], name: str) -> bool:
    """Return what was said as a boolean; empty is the default.

    Raises:
        SettingsError: It is none.
    """
    text = value_of(values, name).lower() or KNOWN[name].default
    if text not in _TRUE | _FALSE:
        raise SettingsError(f"{PREFIX}{name} must be 'true' or 'false'")
    return text in _TRUE


def mapping_of(values: Mapping[str, str], name: str) -> dict[str, JsonValue]:
    """Return what was said as a tree; empty when nothing was.

    Raises:
        SettingsError: It is no mapping.
    """
    text = value_of(values, name)
    try:
        return parse_mapping(text.encode(), suffix=".yaml") if text else {}
    except ConfigFormatError as error:
        raise SettingsError(f"{PREFIX}{name}: {error}") from error


def flat_texts(tree: Mapping[str, Any]) -> dict[str, str]:
    """Return a tree as flat keys and texts, as Spring keeps overrides.

    Raises:
        ConfigFormatError: It holds what has no text.
    """
    flat = flatten(copy_properties(tree))
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in flat.items()
    }
