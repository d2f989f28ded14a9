"""Liveness, readiness and Spring's health, for the ready-made app; outside of the base path."""

import asyncio
import logging
from typing import Final

from pyfly.config_core import DEFAULT_PROFILE, ConfigError, ConfigNotFoundError, JsonValue
from pyfly.config_server._http.answers import allowed_methods, error_answer, json_answer
from pyfly.config_server._http.messages import HttpRequest, HttpResponse
from pyfly.config_server._http.refusals import Refusal
from pyfly.config_server._http.routes import READ_METHODS
from pyfly.config_server._server import ConfigServer

_LOG: Final = logging.getLogger(__name__)
_CHECK_SECONDS: Final = 5.0
_SPRING_APPLICATION: Final = "app"

LIVE_PATH: Final = b"/health/live"
READY_PATH: Final = b"/health/ready"
SPRING_PATH: Final = b"/actuator/health"


class HealthController:
    """Answers `/health/live`, `/health/ready` and `/actuator/health`. Open to everybody.

    Args:
        server: What is asked.
        show_details: Whether `/actuator/health` names the sources it found, and what failed.
    """

    def __init__(self, server: ConfigServer, *, show_details: bool = False) -> None:
        self._server = server
        self._show_details = show_details

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Return 200 when the path's question is answered with yes, 503 with no, or an error."""
        if request.raw_path not in {LIVE_PATH, READY_PATH, SPRING_PATH}:
            return error_answer(request, Refusal(404, "no-such-route", "no such route"))
        if request.method == "OPTIONS":
            return allowed_methods(READ_METHODS)
        if request.method not in READ_METHODS:
            allow = (b"allow", ", ".join(READ_METHODS).encode())
            return error_answer(request, Refusal(405, "method-not-allowed", headers=(allow,)))
        if request.raw_path == SPRING_PATH:
            response = await self._spring()
        else:
            up = request.raw_path == LIVE_PATH or await self._is_ready()
            response = json_answer({"status": "up" if up else "down"}, status=200 if up else 503)
        if request.method == "HEAD":
            return HttpResponse(status=response.status, headers=response.headers)
        return response

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._server.check()
        except Exception as error:  # noqa: BLE001 - a stranger's store may raise anything
            _LOG.warning("not ready: %s", _reason(error))
            return False
        return True

    async def _spring(self) -> HttpResponse:
        """Compose a document as for a client that is not stored (contract §7.2)."""
        names: dict[str, JsonValue] = {"name": _SPRING_APPLICATION, "profiles": [DEFAULT_PROFILE]}
        details: dict[str, JsonValue]
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                environment = await self._server.environment(
                    _SPRING_APPLICATION, DEFAULT_PROFILE, None
                )
        except Exception as error:  # noqa: BLE001 - the same
            _LOG.warning("down: %s", _reason(error))
            repository = {"application": _SPRING_APPLICATION, "profiles": DEFAULT_PROFILE}
            details = {"repository": {**repository}, "error": _reason(error)}
            if isinstance(error, ConfigNotFoundError) and error.what != "label":
                details["acceptEmpty"] = False
            return self._spring_answer("DOWN", 503, details)
        sources: list[JsonValue] = [source.name for source in environment.property_sources]
        names["label"] = None
        if sources:
            names["sources"] = sources
        return self._spring_answer("UP", 200, {"repositories": [names]})

    def _spring_answer(self, word: str, status: int, details: dict[str, JsonValue]) -> HttpResponse:
        document: dict[str, JsonValue] = {"status": word}
        if self._show_details:
            document["components"] = {"configServer": {"status": word, "details": details}}
        return json_answer(document, status=status)


def _reason(error: Exception) -> str:
    """Return what may be told; the text of a stranger's error might hold a value."""
    if isinstance(error, TimeoutError):
        return f"the store did not answer in {_CHECK_SECONDS:g} s"
    if isinstance(error, ConfigError):
        return str(error)
    return f"the store raised {type(error).__name__}"
