"""The settings of a server beside its stores."""

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
    """Whether an application for which nothing is stored gets an empty document. If not, the
    request fails with `ConfigNotFoundError`."""
    fail_on_composite_error: bool = True
    """Of several stores: whether one that fails fails the request. If not, its sources are left
    out and the failure is logged. When all fail, the request fails all the same."""
    continue_on_label_failure: bool = False
    """Of several labels in one request: whether unknown ones are left out. When none exists, the
    request fails all the same."""
    default_application_name: str = SHARED_APPLICATION
    """The application whose bundles everybody gets."""
    default_profile: str = DEFAULT_PROFILE
    """The profile whose bundles everybody gets."""
    strip_document_from_yaml: bool = True
    """Whether the flattened YAML of what is one list or one value is just that, without the key
    `document`."""
    reverse_location_order: bool = False
    """Whether plain files are looked for from the lowest store and the first label on."""
    encryption: Encryption = field(default_factory=Encryption)
    """What is done with values that begin with `{cipher}`."""
    version: str | None = None
    """What documents of one store name as their version when the store has none."""

    def __post_init__(self) -> None:
        check_name("application", self.default_application_name)
        check_profile(self.default_profile)


def overrides_source(overrides: Mapping[str, str]) -> tuple[PropertySource, ...]:
    """Return the property source that every document begins with; empty without overrides."""
    if not overrides:
        return ()
    values = {
        key: _ESCAPED.sub(lambda found: found[0][1:], text) for key, text in overrides.items()
    }
    return (PropertySource(name=_NAME, source=values, origins=dict.fromkeys(values, _ORIGIN)),)
