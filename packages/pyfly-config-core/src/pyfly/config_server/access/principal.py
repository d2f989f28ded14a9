"""The rights of the server, and the principals who have them."""

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

__all__ = ["ANONYMOUS", "Principal", "Right"]


@unique
class Right(Enum):
    """What a principal may be allowed to do."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whoever sends a request, as an authenticator knows them."""

    name: str | None
    """The author of what the principal writes; `None` for an anonymous one."""
    rights: frozenset[Right] = frozenset()
    """What the principal may do."""

    def has(self, right: Right) -> bool:
        """True if the principal has `right`."""
        return right in self.rights


ANONYMOUS: Final = Principal(name=None, rights=frozenset(Right) - {Right.WRITE})
"""Sends the requests of a server without authentication: may do everything but write."""
