"""A configuration together with what it was made of."""

from dataclasses import dataclass

from pyfly.config_client._result.properties import Properties
from pyfly.config_client._snapshot.format import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Loaded:
    """A configuration, and what it was made of."""

    properties: Properties
    snapshot: Snapshot
    waited: bool = False
    """Whether the server held the request until something changed (RFC 7240)."""
    only_shared: bool = False
    """Whether nothing is stored for the application itself."""
