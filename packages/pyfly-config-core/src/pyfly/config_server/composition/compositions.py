"""An answer with all its inputs, which tell whether the answer is still current."""

from dataclasses import dataclass

from pyfly.config_core import ConfigKey, Environment
from pyfly.config_server.composition.budgets import LARGE, count_properties
from pyfly.config_server.storage import ConfigResource


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleInput:
    """A bundle that was looked up in a store."""

    key: ConfigKey
    is_present: bool
    """False if nothing is stored under this name. Storing it would change the answer."""
    version: str | None = None
    """The version that was read; `None` if the store has no versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelInput:
    """A label that was looked up in a store."""

    label: str
    is_present: bool
    """False if the label does not exist. True for a store without `SupportsLabels`."""
    version: str | None = None
    """The version of the snapshot under the label; `None` for stores without snapshots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceInput:
    """A path at which a plain file was looked up in a store."""

    label: str
    path: str
    """Below the label, or below one of several directories if no file was opened."""
    is_present: bool
    """False if no such file was opened. Adding one could change the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInputs:
    """Everything that was looked up in one store."""

    store: int
    """The position of the store in `ConfigServer.backends`."""
    is_available: bool = True
    """False if the store failed and was left out of the answer."""
    labels: tuple[LabelInput, ...] = ()
    """The label of highest precedence first."""
    bundles: tuple[BundleInput, ...] = ()
    """In order of precedence, including base bundles and absent bundles."""
    resources: tuple[ResourceInput, ...] = ()
    """In the order in which they were tried, up to the file that was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A document with all its inputs.

    `origins` of a property source has the `line:column` of each value in its file. The name of the
    property source is the name of the file.
    """

    environment: Environment
    inputs: tuple[StoreInputs, ...]
    """One for each store of the request, the highest precedence first."""

    @property
    def is_large(self) -> bool:
        """True if work on the whole document takes milliseconds and belongs in a thread."""
        return count_properties(self.environment) > LARGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceComposition:
    """A plain file with all its inputs, including those of its placeholders."""

    environment: Environment
    """The document with the values for placeholders in the file."""
    resource: ConfigResource | None
    """The file; `None` if no store has it."""
    inputs: tuple[StoreInputs, ...]
    """One for each store of the request, the highest precedence first."""
