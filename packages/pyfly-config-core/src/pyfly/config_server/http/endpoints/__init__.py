"""The endpoints of the server, one module for each group.

A new endpoint is a module with a tuple `ENDPOINTS`, and one line in the list below.
"""

from typing import Final

from pyfly.config_server.http.endpoint import Endpoint
from pyfly.config_server.http.endpoints import (
    bundle_patches,
    bundles,
    changes,
    encryption,
    environment,
    flattened,
    history,
    listing,
    metrics_page,
    monitor,
    operations,
    resources,
    whoami,
)

__all__ = ["ENDPOINTS"]

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *operations.ENDPOINTS,
    *whoami.ENDPOINTS,
    *metrics_page.ENDPOINTS,
    *monitor.ENDPOINTS,
    *listing.ENDPOINTS,
    *changes.ENDPOINTS,
    *bundles.ENDPOINTS,
    *bundle_patches.ENDPOINTS,
    *history.ENDPOINTS,
    *encryption.ENDPOINTS,
    *flattened.ENDPOINTS,
    *resources.ENDPOINTS,  # before the documents, because a route with a selector shares a path
    *environment.ENDPOINTS,
)
"""All endpoints in order of precedence: the first match answers a request."""
