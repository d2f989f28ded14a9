"""The storage interface: the values that a store keeps and the methods that it has.

`ConfigBackend` is the required part. Each `Supports…` Protocol is one further ability; `ability`
returns the object that has it. A third-party store needs this package and `pyfly.config_core`
only.
"""

from pyfly.config_server.storage.abilities import (
    ConfigBackend,
    SupportsBatchFetch,
    SupportsChangeHints,
    SupportsChanges,
    SupportsCheck,
    SupportsClose,
    SupportsConditionalSave,
    SupportsDelete,
    SupportsExpectedContent,
    SupportsFileOwners,
    SupportsFreezes,
    SupportsHistory,
    SupportsKeys,
    SupportsLabels,
    SupportsRefetch,
    SupportsResources,
    SupportsSearchLocations,
    SupportsSnapshots,
    SupportsUpgrade,
)
from pyfly.config_server.storage.ability import (
    ability,
    default_is_base,
    has_base_bundles,
    max_staleness,
)
from pyfly.config_server.storage.flat import FlatProperties
from pyfly.config_server.storage.journal import ChangeJournal
from pyfly.config_server.storage.limits import TOO_LARGE, check_limit, check_stored_bytes
from pyfly.config_server.storage.preconditions import (
    ABSENT,
    ANY,
    PRESENT,
    Expected,
    Precondition,
    check_expected,
    check_freezes,
)
from pyfly.config_server.storage.save_remarks import (
    note_save_remark,
    noted_save_remarks,
    save_remarks,
)
from pyfly.config_server.storage.store_routing import RoutingBackend, StoreRoute
from pyfly.config_server.storage.values import (
    BundleChange,
    Change,
    ChangeBatch,
    ConfigDocument,
    ConfigEntry,
    ConfigResource,
    ConfigSnapshot,
    ConfigSource,
    ConfigVersion,
    EverythingChange,
    LabelChange,
    RequestedNames,
    ResourceChange,
    ResourceEntry,
)
from pyfly.config_server.storage.wrapper import WrapperBackend

__all__ = [
    "ABSENT",
    "ANY",
    "PRESENT",
    "TOO_LARGE",
    "BundleChange",
    "Change",
    "ChangeBatch",
    "ChangeJournal",
    "ConfigBackend",
    "ConfigDocument",
    "ConfigEntry",
    "ConfigResource",
    "ConfigSnapshot",
    "ConfigSource",
    "ConfigVersion",
    "EverythingChange",
    "Expected",
    "FlatProperties",
    "LabelChange",
    "Precondition",
    "RequestedNames",
    "ResourceChange",
    "ResourceEntry",
    "RoutingBackend",
    "StoreRoute",
    "SupportsBatchFetch",
    "SupportsChangeHints",
    "SupportsChanges",
    "SupportsCheck",
    "SupportsClose",
    "SupportsConditionalSave",
    "SupportsDelete",
    "SupportsExpectedContent",
    "SupportsFileOwners",
    "SupportsFreezes",
    "SupportsHistory",
    "SupportsKeys",
    "SupportsLabels",
    "SupportsRefetch",
    "SupportsResources",
    "SupportsSearchLocations",
    "SupportsSnapshots",
    "SupportsUpgrade",
    "WrapperBackend",
    "ability",
    "check_expected",
    "check_freezes",
    "check_limit",
    "check_stored_bytes",
    "default_is_base",
    "has_base_bundles",
    "max_staleness",
    "note_save_remark",
    "noted_save_remarks",
    "save_remarks",
]
