"""From names to an environment: what is looked up, in which order, and what is made of it.

`ConfigServer` is the entrance. `compose` returns a `Composition`, the document with everything
that it was made of; `render` writes it in one of the flattened formats; `Bundles` writes and
lists what one store holds.
"""

from pyfly.config_server.composition.bundles import Bundles
from pyfly.config_server.composition.compositions import (
    BundleInput,
    Composition,
    LabelInput,
    ResourceComposition,
    ResourceInput,
    StoreInputs,
)
from pyfly.config_server.composition.flattened import Extension, render
from pyfly.config_server.composition.options import ServerOptions
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.composition.write_checks import check_storable

__all__ = [
    "BundleInput",
    "Bundles",
    "Composition",
    "ConfigServer",
    "Extension",
    "LabelInput",
    "ResourceComposition",
    "ResourceInput",
    "ServerOptions",
    "StoreInputs",
    "check_storable",
    "render",
]
