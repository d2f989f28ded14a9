"""Properties as a server sends them."""

from pyfly.config_client import Properties
from pyfly.config_client._properties import ConfigMetadata, read_properties
from pyfly.config_core import FlatValue, PropertySource

PROD = "main/orders-prod.yaml"

SHARED = "main/application-default.yaml"


def made(*sources: dict[str, FlatValue], environ: dict[str, str] | None = None) -> Properties:
    """Merge sources, the highest first."""
    named = zip((PROD, SHARED), sources, strict=False)
    return read_properties(
        [
            PropertySource(name=name, source=source, origins=dict.fromkeys(source, "3:7"))
            for name, source in named
        ],
        ConfigMetadata(name="orders", profiles=("prod",)),
        environ=environ or {},
    )
