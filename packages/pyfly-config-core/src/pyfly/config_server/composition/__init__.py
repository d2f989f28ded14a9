"""Composing environment documents from the bundles in stores.

`ConfigServer` is the entry point. `compose` returns a `Composition`, a document with all its
inputs. `render` writes it in one of the flattened formats, and `select_keys`
returns a part of it. `Bundles` reads, writes and lists the
bundles of one store.
"""

from pyfly.config_server.composition.compositions import (
    BundleInput,
    Composition,
    LabelInput,
    ResourceComposition,
    ResourceInput,
    StoreInputs,
)
from pyfly.config_server.composition.key_selection import KeySelection, select_keys
from pyfly.config_server.composition.options import ServerOptions
from pyfly.config_server.composition.rendering import Extension, render
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.composition.stored_bundles import Bundles
from pyfly.config_server.composition.write_checks import check_storable

__all__ = [
    "BundleInput",
    "Bundles",
    "Composition",
    "ConfigServer",
    "Extension",
    "KeySelection",
    "LabelInput",
    "ResourceComposition",
    "ResourceInput",
    "ServerOptions",
    "StoreInputs",
    "check_storable",
    "render",
    "select_keys",
]
