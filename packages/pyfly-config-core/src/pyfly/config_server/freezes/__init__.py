"""Freezes: writing switched off for a whole store, a label, or some bundles of it.

Where they are kept. A freeze is kept by the store that it protects, as one text beside the
bundles: the ability `SupportsFreezes`. A file of the server, such as the access file, would be
simpler, but a command that writes into the store from another machine would not know it, and each
replica would follow a copy of its own. A bundle with a reserved name would need no ability, but
would have to be left out of listings, documents, plain files, copies and changes one by one, and
has no place in a store with one label.

When they are read. Before each write, and not from memory: a write is a rare and slow call, and
one more look at the store makes a freeze hold everywhere as soon as it is stored. If the text
cannot be read, nothing is written. Reads never look at it.
"""

from pyfly.config_server.freezes.freeze import (
    MAX_REASON_LENGTH,
    Freeze,
    encode_freezes,
    freeze_of,
    parse_freezes,
)
from pyfly.config_server.freezes.keeping import (
    change_freezes,
    check_not_frozen,
    clear_freezes,
    load_freezes,
)

__all__ = [
    "MAX_REASON_LENGTH",
    "Freeze",
    "change_freezes",
    "check_not_frozen",
    "clear_freezes",
    "encode_freezes",
    "freeze_of",
    "load_freezes",
    "parse_freezes",
]
