"""The flattened formats over HTTP (contract §4): one text for tools that know no documents."""

from typing import Final, cast
from urllib.parse import parse_qsl

from pyfly.config_core import ConfigFormatError, Environment, decode_slashes
from pyfly.config_server.composition.budgets import count_properties, run
from pyfly.config_server.composition.flattened import Extension, render
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.http.answers import JSON, TEXT, bounded_answer
from pyfly.config_server.http.messages import HttpRequest, HttpResponse
from pyfly.config_server.http.refusals import Refusal
from pyfly.config_server.http.routes import Match

PLACEHOLDER: Final = "${"
_PLACEHOLDERS: Final = 16
"""More placeholders in one document than these are replaced in a thread: each may hold others."""
_LARGE: Final = 100
"""So are more properties than these written: a line of YAML takes some 50 microseconds."""
_TRUE: Final = frozenset({"true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})


class FlattenedRoutes:
    """Answers `/{name}-{profiles}.{extension}`, with a label in front or without."""

    def __init__(self, server: ConfigServer) -> None:
        self._server = server

    async def flattened(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Return the effective properties; whatever the client accepts, in the format it names."""
        resolve = resolves_placeholders(request)
        label = match.parameters.get("label")
        environment = await self._server.environment(
            decode_slashes(match.parameters["name"]),
            match.parameters["profiles"],
            None if label is None else decode_slashes(label),
        )
        extension = cast("Extension", match.parameters["extension"])  # the route lets no other in
        media_type = JSON if extension == "json" else TEXT

        def respond() -> HttpResponse:
            try:
                body = render(
                    environment,
                    extension,
                    resolve=resolve,
                    strip_document=self._server.strip_document_from_yaml,
                )
            except ConfigFormatError as error:
                raise Refusal(400, "not-renderable", str(error)) from error
            return bounded_answer(request, body, media_type)

        return await run(respond, large=is_long_work(environment, resolve=resolve))


def is_long_work(environment: Environment, *, resolve: bool) -> bool:
    """True if rendering a document, or filling in its placeholders, may take milliseconds."""
    if count_properties(environment) > _LARGE:
        return True
    values = (value for one in environment.property_sources for value in one.source.values())
    texts = [value for value in values if isinstance(value, str)] if resolve else []
    return sum(text.count(PLACEHOLDER) for text in texts) > _PLACEHOLDERS


def resolves_placeholders(request: HttpRequest) -> bool:
    """Return what the query says in `resolvePlaceholders` (contract §1.5); true by default.

    Raises:
        Refusal: It is no boolean.
    """
    pairs = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)
    text = next((value for name, value in pairs if name == "resolvePlaceholders"), "").lower()
    if text and text not in _TRUE | _FALSE:
        raise Refusal(400, "invalid-query", "'resolvePlaceholders' is 'true' or 'false'")
    return text not in _FALSE
