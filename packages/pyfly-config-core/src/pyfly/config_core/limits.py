"""Limits of names, bundles and answers, shared by server, stores and client.

They are checked on every save and every read, before anything larger is processed.
"""

from typing import Final

__all__ = [
    "DEFAULT_PAGE_ROWS",
    "MAX_ANSWER_BYTES",
    "MAX_AUTHOR_LENGTH",
    "MAX_CIPHERS_RSA",
    "MAX_DEPTH",
    "MAX_DOCUMENT_BYTES",
    "MAX_FLAT_BYTES",
    "MAX_KEY_PARTS",
    "MAX_LIST_LENGTH",
    "MAX_LOOKUPS",
    "MAX_MESSAGE_LENGTH",
    "MAX_NAME_LENGTH",
    "MAX_NODES",
    "MAX_PAGE_ROWS",
    "MAX_PATCH_OPERATIONS",
    "MAX_PATH_LENGTH",
    "MAX_PLACEHOLDERS",
    "MAX_PROFILE_LENGTH",
    "MAX_PROPERTIES",
    "MAX_SELECTED_KEYS",
    "MAX_SELECTED_KEY_LENGTH",
    "MAX_SOURCES",
    "MAX_STORED_BYTES",
]

MAX_NAME_LENGTH: Final = 128
"""Characters of one application or label."""
MAX_PROFILE_LENGTH: Final = 64
"""Characters of one profile."""
MAX_LIST_LENGTH: Final = 32
"""Elements of a comma list of names in a request."""
MAX_PATH_LENGTH: Final = 1024
"""Characters of the path of a plain file."""

MAX_SELECTED_KEYS: Final = 64
"""Names of keys that one request may select."""
MAX_SELECTED_KEY_LENGTH: Final = 1_024
"""Characters of one name of a selected key."""

MAX_DEPTH: Final = 64
"""Levels of nesting in a tree of properties."""
MAX_PROPERTIES: Final = 20_000
"""Properties of one bundle, and of one answer."""
MAX_NODES: Final = 50_000
"""Mappings, lists and single values of one bundle, and of the tree of one answer."""
MAX_DOCUMENT_BYTES: Final = 1_048_576
"""Bytes of one stored bundle, as text or as JSON, and of the body of a request."""
MAX_FLAT_BYTES: Final = 4_194_304
"""Bytes of the flat keys and the values of one bundle or one answer together, in UTF-8."""
MAX_PLACEHOLDERS: Final = 100_000
"""Replacements of placeholders for one answer; a placeholder counts each time it is replaced."""
MAX_PATCH_OPERATIONS: Final = 1_000
"""Operations of one JSON patch."""

MAX_LOOKUPS: Final = 256
"""Bundles that one request may ask for: applications x profiles x labels."""
MAX_KEY_PARTS: Final = 1_000
"""Dots and brackets in one flat key that a client accepts."""
MAX_SOURCES: Final = 4_096
"""Property sources that a client accepts in one answer; one file may give several."""
MAX_STORED_BYTES: Final = 8_388_608
"""Bytes of stored text that are read for one answer."""
MAX_ANSWER_BYTES: Final = 8_388_608
"""Bytes of the body of one answer. Plain files have another limit."""
DEFAULT_PAGE_ROWS: Final = 100
"""Default number of rows in one page of a listing or a history."""
MAX_PAGE_ROWS: Final = 1_000
"""Largest number of rows in one page of a listing or a history."""
MAX_AUTHOR_LENGTH: Final = 256
"""Characters of the author of a change."""
MAX_MESSAGE_LENGTH: Final = 1_024
"""Characters of the reason for a change."""
MAX_CIPHERS_RSA: Final = 1_000
"""Values encrypted with RSA that one answer may hold."""
