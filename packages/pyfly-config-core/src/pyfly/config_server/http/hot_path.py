"""Answering a request that was answered before, from its head alone, without waiting."""

import math
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from weakref import ref

from pyfly.config_server.access import ANONYMOUS, Principal, missing
from pyfly.config_server.composition.needed_rights import OPENING_RIGHTS, UNKNOWN, AnswerNeeds
from pyfly.config_server.http.authentication import Authenticator, HeaderAuthenticator
from pyfly.config_server.http.hosts import HostPolicy
from pyfly.config_server.http.messages import Reusable
from pyfly.config_server.http.preferences import plain_wait
from pyfly.config_server.http.proxies import ProxyPolicy
from pyfly.config_server.http.ready_responses import (
    HotAnswer,
    KnownRequest,
    ReadyResponse,
    RequestKey,
)
from pyfly.config_server.http.responses import known_headers, representation_headers
from pyfly.config_server.live import Entry, LiveDocuments

__all__ = ["HotPath"]

_MAX_REQUESTS: Final = 20_000
_MAX_HOSTS: Final = 256
_MAX_GRANTS: Final = 100_000
"""Principals with a response each that are remembered."""
_MAX_CREDENTIALS: Final = 10_000
_NOBODY: Final[Mapping[Principal, float]] = MappingProxyType({})
_LONGEST_HOST: Final = 256
_LONGEST_HEAD: Final = 1_024
"""Requests with a longer path, query and accepted types are not remembered."""
_MAX_BODY: Final = 65_536
"""Longer bodies are sent in pieces, so not from here."""

_READ: Final = frozenset(
    {b"accept", b"accept-charset", b"authorization", b"host", b"if-none-match", b"prefer"}
)
_DECIDING: Final = frozenset({b"cache-control", b"if-modified-since", b"origin", b"sec-fetch-site"})
_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})


class HotPath:
    """Remembers which request has which answer of the live layer.

    What it cannot decide by one look at the head, it leaves to the controller: other methods,
    conditions that do not hold, a refused credential, what a proxy says about its client.

    Args:
        live: The live layer.
        auth: The authenticator. Only a `HeaderAuthenticator` can be asked here.
        hosts: The policy for `Host` headers.
        proxies: The proxies whose headers about clients are believed.
    """

    def __init__(
        self,
        live: LiveDocuments,
        *,
        auth: Authenticator | None,
        hosts: HostPolicy | None,
        proxies: ProxyPolicy | None = None,
    ) -> None:
        self._is_ready = live.is_ready
        self._was_ready = live.was_ready
        self._find_entry = live.find
        self._counters = live.counters
        self._header_auth = auth if isinstance(auth, HeaderAuthenticator) else None
        self._is_usable = auth is None or self._header_auth is not None
        self._deciding = _DECIDING | (frozenset[bytes]() if proxies is None else proxies.names)
        self._noted = _READ | _BODY | self._deciding
        self._checks_hosts = hosts is not None
        self._hosts: set[bytes] = set()
        self._credentials: dict[bytes, bytes] = {}
        self._responses: OrderedDict[RequestKey, ReadyResponse] = OrderedDict()
        self._granted: dict[ReadyResponse, dict[Principal, float]] = {}
        self._grants = 0

    def find(self, scope: Mapping[str, Any]) -> HotAnswer | None:
        """Return the answer to a request, or what it may wait for."""
        head = self._head(scope)
        if head is None:
            return None
        request = _known_request(scope, head)
        if b"prefer" in head:
            return self._held(request, head)
        return self._found(request, was_held=False)

    def after_wait(self, request: KnownRequest, *, since: float) -> HotAnswer | None:
        """Return the answer to a request that has waited until its document may have changed.

        Only then a client gets another document than the one whose entity tag it sends. It may
        have changed again since: with thousands of clients, that is not waited for.

        Args:
            request: The request.
            since: When it was sent, in seconds of the monotonic clock.
        """
        return self._found(request, was_held=True, since=since)

    def _found(
        self, request: KnownRequest, *, was_held: bool, since: float = math.inf
    ) -> HotAnswer | None:
        ready, known = self._current(request.key, since), request.entity_tag
        entry = None if ready is None else ready.entry()
        if ready is None or entry is None:
            return None
        if not self._may_have(ready, request.host, request.authorization):
            return None
        has = known == ready.entity_tag
        if known is not None and not (has or was_held):
            return None
        entry.is_used = True
        self._counters.hits += 1
        return HotAnswer(ready=ready, body=None if has else entry.representation.body)

    def _held(self, request: KnownRequest, head: Mapping[bytes, bytes]) -> HotAnswer | None:
        """Return what a request may wait for: its client has the last answer.

        The answer may be out of date: it is composed anew, because somebody waits for it.
        """
        ready, known = self._responses.get(request.key), request.entity_tag
        wait = plain_wait(head[b"prefer"])
        if ready is None or known is None or wait is None or not _BODY.isdisjoint(head):
            return None
        if not self._may_have(ready, request.host, request.authorization):
            return None
        entry = self._find_entry(ready.request)
        if entry is None or entry.error is not None or entry.representation.entity_tag != known:
            return None
        entry.is_used = True
        self._counters.hits += 1
        if ready.entity_tag != known:
            ready = _renewed(ready, entry)
        return HotAnswer(ready=ready, body=None, wait=wait, request=request)

    def recognize(self, scope: Mapping[str, Any]) -> KnownRequest | None:
        """Return what `answer` needs for the same request; `None` if it was not answered before."""
        head = self._head(scope)
        if head is None or b"prefer" in head:
            return None
        request = _known_request(scope, head)
        return request if request.key in self._responses else None

    def _one_of(self, credential: bytes | None) -> bytes | None:
        """Return one object for equal credentials, so that it stays in the processor's cache.

        Only credentials that were accepted are kept.
        """
        if credential is None:
            return None
        if len(self._credentials) >= _MAX_CREDENTIALS:
            self._credentials.clear()
        return self._credentials.setdefault(credential, credential)

    def answer(self, request: KnownRequest) -> bytes | None:
        """Return the body, empty for 304; `None` if the request has to be looked at.

        The headers are those of `request.ready`.
        """
        entry = None if request.entry is None else request.entry()
        if entry is None or not (self._is_ready(entry) and self._may_still(request)):
            entry = self._look_up(request)
            if entry is None:
                return None
        entry.is_used = True
        self._counters.hits += 1
        return entry.representation.body if request.entity_tag is None else b""

    def _may_still(self, request: KnownRequest) -> bool:
        """True if a request may have the answer that it had last. A host stays accepted."""
        until = request.until
        return self._principal(request.authorization) is request.principal and (
            until == math.inf or time.monotonic() < until
        )

    def _look_up(self, request: KnownRequest) -> Entry | None:
        """Return the answer of a request that may have it, and note it there."""
        request.entry = None
        ready, tag = self._current(request.key), request.entity_tag
        entry = None if ready is None else ready.entry()
        if ready is None or entry is None or (tag is not None and tag != ready.entity_tag):
            return None
        if not self._accepts_host(request.host):
            return None
        principal = self._principal(request.authorization)
        until = None if principal is None else self._granted_until(principal, ready)
        if until is None:
            return None
        if ready is not request.ready:
            request.ready, request.head, request.route = ready, b"", ready.route
        request.entry, request.principal, request.until = ready.entry, principal, until
        request.authorization = self._one_of(request.authorization)
        return entry

    def principal_name(self, scope: Mapping[str, Any]) -> str | None:
        """Return the name of the principal of a request that was answered here, for logs."""
        if self._header_auth is None:
            return None
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        principal = self._header_auth.principal_of(given[0] if given else None)
        return None if principal is None else principal.name

    def remember(self, scope: Mapping[str, Any], reusable: Reusable) -> None:
        """Keep how a request was answered, if `find` can answer it."""
        head, representation = self._head(scope), reusable.entry.representation
        if head is None or not self._is_usable or len(representation.body) > _MAX_BODY:
            return
        key = _key(scope, head)
        if key[0] is None or sum(len(part or "") for part in key) > _LONGEST_HEAD:
            return
        self._note_host(head)
        self._forget(self._responses.pop(key, None))
        if len(self._responses) >= _MAX_REQUESTS:
            _, oldest = self._responses.popitem(last=False)
            self._forget(oldest)
        self._responses[key] = _ready(reusable.entry, reusable.needed, route=reusable.route)

    def _current(self, key: RequestKey, since: float = math.inf) -> ReadyResponse | None:
        """Return the response to a request, renewed if its document was composed again.

        Args:
            key: The request.
            since: An answer that was current at this time or later is accepted; by default only
                one that is.
        """
        ready = self._responses.get(key)
        entry = None if ready is None else ready.entry()
        if ready is None or (entry is not None and self._was_ready(entry, since)):
            return ready
        newer = self._find_entry(ready.request)
        if newer is None or newer is entry or not self._was_ready(newer, since):
            return None
        if len(newer.representation.body) > _MAX_BODY:
            return None
        self._forget(ready)
        ready = self._responses[key] = _renewed(ready, newer)
        return ready

    def _accepts_host(self, host: bytes | None) -> bool:
        return not self._checks_hosts or host in self._hosts

    def _principal(self, authorization: bytes | None) -> Principal | None:
        """Return the principal of a credential; `None` if it is refused."""
        auth = self._header_auth
        return ANONYMOUS if auth is None else auth.principal_of(authorization)

    def _may_have(
        self, ready: ReadyResponse, host: bytes | None, authorization: bytes | None
    ) -> bool:
        if not self._accepts_host(host):
            return False
        principal = self._principal(authorization)
        return principal is not None and self._granted_until(principal, ready) is not None

    def _granted_until(self, principal: Principal, ready: ReadyResponse) -> float | None:
        """Return how long a principal may have a response, as the monotonic clock has it.

        `None` if it may not, or if that is not known: the controller decides then.
        """
        until = self._granted.get(ready, _NOBODY).get(principal)
        if until is not None and (until == math.inf or time.monotonic() < until):
            return until
        return self._grant(principal, ready)

    def _grant(self, principal: Principal, ready: ReadyResponse) -> float | None:
        """Decide how long a principal may have a response, and remember it."""
        needed = ready.needed
        if all(map(principal.may_everywhere, OPENING_RIGHTS)):
            until = math.inf
        elif time.monotonic() < needed.until and missing(principal, needed.needs) is None:
            until = needed.until
        else:
            return None
        if self._grants >= _MAX_GRANTS:
            self._granted.clear()
            self._grants = 0
        granted = self._granted.setdefault(ready, {})
        self._grants += principal not in granted
        granted[principal] = until
        return until

    def _forget(self, ready: ReadyResponse | None) -> None:
        """Forget who may have a response that is not used any more."""
        if ready is not None:
            self._grants -= len(self._granted.pop(ready, _NOBODY))

    def _head(self, scope: Mapping[str, Any]) -> dict[bytes, bytes] | None:
        """Return the fields that matter here; `None` if the head needs a closer look."""
        if scope["method"] != "GET":
            return None
        fields: dict[bytes, bytes] = {}
        noted, deciding = self._noted, self._deciding
        for name, value in scope["headers"]:
            if name in noted:
                if name in fields or name in deciding:
                    return None
                fields[name] = value
            elif not name.islower():  # ASGI asks for names in lower case, not every server obeys
                return None
        return fields

    def _note_host(self, head: Mapping[bytes, bytes]) -> None:
        """Note a host that the policy has accepted."""
        host = head.get(b"host", b"")
        if self._checks_hosts and len(host) <= _LONGEST_HOST and len(self._hosts) < _MAX_HOSTS:
            self._hosts.add(host)


def _renewed(ready: ReadyResponse, newer: Entry) -> ReadyResponse:
    """Return the response of a document that was composed again.

    If it is made of other bundles than before, its rights have to be found anew.
    """
    entry, needed = ready.entry(), ready.needed
    if entry is None or _opened(entry) != _opened(newer):
        needed = UNKNOWN
    return _ready(newer, needed, route=ready.route)


def _opened(entry: Entry) -> Sequence[Hashable]:
    """Return the stored bundles and files that a document is made of, in their order."""
    inputs = entry.representation.inputs
    bundles = [(one.store, two.key) for one in inputs for two in one.bundles if two.is_present]
    files = [two for one in inputs for two in one.resources if two.is_present]
    return [*bundles, *files, entry.representation.has_values]


def _ready(entry: Entry, needed: AnswerNeeds, *, route: str) -> ReadyResponse:
    representation = entry.representation
    return ReadyResponse(
        entry=ref(entry),
        request=entry.request,
        entity_tag=representation.entity_tag,
        needed=needed,
        route=route,
        headers=representation_headers(representation),
        known_headers=known_headers(representation),
    )


def _known_request(scope: Mapping[str, Any], head: Mapping[bytes, bytes]) -> KnownRequest:
    return KnownRequest(
        key=_key(scope, head),
        entity_tag=head.get(b"if-none-match"),
        host=head.get(b"host"),
        authorization=head.get(b"authorization"),
    )


def _key(scope: Mapping[str, Any], head: Mapping[bytes, bytes]) -> RequestKey:
    return (
        scope.get("raw_path"),
        scope.get("query_string"),
        scope.get("root_path"),
        head.get(b"accept"),
        head.get(b"accept-charset"),
    )
