"""The controller: one request value in, one answer value out; no framework, no sockets."""

import logging
import random
import traceback
from typing import Final

from pyfly.config_core import (
    MEDIA_TYPE_V2,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    ConfigFormatError,
    ConfigNotFoundError,
    InvalidConfigKeyError,
    UnsupportedOperationError,
    decode_slashes,
    encode_environment,
)
from pyfly.config_server._http.access import SharedCredential
from pyfly.config_server._http.answers import (
    JSON,
    allowed_methods,
    answer,
    encode_json,
    error_answer,
)
from pyfly.config_server._http.messages import HttpRequest, HttpResponse, header
from pyfly.config_server._http.negotiation import negotiate
from pyfly.config_server._http.openapi import openapi_document
from pyfly.config_server._http.routes import Match, find_route
from pyfly.config_server._server import ConfigServer

_LOG: Final = logging.getLogger(__name__)

_STATUS: Final[dict[type[BaseException], int]] = {
    InvalidConfigKeyError: 400,
    ConfigNotFoundError: 404,
    ConfigFormatError: 500,
    UnsupportedOperationError: 501,
    BackendUnavailableError: 503,
    BackendError: 500,
    ConfigError: 500,
}
_RETRY_SECONDS: Final = (2, 8)


class Controller:
    """Answers every request below the server's base path. Safe for concurrent use.

    Args:
        server: Where the configuration comes from. Its owner closes it.
        auth: What every request must carry, or `None` when the embedding application decides
            who may read.
    """

    def __init__(self, server: ConfigServer, *, auth: SharedCredential | None) -> None:
        self._server = server
        self._auth = auth
        self._openapi = encode_json(openapi_document(base_path=server.base_path, auth=auth))

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to any request. Nothing is raised for a bad one."""
        try:
            response = await self._respond(request)
        except ConfigError as error:
            response = _refuse(request, error)
        except Exception as error:  # noqa: BLE001 - the last resort: a stranger's store failed
            _log_failure(request, error)
            response = error_answer(request, 500)
        if request.method == "HEAD" and response.body:
            return HttpResponse(status=response.status, headers=response.headers)
        return response

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        if self._auth is not None and not self._auth.admits(header(request, b"authorization")):
            challenge = (b"www-authenticate", self._auth.challenge)
            return error_answer(request, 401, headers=(challenge,))
        match = find_route(request.raw_path, base_path=self._server.base_path)
        if match is None:
            return error_answer(request, 404, message="no such route")
        if request.method == "OPTIONS":
            return allowed_methods(match.route.methods)
        if request.method not in match.route.methods:
            allow = (b"allow", ", ".join(match.route.methods).encode())
            return error_answer(request, 405, headers=(allow,))
        if match.route.operation == "openapi":
            return answer(request, self._openapi, JSON)
        return await self._environment(request, match)

    async def _environment(self, request: HttpRequest, match: Match) -> HttpResponse:
        media_type = negotiate(header(request, b"accept"), (JSON, MEDIA_TYPE_V2))
        if media_type is None:
            return error_answer(request, 406, message=f"available: {JSON}, {MEDIA_TYPE_V2}")
        label = match.parameters.get("label")
        environment = await self._server.environment(
            decode_slashes(match.parameters["name"]),
            match.parameters["profiles"],
            None if label is None else decode_slashes(label),
        )
        return answer(request, encode_json(encode_environment(environment)), media_type)


def _refuse(request: HttpRequest, error: ConfigError) -> HttpResponse:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    level = logging.INFO if status < 500 else logging.ERROR  # noqa: PLR2004 - HTTP's own border
    _LOG.log(level, "%s %a: %d: %s", request.method, request.raw_path, status, error)
    if status != 503:  # noqa: PLR2004 - the only status that asks to come back
        return error_answer(request, status, message=str(error))
    wait = random.randint(*_RETRY_SECONDS)  # noqa: S311 - spreads clients, hides nothing
    retry = (b"retry-after", b"%d" % wait)
    return error_answer(request, status, message=str(error), headers=(retry,))


def _log_failure(request: HttpRequest, error: Exception) -> None:
    """Log where a stranger's error came from; its text might hold a value."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("%s %a: 500: %s\n%s", request.method, request.raw_path, type(error).__name__, frames)
