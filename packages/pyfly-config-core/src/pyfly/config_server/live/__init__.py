"""Documents that stay ready: a feed of changes for each store, a cache of answers, and watching.

`LiveDocuments` is a layer over `ConfigServer`, which itself has no state. It can be left out.
"""

from pyfly.config_server.live.answers import Answer
from pyfly.config_server.live.cache import Entry
from pyfly.config_server.live.live_documents import LiveDocuments
from pyfly.config_server.live.live_options import LiveOptions
from pyfly.config_server.live.watching import ANY_CHANGE, TooManyWatchersError

__all__ = ["ANY_CHANGE", "Answer", "Entry", "LiveDocuments", "LiveOptions", "TooManyWatchersError"]
