"""An answer with what it was made of: what has to be read again to know that it still holds."""

from dataclasses import dataclass

from pyfly.config_core import ConfigKey, Environment
from pyfly.config_server.composition.budgets import LARGE, count_properties
from pyfly.config_server.storage import ConfigResource


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleInput:
    """A bundle that a store was asked for."""

    key: ConfigKey
    is_present: bool
    """False where nothing is stored under this name: storing it would change the answer."""
    version: str | None = None
    """The version that was read; `None` where the store has no versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelInput:
    """A label that a store was asked for."""

    label: str
    is_present: bool
    """False where the store does not know it. True for a store that cannot tell."""
    version: str | None = None
    """The version of everything that was read under the label, in stores with snapshots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceInput:
    """A path at which a store was asked for a plain file."""

    label: str
    path: str
    is_present: bool
    """False where there is no such file: putting one there would change the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInputs:
    """What one store was asked for."""

    store: int
    """The position of the store among those of the server, 0 for the highest precedence."""
    is_available: bool = True
    """False where the store failed and was left out: the answer lacks whatever it holds."""
    labels: tuple[LabelInput, ...] = ()
    """The label of highest precedence first."""
    bundles: tuple[BundleInput, ...] = ()
    """In the order of precedence, base bundles included; absent ones, too."""
    resources: tuple[ResourceInput, ...] = ()
    """In the order in which they were tried, up to the one that was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A document with what it was made of.

    The origin of a value, `line:column` in its file, stands in the `origins` of its property
    source, whose name is that of the file.
    """

    environment: Environment
    inputs: tuple[StoreInputs, ...]
    """One for each store, the highest precedence first."""

    @property
    def is_large(self) -> bool:
        """True if work on the whole document should be done in a thread: it takes milliseconds."""
        return count_properties(self.environment) > LARGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceComposition:
    """A plain file with what it was made of, its placeholders included."""

    environment: Environment
    """The document whose values stand for placeholders in the file."""
    resource: ConfigResource | None
    """`None` when no store has one."""
    inputs: tuple[StoreInputs, ...]
    """One for each store, the highest precedence first."""
