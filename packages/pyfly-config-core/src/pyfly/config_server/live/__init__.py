"""Documents that stay ready: a feed of changes for each store, a cache of answers, and watching.

`LiveDocuments` is a layer over `ConfigServer`, which itself has no state. It can be left out.
"""

from pyfly.config_server.live.cache import Entry
from pyfly.config_server.live.documents import Answer, LiveDocuments
from pyfly.config_server.live.options import LiveOptions
from pyfly.config_server.live.watching import TooManyWatchersError

__all__ = ["Answer", "Entry", "LiveDocuments", "LiveOptions", "TooManyWatchersError"]
