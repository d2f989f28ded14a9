"""What is remembered of requests that were answered from memory, and of their responses."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias
from weakref import ref

from pyfly.config_server.access import Principal
from pyfly.config_server.composition.needed_rights import AnswerNeeds
from pyfly.config_server.composition.representation import DocumentRequest
from pyfly.config_server.http.messages import Headers
from pyfly.config_server.live import Entry

__all__ = ["HotAnswer", "KnownRequest", "ReadyResponse", "RequestKey"]

RequestKey: TypeAlias = tuple[bytes | None, bytes | None, str | None, bytes | None, bytes | None]
"""Path, query and prefix as sent, and the accepted media types and charsets."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReadyResponse:
    """A response to one request, ready to be sent, while its answer is current."""

    entry: "ref[Entry]"
    """The answer, as long as the cache keeps it."""
    request: DocumentRequest
    """The document of the answer."""
    entity_tag: bytes
    needed: AnswerNeeds
    """The rights that a principal needs."""
    route: str
    """The id of the endpoint."""
    headers: Headers
    known_headers: Headers
    """The headers of 304."""


class HotAnswer(NamedTuple):
    """What `HotPath` has decided about one request."""

    ready: ReadyResponse
    body: bytes | None
    """The body; `None` if the client has it."""
    wait: int | None = None
    """The seconds that the client grants for an answer that it does not have; `None` if it wants
    an answer at once."""
    request: "KnownRequest | None" = None
    """What `after_wait` needs; `None` for a request that does not wait."""

    @property
    def status(self) -> int:
        """The status of the response: 200 or 304."""
        return 304 if self.body is None else 200


@dataclass(slots=True, eq=False, kw_only=True)
class KnownRequest:
    """A request that was answered before: the same bytes mean the same again.

    Sent again, it still needs a current answer, an accepted host and an accepted credential. What
    was found for it last is kept here, in one place: with many documents, each place that has to
    be looked at costs the time of reading memory that is in no cache of the processor.
    """

    key: RequestKey
    entity_tag: bytes | None
    """The value of `If-None-Match`: with one the answer is 304, without one 200."""
    host: bytes | None
    authorization: bytes | None = field(repr=False)
    ready: ReadyResponse | None = None
    """The response that it had last."""
    head: bytes = b""
    """What the server has made of the headers of this response; empty before."""
    route: str = ""
    """The id of the endpoint of this response."""
    entry: "ref[Entry] | None" = None
    """The answer that it may have; `None` if that is not known."""
    principal: Principal | None = None
    """Who may have the answer: the principal of its credential."""
    until: float = -math.inf
    """How long the principal may have it, in seconds of the monotonic clock."""

    @property
    def status(self) -> int:
        """The status of the response: 200 or 304."""
        return 200 if self.entity_tag is None else 304
