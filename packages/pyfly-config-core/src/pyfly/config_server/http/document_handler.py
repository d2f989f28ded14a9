"""Answering requests for documents: directly, or through the live layer, with waiting."""

import math
import random
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Protocol, TypeAlias

from pyfly.config_core import ConfigError, ConfigFormatError
from pyfly.config_core.limits import MAX_ANSWER_BYTES
from pyfly.config_server.access import Need, Principal
from pyfly.config_server.composition.compositions import StoreInputs
from pyfly.config_server.composition.needed_rights import (
    OPENING_RIGHTS,
    UNKNOWN,
    AnswerNeeds,
    NeededRights,
)
from pyfly.config_server.composition.representation import DocumentRequest, Representation
from pyfly.config_server.http.authorization import require
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import Headers, HttpRequest, HttpResponse, Reusable
from pyfly.config_server.http.negotiation import is_known
from pyfly.config_server.http.preferences import must_be_fresh, wait_of
from pyfly.config_server.http.responses import empty_response, representation_response
from pyfly.config_server.live import Answer, LiveDocuments, TooManyWatchersError
from pyfly.config_server.live.standby_reads import standby_reads
from pyfly.config_server.storage import TOO_LARGE

__all__ = ["DocumentHandler", "GuardedRequest", "Inputs", "composed", "hold", "waited_headers"]

Inputs: TypeAlias = tuple[StoreInputs, ...]

_RETRY_SECONDS: Final = (5, 30)


class GuardedRequest(DocumentRequest, Protocol):
    """A document that tells which rights it needs."""

    @property
    def rights(self) -> NeededRights:
        """The rights that the document needs."""
        ...


class DocumentHandler:
    """The handler of an endpoint that answers with a document.

    It refuses principals that lack a right on the names of the request before it looks up
    anything, and on what was opened for the answer before it answers.

    Args:
        request_of: Returns the document that a request is for. Raises `HttpError`.
    """

    def __init__(self, request_of: Callable[[RequestContext], GuardedRequest]) -> None:
        self._request_of = request_of

    async def __call__(self, context: RequestContext) -> HttpResponse:
        """Return the document, 304 if the client has it, or 404 without a body."""
        wanted = self._request_of(context)
        _require(context.principal, wanted, wanted.rights.beforehand(context.server))
        try:
            if context.live is None:
                return await _response_from_stores(context, wanted)
            return await _live_response(context, context.live, wanted)
        except ConfigError as error:
            needs = await wanted.rights.of_failure(context.server, error)
            _require(context.principal, wanted, needs)
            raise


async def _response_from_stores(context: RequestContext, wanted: GuardedRequest) -> HttpResponse:
    with standby_reads() as reads:
        representation = await wanted.represent(context.server)
    answer = Answer(representation=representation, stale_for=reads.age)
    if not _may_all(context.principal):
        needed = await wanted.rights.of_answer(context.server, representation, is_live=False)
        _require(context.principal, wanted, needed.needs)
    return _response(context.request, answer)


async def _live_response(
    context: RequestContext, live: LiveDocuments, wanted: GuardedRequest
) -> HttpResponse:
    request = context.request
    answer = await _answer(live, wanted, request)
    needed = await _decide(context.principal, wanted, live, answer)
    granted = wait_of(request)
    if granted is None:
        return _response(request, answer, reusable=_reusable(context, live, answer, needed))
    if request.was_held:
        if not _has(request, answer):
            live.counters.woke(time.monotonic() - live.noticed_at)
    elif answer.entry is not None and _has(request, answer):
        known = answer.entry.representation.entity_tag
        await hold(live, wanted, known, request, seconds=granted)
        if live.is_running:  # otherwise it was closed, perhaps with its stores
            answer = await live.get(wanted)
        principal = await context.authenticate()  # its rules may have changed
        _require(principal, wanted, wanted.rights.beforehand(context.server))
        await _decide(principal, wanted, live, answer)
        if not _has(request, answer):
            live.counters.woke(time.monotonic() - live.noticed_at)
    return _response(request, answer, headers=waited_headers(live, granted))


def _require(principal: Principal, wanted: GuardedRequest, needs: Iterable[Need]) -> None:
    require(principal, needs, shown=wanted.rights.shown)


async def _decide(
    principal: Principal, wanted: GuardedRequest, live: LiveDocuments, answer: Answer
) -> AnswerNeeds:
    """Refuse a principal that may not have an answer; return what the answer needs.

    Who may open everything does not wait until that is known.
    """
    if _may_all(principal):
        return UNKNOWN
    needed = await wanted.rights.of_answer(live.server, answer.representation, is_live=True)
    _require(principal, wanted, needed.needs)
    return needed


def _may_all(principal: Principal) -> bool:
    """True if a principal may have every answer."""
    return all(map(principal.may_everywhere, OPENING_RIGHTS))


def waited_headers(live: LiveDocuments, granted: int) -> Headers:
    """Return the headers of a response to a request that was allowed to wait.

    Args:
        live: The live layer.
        granted: The longest wait, in seconds.
    """
    applied = (b"preference-applied", b"wait=%d" % granted)
    return (applied, (b"connection", b"close")) if live.ends_connections else (applied,)


async def _answer(live: LiveDocuments, wanted: DocumentRequest, request: HttpRequest) -> Answer:
    """Return an answer that does not lead a client back to an older one.

    A client with another entity tag may have it from another process that is ahead of this one.
    """
    if request.was_held:
        return await live.get(wanted)
    if must_be_fresh(request):
        return await live.get(wanted, fresh=True)
    answer = await live.get(wanted)
    if request.header(b"if-none-match") is not None and not _has(request, answer):
        return await live.get(wanted, fresh=True)
    return answer


async def hold(
    live: LiveDocuments, wanted: Hashable, known: bytes, request: HttpRequest, *, seconds: float
) -> None:
    """Hold a request until something changes, its time is over, or its client has left.

    Args:
        live: The live layer.
        wanted: The document, or `ANY_CHANGE`.
        known: The entity tag that the client has.
        request: The request.
        seconds: The longest time.

    Raises:
        HttpError: 503; too many requests are held.
    """
    try:
        await live.wait(wanted, known, seconds=seconds, gone=request.disconnected)
    except TooManyWatchersError as error:
        pause = random.randint(*_RETRY_SECONDS)  # noqa: S311 - spreads clients, hides nothing
        retry = (b"retry-after", b"%d" % pause)
        raise HttpError(503, "too-many-watchers", str(error), headers=(retry,)) from error


def _has(request: HttpRequest, answer: Answer) -> bool:
    """True if the client has this representation."""
    known, found = request.header(b"if-none-match"), answer.representation
    return known is not None and found is not None and is_known(known, found.entity_tag)


def _reusable(
    context: RequestContext, live: LiveDocuments, answer: Answer, needed: AnswerNeeds
) -> Reusable | None:
    """Return how the same request can be answered again without any work."""
    if answer.entry is None or not live.is_ready(answer.entry):
        return None
    if answer.entry.representation is not answer.representation:
        return None
    return Reusable(entry=answer.entry, needed=needed, route=context.route)


def _response(
    request: HttpRequest,
    answer: Answer,
    *,
    headers: Headers = (),
    reusable: Reusable | None = None,
) -> HttpResponse:
    if answer.representation is None:
        return empty_response(404)
    if answer.stale_for is not None:
        headers = (*headers, (b"x-config-stale", b"%d" % math.ceil(answer.stale_for)))
    return representation_response(
        request, answer.representation, headers=headers, reusable=reusable
    )


def composed(
    body: bytes, media_type: str, *, inputs: Inputs = (), advice: str = TOO_LARGE
) -> Representation:
    """Return the representation of a composed document.

    Args:
        body: The complete body.
        media_type: The media type of the body.
        inputs: Everything that it was made of.
        advice: The advice in the error for a body that is too long.

    Raises:
        ConfigFormatError: The body is too long.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise ConfigFormatError(
            f"{len(body):,} bytes of body, more than {MAX_ANSWER_BYTES:,} in one answer; {advice}"
        )
    return Representation(body=body, media_type=media_type, inputs=inputs)
