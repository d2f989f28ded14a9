"""The controller: one request value in, one answer value out; no framework, no sockets."""

import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

from pyfly.config_core import MEDIA_TYPE_V2, ConfigError, decode_slashes, encode_environment
from pyfly.config_server.composition.budgets import LARGE, count_properties, run
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.formats.documents import encode_json
from pyfly.config_server.http.access import SharedCredential
from pyfly.config_server.http.answers import (
    JSON,
    SHOWN_PATH_LENGTH,
    allowed_methods,
    answer,
    bounded_answer,
    error_answer,
    problem_answer,
)
from pyfly.config_server.http.bundles import BundleRoutes
from pyfly.config_server.http.encryption import EncryptionRoutes
from pyfly.config_server.http.flattened import FlattenedRoutes
from pyfly.config_server.http.hosts import HostPolicy
from pyfly.config_server.http.messages import HttpRequest, HttpResponse, header
from pyfly.config_server.http.negotiation import negotiate
from pyfly.config_server.http.openapi import openapi_document
from pyfly.config_server.http.refusals import Refusal, details_of, refusal_of
from pyfly.config_server.http.resources import ResourceRoutes
from pyfly.config_server.http.routes import (
    MAX_PATH_BYTES,
    MAX_QUERY_BYTES,
    Match,
    Operation,
    find_route,
    is_own,
    is_too_long,
)

_LOG: Final = logging.getLogger(__name__)


class Controller:
    """Answers every request below the server's base path. Safe for concurrent use.

    Args:
        server: Where the configuration comes from. Its owner closes it.
        auth: What every request must carry, or `None` when the embedding application decides
            who may read. Nobody may write then.
        hosts: By which names requests may come, or `None` when that is not checked here.
    """

    def __init__(
        self,
        server: ConfigServer,
        *,
        auth: SharedCredential | None,
        hosts: HostPolicy | None = None,
    ) -> None:
        self._server = server
        self._auth = auth
        self._hosts = hosts
        described = openapi_document(
            base_path=server.base_path, auth=auth, guarded=hosts is not None
        )
        self._openapi = encode_json(described)
        own = BundleRoutes(server.bundles)
        encryption = EncryptionRoutes(server.encryption)
        self._operations: dict[
            Operation, Callable[[HttpRequest, Match], Awaitable[HttpResponse]]
        ] = {
            "environment": self._environment,
            "flattened": FlattenedRoutes(server).flattened,
            "resource": ResourceRoutes(server).resource,
            "openapi": self._describe,
            "bundles": own.page,
            "bundle": own.bundle,
            "history": own.history,
            "version": own.version,
            "rollback": own.rollback,
            "encryptionStatus": encryption.status,
            "publicKey": encryption.public_key,
            "encrypt": encryption.encrypt,
            "decrypt": encryption.decrypt,
        }

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to any request. Nothing is raised for a bad one."""
        try:
            response = await self._respond(request)
        except Refusal as refusal:
            response = self._refuse(request, refusal)
        except ConfigError as error:
            response = self._refuse(request, refusal_of(error), error)
        except Exception as error:  # noqa: BLE001 - the last resort: a stranger's store failed
            _log_failure(request, error)
            response = self._refuse(request, Refusal(500, "failed"))
        if request.method == "HEAD" and response.body:
            return HttpResponse(status=response.status, headers=response.headers)
        return response

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        if self._hosts is not None:
            self._hosts.check(request)
        if self._auth is not None and not self._auth.admits(header(request, b"authorization")):
            challenge = (b"www-authenticate", self._auth.challenge)
            raise Refusal(401, "unauthorized", headers=(challenge,))
        if is_too_long(request.raw_path, request.query, base_path=self._server.base_path):
            raise Refusal(
                414,
                "target-too-long",
                f"a path has at most {MAX_PATH_BYTES:,} bytes below the base path, a query "
                f"{MAX_QUERY_BYTES:,}; ask for fewer names at once",
            )
        match = find_route(
            request.raw_path,
            request.method,
            base_path=self._server.base_path,
            query=request.query,
        )
        if match is None:
            raise Refusal(404, "no-such-route", "no such route")
        if request.method == "OPTIONS":
            return allowed_methods(match.methods)
        if request.method not in match.route.methods:
            allow = (b"allow", ", ".join(match.methods).encode())
            raise Refusal(405, "method-not-allowed", headers=(allow,))
        if self._auth is None and match.route.writes(request.method):
            raise Refusal(403, "forbidden", "writing over HTTP needs a configured credential")
        return await self._operations[match.route.operation](request, match)

    async def _describe(self, request: HttpRequest, match: Match) -> HttpResponse:
        del match  # the document is the same for everybody
        return answer(request, self._openapi, JSON)

    async def _environment(self, request: HttpRequest, match: Match) -> HttpResponse:
        media_type = negotiate(header(request, b"accept"), (JSON, MEDIA_TYPE_V2))
        if media_type is None:
            raise Refusal(406, "not-acceptable", f"available: {JSON}, {MEDIA_TYPE_V2}")
        label = match.parameters.get("label")
        environment = await self._server.environment(
            decode_slashes(match.parameters["name"]),
            match.parameters["profiles"],
            None if label is None else decode_slashes(label),
        )

        def encode() -> HttpResponse:
            document = encode_environment(environment, with_origins=media_type == MEDIA_TYPE_V2)
            return bounded_answer(request, encode_json(document), media_type)

        return await run(encode, large=count_properties(environment) > LARGE)

    def _refuse(
        self, request: HttpRequest, refusal: Refusal, error: ConfigError | None = None
    ) -> HttpResponse:
        if error is not None:
            level = logging.INFO if refusal.status < 500 else logging.ERROR  # noqa: PLR2004 - HTTP
            path = request.raw_path[:SHOWN_PATH_LENGTH]
            _LOG.log(level, "%s %a: %d: %s", request.method, path, refusal.status, error)
        if is_own(request.raw_path, base_path=self._server.base_path):
            more = {} if error is None else details_of(error)
            return problem_answer(request, refusal, more=more)
        return error_answer(request, refusal)


def _log_failure(request: HttpRequest, error: Exception) -> None:
    """Log where a stranger's error came from; its text might hold a value."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    path = request.raw_path[:SHOWN_PATH_LENGTH]
    _LOG.error("%s %a: 500: %s\n%s", request.method, path, type(error).__name__, frames)
