"""Liveness and readiness, for the ready-made app; outside of the base path."""

import asyncio
import logging
from typing import Final

from pyfly.config_core import ConfigError
from pyfly.config_server._http.answers import allowed_methods, error_answer, json_answer
from pyfly.config_server._http.messages import HttpRequest, HttpResponse
from pyfly.config_server._http.refusals import Refusal
from pyfly.config_server._http.routes import READ_METHODS
from pyfly.config_server._server import ConfigServer

_LOG: Final = logging.getLogger(__name__)
_CHECK_SECONDS: Final = 5.0

LIVE_PATH: Final = b"/health/live"
READY_PATH: Final = b"/health/ready"


class HealthController:
    """Answers `/health/live` and `/health/ready`. Open to everybody; tells no reasons."""

    def __init__(self, server: ConfigServer) -> None:
        self._server = server

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Return 200 `up`, 503 `down`, or an error for another path or method."""
        if request.raw_path not in {LIVE_PATH, READY_PATH}:
            return error_answer(request, Refusal(404, "no-such-route", "no such route"))
        if request.method == "OPTIONS":
            return allowed_methods(READ_METHODS)
        if request.method not in READ_METHODS:
            allow = (b"allow", ", ".join(READ_METHODS).encode())
            return error_answer(request, Refusal(405, "method-not-allowed", headers=(allow,)))
        up = request.raw_path == LIVE_PATH or await self._is_ready()
        response = json_answer({"status": "up" if up else "down"}, status=200 if up else 503)
        if request.method == "HEAD":
            return HttpResponse(status=response.status, headers=response.headers)
        return response

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._server.check()
        except ConfigError as error:
            _LOG.warning("not ready: %s", error)
            return False
        except TimeoutError:
            _LOG.warning("not ready: the store did not answer in %s s", _CHECK_SECONDS)
            return False
        except Exception as error:  # noqa: BLE001 - a stranger's store; its text might hold a value
            _LOG.warning("not ready: the store raised %s", type(error).__name__)
            return False
        return True
