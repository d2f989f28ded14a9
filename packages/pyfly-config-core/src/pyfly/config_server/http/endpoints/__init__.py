"""The endpoints of the server, one module for each group.

A new endpoint is a module with a tuple `ENDPOINTS`, and its line in the list below.
"""

from typing import Final

from pyfly.config_server.http.endpoint import Endpoint
from pyfly.config_server.http.endpoints import (
    bundles,
    encryption,
    environment,
    flattened,
    history,
    listing,
    operations,
    resources,
)

__all__ = ["ENDPOINTS"]

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *operations.ENDPOINTS,
    *listing.ENDPOINTS,
    *bundles.ENDPOINTS,
    *history.ENDPOINTS,
    *encryption.ENDPOINTS,
    *flattened.ENDPOINTS,
    *resources.ENDPOINTS,  # before the documents: one route with a selector has a path of theirs
    *environment.ENDPOINTS,
)
"""All endpoints in order of precedence: the first that matches a request answers it."""
