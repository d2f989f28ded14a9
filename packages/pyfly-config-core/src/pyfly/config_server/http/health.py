"""Liveness, readiness and Spring's health, for the ready-made app; outside of the base path."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from pyfly.config_core import (
    DEFAULT_PROFILE,
    ConfigError,
    ConfigNotFoundError,
    Environment,
    JsonValue,
    split_names,
    split_profiles,
)
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.http.answers import allowed_methods, error_answer, json_answer
from pyfly.config_server.http.messages import HttpRequest, HttpResponse
from pyfly.config_server.http.refusals import Refusal
from pyfly.config_server.http.routes import READ_METHODS

_LOG: Final = logging.getLogger(__name__)
_CHECK_SECONDS: Final = 5.0
_UNHEALTHY: Final = frozenset({"DOWN", "OUT_OF_SERVICE"})
"""The words that Spring answers with 503; others with 200."""

LIVE_PATH: Final = b"/health/live"
READY_PATH: Final = b"/health/ready"
SPRING_PATH: Final = b"/actuator/health"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRepository:
    """What `/actuator/health` fetches (contract §7.2).

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
    """

    name: str
    """The application."""
    profiles: str = DEFAULT_PROFILE
    """One, or a comma list."""
    label: str | None = None
    """`None` for the default one."""

    def __post_init__(self) -> None:
        split_names("application", self.name)
        split_profiles(self.profiles)
        if self.label is not None:
            split_names("label", self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How `/actuator/health` comes to its answer."""

    enabled: bool = True
    """Whether it fetches anything at all."""
    repositories: tuple[HealthRepository, ...] = (HealthRepository(name="app"),)
    """All of these; the first that fails counts."""
    down_status: str = "DOWN"
    """What it says then."""
    show_details: bool = False
    """Whether it names the sources that it found, and what failed."""


class HealthController:
    """Answers `/health/live`, `/health/ready` and `/actuator/health`. Open to everybody.

    Args:
        server: What is asked.
        settings: About `/actuator/health`.
    """

    def __init__(self, server: ConfigServer, settings: HealthSettings | None = None) -> None:
        self._server = server
        self._settings = settings or HealthSettings()

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
        """Compose documents as for clients (contract §7.2)."""
        found: list[JsonValue] = []
        for repository in self._settings.repositories if self._settings.enabled else ():
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    environment = await self._server.environment(
                        repository.name, repository.profiles, repository.label
                    )
            except Exception as error:  # noqa: BLE001 - the same
                _LOG.warning("down: %s", _reason(error))
                return self._spring_answer(self._settings.down_status, _failed(repository, error))
            found.append(_found(repository, environment))
        return self._spring_answer("UP", {"repositories": found})

    def _spring_answer(self, word: str, details: dict[str, JsonValue]) -> HttpResponse:
        document: dict[str, JsonValue] = {"status": word}
        if self._settings.show_details:
            document["components"] = {"configServer": {"status": word, "details": details}}
        return json_answer(document, status=503 if word in _UNHEALTHY else 200)


def _found(repository: HealthRepository, environment: Environment) -> dict[str, JsonValue]:
    details: dict[str, JsonValue] = {
        "name": repository.name,
        "profiles": [*repository.profiles.split(",")],
        "label": repository.label,
    }
    if environment.property_sources:
        details["sources"] = [source.name for source in environment.property_sources]
    return details


def _failed(repository: HealthRepository, error: Exception) -> dict[str, JsonValue]:
    details: dict[str, JsonValue] = {
        "repository": {"application": repository.name, "profiles": repository.profiles},
        "error": _reason(error),
    }
    if isinstance(error, ConfigNotFoundError) and error.what != "label":
        details["acceptEmpty"] = False
    return details


def _reason(error: Exception) -> str:
    """Return what may be told; the text of a stranger's error might hold a value."""
    if isinstance(error, TimeoutError):
        return f"the store did not answer in {_CHECK_SECONDS:g} s"
    if isinstance(error, ConfigError):
        return str(error)
    return f"the store raised {type(error).__name__}"
