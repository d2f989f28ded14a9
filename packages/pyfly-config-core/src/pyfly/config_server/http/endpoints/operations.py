"""Health endpoints outside of the base path, and the OpenAPI document below it."""

import asyncio
from typing import Final

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigError,
    ConfigNotFoundError,
    Environment,
    JsonValue,
)
from pyfly.config_server.composition import Composition, ConfigServer
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Audience, Endpoint, Result, Root
from pyfly.config_server.http.health import HealthRepository, HealthSettings
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.responses import JSON, document_response, json_response
from pyfly.config_server.http.results import readable
from pyfly.config_server.http.schemas import ANY_OBJECT, TEXT_SCHEMA, Schema, object_of
from pyfly.config_server.live.standby_reads import standby_reads

__all__ = ["CHECK_SECONDS", "ENDPOINTS"]

CHECK_SECONDS: Final = 5.0
"""The time for a store to answer the readiness check."""
_UNHEALTHY: Final = frozenset({"DOWN", "OUT_OF_SERVICE"})
"""Statuses with the HTTP status 503; others have 200."""


async def _describe(context: RequestContext) -> HttpResponse:
    request = context.request
    base = request.root_path.decode("latin-1") + context.server.base_path
    return document_response(request, context.describe(base), JSON)


async def _live(context: RequestContext) -> HttpResponse:
    del context  # the response itself is the proof
    return json_response({"status": "up"}, status=200)


async def _ready(context: RequestContext) -> HttpResponse:
    """Return 200 if documents can be served, else 503. The reason is logged, not returned.

    The status is `degraded` while last good answers are served, the last good principals are in
    force, or writes are refused because the audit log, which is `down` then, does not work.
    """
    live = context.live
    if live is not None and live.is_degraded and live.has_answers:
        return _readiness(context, "degraded")
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await context.server.check()
    except Exception as error:  # noqa: BLE001 - a third-party store may raise anything
        status = "degraded" if live is not None and live.has_answers else "down"
        context.outages.failed("GET /health/ready", _reason(error), answer=status)
        return _readiness(context, status)
    return _readiness(context, "up" if context.access_problem is None else "degraded")


def _readiness(context: RequestContext, status: str) -> HttpResponse:
    document: dict[str, JsonValue] = {"status": status}
    if context.audit_problem is not None:
        document = {"status": "degraded" if status == "up" else status, "audit": "down"}
    return json_response(document, status=503 if status == "down" else 200)


async def _spring_health(context: RequestContext) -> HttpResponse:
    """Compose the configured documents as for clients. The first failure counts."""
    settings = context.health
    found: list[JsonValue] = []
    for repository in settings.repositories if settings.enabled else ():
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                composition = await _compose(context.server, repository)
        except Exception as error:  # noqa: BLE001 - a third-party store may raise anything
            reason = _reason(error)
            context.outages.failed("GET /actuator/health", reason, answer=settings.down_status)
            return _spring_response(settings, settings.down_status, _failed(repository, error))
        found.append(_found(repository, composition.environment))
    return _spring_response(settings, "UP", {"repositories": found})


async def _compose(server: ConfigServer, repository: HealthRepository) -> Composition:
    """Return the document as the stores have it now.

    Raises:
        BackendUnavailableError: A store is away, although its standby answers.
    """
    with standby_reads() as reads:
        composition = await server.compose(repository.name, repository.profiles, repository.label)
    if reads.since is not None:
        raise BackendUnavailableError("a store is away; its standby answers")
    return composition


def _spring_response(
    settings: HealthSettings, status: str, details: dict[str, JsonValue]
) -> HttpResponse:
    document: dict[str, JsonValue] = {"status": status}
    if settings.show_details:
        document["components"] = {"configServer": {"status": status, "details": details}}
    return json_response(document, status=503 if status in _UNHEALTHY else 200)


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
    """Return a reason without values, which the text of a third-party error may hold."""
    if isinstance(error, TimeoutError):
        return f"the store did not answer in {CHECK_SECONDS:g} s"
    if isinstance(error, ConfigError):
        return str(error)
    return f"the store raised {type(error).__name__}"


_HEALTH: Final = Schema(
    name="Health", document=object_of(("status",), status=TEXT_SCHEMA, audit=TEXT_SCHEMA)
)


def _health_results(*statuses: int) -> tuple[Result, ...]:
    return tuple(
        Result(status=status, description=text, content={JSON: _HEALTH})
        for status, text in ((200, "Healthy."), (503, "Not healthy."))
        if status in statuses
    )


ENDPOINTS: Final = (
    Endpoint(
        id="openapi",
        path="/_openapi.json",
        access=Audience.ANY_PRINCIPAL,
        handler=_describe,
        summary="This OpenAPI document.",
        results=readable({JSON: ANY_OBJECT}),
    ),
    Endpoint(
        id="live",
        path="/health/live",
        root=Root.HOST,
        access=Audience.PUBLIC,
        handler=_live,
        summary="Liveness: the process answers.",
        results=_health_results(200),
    ),
    Endpoint(
        id="ready",
        path="/health/ready",
        root=Root.HOST,
        access=Audience.PUBLIC,
        handler=_ready,
        summary="Readiness: the stores can be read.",
        results=_health_results(200, 503),
    ),
    Endpoint(
        id="springHealth",
        path="/actuator/health",
        root=Root.HOST,
        access=Audience.PUBLIC,
        handler=_spring_health,
        summary="Health in the format of Spring Boot: documents can be composed.",
        results=_health_results(200, 503),
    ),
)
