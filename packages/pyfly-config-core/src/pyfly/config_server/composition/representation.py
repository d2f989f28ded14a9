"""A rendered document with its validators and everything that it was made of."""

import base64
import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol, Self
from zlib import crc32

from pyfly.config_core import MEDIA_TYPE_V2
from pyfly.config_server.composition.compositions import StoreInputs
from pyfly.config_server.composition.server import ConfigServer

__all__ = ["DocumentRequest", "Representation"]

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Representation:
    """The bytes of a document in one format (RFC 9110 §3.2)."""

    body: bytes = field(repr=False)
    """The complete body."""
    media_type: str
    """The value of `Content-Type`."""
    modified: datetime | None = None
    """The time of the last change, in UTC, if it is known and nothing else was filled in."""
    inputs: tuple[StoreInputs, ...] = field(default=(), repr=False, compare=False)
    """Everything that was looked up for this document: one item for each store."""
    has_values: bool = field(default=False, compare=False)
    """True if it is a plain file with placeholders, which were replaced by values."""
    entity_tag: bytes = field(init=False)
    """The strong entity tag, with its quotes: a digest of the body and the media type."""
    content_digest: bytes = field(init=False, compare=False)
    """The value of `Content-Digest` (RFC 9530)."""

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.body)
        tag = f'"{digest.hexdigest()[:32]}{_tag_suffix(self.media_type)}"'
        encoded = b"sha-256=:" + base64.b64encode(digest.digest()) + b":"
        object.__setattr__(self, "entity_tag", tag.encode())
        object.__setattr__(self, "content_digest", encoded)

    def tagged(self, entity_tag: bytes) -> Self:
        """Return the same representation with another entity tag, with its quotes."""
        found = replace(self)
        object.__setattr__(found, "entity_tag", entity_tag)
        return found


def _tag_suffix(media_type: str) -> str:
    if media_type in {_JSON, MEDIA_TYPE_V2}:
        return "" if media_type == _JSON else "-v2"
    return f"-{crc32(media_type.encode()):08x}"


class DocumentRequest(Hashable, Protocol):
    """A document in one format. Equal requests have equal representations.

    Implementations are frozen and hashable. They hold everything of an HTTP request that the
    answer depends on, and nothing about the sender.
    """

    @property
    def application(self) -> str:
        """One application or a comma list, as requested: it decides which stores are asked."""
        ...

    async def represent(self, server: ConfigServer) -> Representation | None:
        """Compose and render the document; `None` if there is no such plain file.

        Raises:
            ConfigError: As `ConfigServer.compose`.
            UnrenderableError: The document cannot be rendered in this format.
        """
        ...
