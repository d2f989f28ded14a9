"""The rights of the server."""

from enum import Enum, unique
from typing import Final

__all__ = ["SERVER_RIGHTS", "Right"]


@unique
class Right(Enum):
    """A permission of a principal."""

    READ = "read"
    """Fetch the documents and flattened formats of an application."""
    FILES = "files"
    """Fetch plain files."""
    INSPECT = "inspect"
    """See stored bundles, their names, versions and history."""
    WRITE = "write"
    """Create, replace, delete and roll back bundles."""
    ENCRYPT = "encrypt"
    """Encrypt a text with the server's key, and fetch its public key."""
    DECRYPT = "decrypt"
    """Decrypt a text with the server's key."""
    OPERATE = "operate"
    """Fetch metrics and trigger refreshes."""


SERVER_RIGHTS: Final = frozenset({Right.ENCRYPT, Right.DECRYPT, Right.OPERATE})
"""Rights on the whole server."""
