"""The flattened formats over HTTP (contract §4): one text for tools that know no documents."""

from typing import Final, cast
from urllib.parse import parse_qsl

from pyfly.config_core import ConfigFormatError, decode_slashes
from pyfly.config_server._flattened import Extension, render
from pyfly.config_server._http.answers import JSON, TEXT, answer
from pyfly.config_server._http.messages import HttpRequest, HttpResponse
from pyfly.config_server._http.refusals import Refusal
from pyfly.config_server._http.routes import Match
from pyfly.config_server._server import ConfigServer

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
        try:
            body = render(
                environment,
                extension,
                resolve=resolve,
                strip_document=self._server.strip_document_from_yaml,
            )
        except ConfigFormatError as error:
            raise Refusal(400, "not-renderable", str(error)) from error
        return answer(request, body, JSON if extension == "json" else TEXT)


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
