"""The options of a server."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pyfly.config_core import (
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    PropertySource,
    check_name,
    check_profile,
)
from pyfly.config_server.encryption import Encryption

_NAME: Final = "overrides"
_ORIGIN: Final = "Config server overrides"
_ESCAPED: Final = re.compile(r"\\\$?(?=\{)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    r"""How a server composes what its stores hold.

    Raises:
        InvalidConfigKeyError: A default name is not acceptable.
    """

    overrides: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    r"""Flat keys and texts that every document begins with. In the texts `\${x}` and `\{x}`
    stand for `${x}` and `{x}`."""
    accept_empty: bool = True
    """True to answer with an empty document if nothing is stored for an application. Otherwise the
    request fails with `ConfigNotFoundError`."""
    fail_on_composite_error: bool = True
    """True to fail a request if one of several stores fails. Otherwise the sources of the failed
    store are left out and the failure is logged. If all stores fail, the request always fails."""
    continue_on_label_failure: bool = False
    """True to leave out unknown labels if a request names several. If no label exists, the
    request always fails."""
    default_application_name: str = SHARED_APPLICATION
    """The application with bundles for all applications."""
    default_profile: str = DEFAULT_PROFILE
    """The profile with bundles for every profile."""
    strip_document_from_yaml: bool = True
    """True to write a single list or value as flattened YAML without the key `document`."""
    reverse_location_order: bool = False
    """True to look for plain files from the lowest store and the first label on."""
    encryption: Encryption = field(default_factory=Encryption)
    """The options for values that begin with `{cipher}`."""
    version: str | None = None
    """The version in documents of a single store without versions."""

    def __post_init__(self) -> None:
        check_name("application", self.default_application_name)
        check_profile(self.default_profile)


def overrides_source(overrides: Mapping[str, str]) -> tuple[PropertySource, ...]:
    """Return the property source at the beginning of every document; empty without overrides."""
    if not overrides:
        return ()
    values = {
        key: _ESCAPED.sub(lambda found: found[0][1:], text) for key, text in overrides.items()
    }
    return (PropertySource(name=_NAME, source=values, origins=dict.fromkeys(values, _ORIGIN)),)
