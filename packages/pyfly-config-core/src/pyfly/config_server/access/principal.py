"""The rights of the server, and principals with rights."""

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

__all__ = ["ANONYMOUS", "Principal", "Right"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The sender of a request, as an authenticator identified it."""

    name: str | None
    """The author that is recorded for writes; `None` for an anonymous principal."""
    rights: frozenset[Right] = frozenset()
    """The permissions of the principal."""

    def has(self, right: Right) -> bool:
        """True if the principal has `right`."""
        return right in self.rights


ANONYMOUS: Final = Principal(name=None, rights=frozenset(Right) - {Right.WRITE})
"""The principal of all requests to a server without authentication: every right but `WRITE`."""
