"""The controller: from a request value to a response value, without a framework or sockets."""

import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Final

from pyfly.config_core import BackendUnavailableError, ConfigError, ConfigFrozenError
from pyfly.config_server.access import ANONYMOUS, Principal, Right
from pyfly.config_server.audit import Audit
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.formats.documents import encode_json
from pyfly.config_server.http.auditing import Auditor, Handled
from pyfly.config_server.http.authentication import Authenticator, BackgroundAuthenticator
from pyfly.config_server.http.authorization import check_anywhere
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Audience, Endpoint, Root
from pyfly.config_server.http.endpoints import ENDPOINTS
from pyfly.config_server.http.errors import HttpError, error_members, http_error
from pyfly.config_server.http.health import HealthSettings
from pyfly.config_server.http.hosts import HostPolicy
from pyfly.config_server.http.messages import HttpRequest, HttpResponse
from pyfly.config_server.http.metrics_responder import MetricsResponder
from pyfly.config_server.http.openapi import openapi_document
from pyfly.config_server.http.outages import Outages
from pyfly.config_server.http.parameters import parse_query
from pyfly.config_server.http.preferences import wait_of
from pyfly.config_server.http.proxies import ProxyPolicy
from pyfly.config_server.http.request_notes import REQUEST_ID_HEADER, identified_request
from pyfly.config_server.http.responses import (
    error_response,
    options_response,
    problem_response,
    shown_path,
)
from pyfly.config_server.http.routing import (
    MAX_PATH_BYTES,
    MAX_QUERY_BYTES,
    Match,
    RouteTable,
    is_too_long,
)
from pyfly.config_server.http.webhook_secret import WebhookSecret
from pyfly.config_server.live import LiveDocuments
from pyfly.config_server.live.telemetry import Telemetry

__all__ = ["Controller"]

_LOG: Final = logging.getLogger(__name__)
_NO_QUERY: Final[Mapping[str, object]] = {}
_UNCHECKED: Final = frozenset({Audience.PUBLIC, Audience.WEBHOOK})
"""Who is not authenticated before the handler is called."""


class Controller:
    """Answers every request to a server. Safe for concurrent use.

    Args:
        server: The server, or the live layer over it; without it, every request reads the stores.
            Its owner closes it.
        auth: The authenticator. With `None` the embedding application controls reading, and
            writing is refused.
        hosts: The policy for `Host` headers. `None` accepts every host.
        health: The settings of the endpoints outside of the base path: `/health/live`,
            `/health/ready` and `/actuator/health`. `None` does not serve them, `/metrics` and
            `/monitor`.
        endpoints: All endpoints, in order of precedence.
        telemetry: Counts the responses and renders `/metrics`. `None` counts, and shows nothing.
        webhook_secret: The secret with which providers of repositories sign requests to
            `/monitor`. `None` accepts only requests with a credential there.
        audit: The audit log, which its owner closes. `None` records nothing.
        proxies: The proxies whose headers about clients are believed. `None` ignores the headers.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each part
        self,
        server: ConfigServer | LiveDocuments,
        *,
        auth: Authenticator | None,
        hosts: HostPolicy | None = None,
        health: HealthSettings | None = None,
        endpoints: Sequence[Endpoint] = ENDPOINTS,
        telemetry: Telemetry | None = None,
        webhook_secret: WebhookSecret | None = None,
        audit: Audit | None = None,
        proxies: ProxyPolicy | None = None,
    ) -> None:
        self._live = server if isinstance(server, LiveDocuments) else None
        self._server = server.server if isinstance(server, LiveDocuments) else server
        self._auth = auth
        self._background = auth if isinstance(auth, BackgroundAuthenticator) else None
        self._hosts = hosts
        self._proxies = proxies
        self._health = health or HealthSettings()
        self._webhook_secret = webhook_secret
        telemetry = telemetry or Telemetry()
        self._counters = telemetry.counters
        self._auditor = None if audit is None else Auditor(audit, auth)
        self._outages = Outages()
        metrics = telemetry.metrics
        self._metrics = None if metrics is None else MetricsResponder(metrics)
        self._table = RouteTable(
            [one for one in endpoints if health is not None or one.root is not Root.HOST],
            base_path=self._server.base_path,
        )
        self._own_prefix = self._server.base_path.encode() + b"/_"
        self._describe = lru_cache(maxsize=8)(self._described)

    @property
    def root_paths(self) -> frozenset[str]:
        """The served paths outside of the base path."""
        return self._table.root_paths

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Return the response to any request. Errors become responses, with an `X-Request-Id`."""
        started, handled = time.perf_counter(), Handled(request=request)
        with identified_request(request.headers) as request_id:
            response = await self._handle_audited(request, handled)
        if response.status >= HTTPStatus.BAD_REQUEST:
            headers = (*response.headers, (REQUEST_ID_HEADER, request_id.encode()))
            response = replace(response, headers=headers)
        # a request that may be held has no duration of its own
        seconds = None if wait_of(request) else time.perf_counter() - started
        self._counters.answered(handled.route, response.status, seconds)
        if self._outages and response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._outages.answered()
        return response

    async def _handle_audited(self, request: HttpRequest, handled: Handled) -> HttpResponse:
        if self._auditor is None:
            return await self._handle(request, handled)
        try:
            response = await self._handle(request, handled)
        except BaseException:  # the task was cancelled
            self._auditor.ended(handled)
            raise
        self._auditor.answered(handled, response)
        return response

    async def _handle(self, request: HttpRequest, handled: Handled) -> HttpResponse:
        try:
            response = await self._respond(request, handled)
        except HttpError as error:
            response = self._failed(request, error)
        except ConfigError as error:
            handled.frozen = error if isinstance(error, ConfigFrozenError) else None
            response = self._failed(request, http_error(error), error)
        except Exception as error:  # noqa: BLE001 - a third-party store may raise anything
            _log_failure(request, error)
            response = self._failed(request, HttpError(500, "failed"))
        if request.method == "HEAD" and response.body:
            return HttpResponse(status=response.status, headers=response.headers)
        return response

    async def _respond(self, request: HttpRequest, handled: Handled) -> HttpResponse:
        match = self._table.find_at_root(request.raw_path, request.method)
        principal = ANONYMOUS
        if self._proxies is not None:
            is_public = match is not None and match.endpoint.access is Audience.PUBLIC
            request = self._resolve(self._proxies, request, handled, is_public=is_public)
        if match is None or match.endpoint.access not in _UNCHECKED:
            principal = await self._authenticate(request, handled)
        if match is None:
            match = self._find(request)
        handled.route = match.endpoint.id
        if match.methods:
            return _without_handler(request, match)
        endpoint = handled.endpoint = match.endpoint
        handled.parameters = match.parameters
        right = endpoint.access if isinstance(endpoint.access, Right) else None
        if right is not None:
            check_anywhere(principal, right)
        context = RequestContext(
            outages=self._outages,
            request=request,
            parameters=match.parameters,
            query=_parse_query(request, endpoint),
            principal=principal,
            authenticate=partial(self._authenticate, request, handled),
            access_problem=None if self._background is None else self._background.problem,
            audit_problem=None if self._auditor is None else self._auditor.problem,
            server=self._server,
            describe=self._describe,
            health=self._health,
            route=endpoint.id,
            right=right,
            live=self._live,
            metrics=self._metrics,
            webhook_secret=self._webhook_secret,
        )
        if right is not None and endpoint.check is not None:
            await endpoint.check(context, right)
        if self._auditor is not None:
            await self._auditor.attempt(context, handled)
        return await endpoint.handler(context)

    def _resolve(
        self, proxies: ProxyPolicy, request: HttpRequest, handled: Handled, *, is_public: bool
    ) -> HttpRequest:
        """Return the request with what a trusted proxy says about its client.

        Raises:
            HttpError: 400; it is not believed, or not understood, and the route is not public.
        """
        request, refusal = proxies.resolve(request)
        handled.request = request
        if refusal is not None and not is_public:
            handled.is_identity_refused = proxies.claims_identity(request)
            raise refusal
        return request

    async def _authenticate(self, request: HttpRequest, handled: Handled) -> Principal:
        if self._hosts is not None:
            self._hosts.check(request)
        if self._auth is None:
            handled.is_signed_in = True
            return ANONYMOUS
        principal = await self._auth.authenticate(request)
        handled.principal, handled.is_signed_in = principal.name, True
        if request.notes is not None:
            request.notes.principal = principal.name
        return principal

    def _find(self, request: HttpRequest) -> Match:
        if is_too_long(request.raw_path, request.query, base_path=self._server.base_path):
            raise HttpError(
                414,
                "target-too-long",
                f"a path has at most {MAX_PATH_BYTES:,} bytes below the base path, a query "
                f"{MAX_QUERY_BYTES:,}; ask for fewer names at once",
            )
        match = self._table.find(request.raw_path, request.method, query=request.query)
        if match is None:
            raise HttpError(404, "no-such-route", "no such route")
        return match

    def _described(self, base_path: str) -> bytes:
        return encode_json(
            openapi_document(
                self._table.endpoints,
                base_path=base_path,
                scheme=None if self._auth is None else self._auth.scheme,
                checks_hosts=self._hosts is not None,
            )
        )

    def _failed(
        self, request: HttpRequest, error: HttpError, cause: ConfigError | None = None
    ) -> HttpResponse:
        if isinstance(cause, BackendUnavailableError):
            self._outages.failed(f"{request.method} {_logged(request)}", str(cause))
        elif cause is not None:
            is_internal = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            level = logging.ERROR if is_internal else logging.DEBUG  # clients cause it
            _LOG.log(level, "%s %s: %d: %s", request.method, _logged(request), error.status, cause)
        if request.raw_path.startswith(self._own_prefix):
            members = {} if cause is None else error_members(cause)
            return problem_response(request, error, members=members)
        return error_response(request, error)


def _parse_query(request: HttpRequest, endpoint: Endpoint) -> Mapping[str, object]:
    if not request.query:
        return _NO_QUERY
    return parse_query(request.query, endpoint.parameters, strict=endpoint.is_own)


def _without_handler(request: HttpRequest, match: Match) -> HttpResponse:
    """Answer `OPTIONS`.

    Raises:
        HttpError: 405; the request has another method.
    """
    if request.method == "OPTIONS":
        return options_response(match.methods, match.patch_types)
    allow = (b"allow", ", ".join(match.methods).encode())
    raise HttpError(405, "method-not-allowed", headers=(allow,))


def _log_failure(request: HttpRequest, error: Exception) -> None:
    """Log the type and the frames of an unexpected error. Its text may hold values."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    name = type(error).__name__
    _LOG.error("%s %s: 500: %s\n%s", request.method, _logged(request), name, frames)


def _logged(request: HttpRequest) -> str:
    return ascii(shown_path(request))
