"""Plain files over HTTP (contract §5): texts with their placeholders replaced, or bytes."""

import asyncio
import codecs
import re
from typing import Final

from pyfly.config_core import ConfigFormatError, decode_slashes, resolve_placeholders
from pyfly.config_server._flattened import values_of
from pyfly.config_server._http.answers import TEXT, answer, empty_answer
from pyfly.config_server._http.flattened import resolves_placeholders
from pyfly.config_server._http.messages import HttpRequest, HttpResponse, header
from pyfly.config_server._http.negotiation import preferred
from pyfly.config_server._http.refusals import Refusal
from pyfly.config_server._http.routes import Match
from pyfly.config_server._server import ConfigServer

_BINARY: Final = "application/octet-stream"
_CONCRETE: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_BUNDLE: Final = re.compile(r"[^/]+-[^/]+\.(?:ya?ml|json|properties)")


class ResourceRoutes:
    """Answers `/{name}/{profile}/{label}/{path}`, and without a label on demand."""

    def __init__(self, server: ConfigServer) -> None:
        self._server = server

    async def resource(self, request: HttpRequest, match: Match) -> HttpResponse:
        """Return a file; 404 without a body when there is none."""
        resolve = resolves_placeholders(request)
        parameters = match.parameters
        label = decode_slashes(parameters["label"]) if "label" in parameters else None
        names = (decode_slashes(parameters["name"]), parameters["profiles"], label)
        path = parameters["path"]
        found = await self._server.resource(*names, path)
        environment = await self._server.environment(*names)  # its errors are told here too
        if found is None or _BUNDLE.fullmatch(path):
            return empty_answer(404)
        wanted = preferred(header(request, b"accept"))
        if wanted == _BINARY:
            return answer(request, found.content, _BINARY, modified=found.modified)
        text = found.content.decode(_charset(header(request, b"accept-charset")), "replace")
        if resolve:
            try:
                text = resolve_placeholders(text, values_of(environment))
            except ConfigFormatError as error:
                raise Refusal(400, "not-renderable", str(error)) from error
        text = await asyncio.to_thread(self._server.encryption.decrypt_resource, path, text)
        media_type = f"{wanted};charset=UTF-8" if _CONCRETE.fullmatch(wanted) else TEXT
        return answer(request, text.encode(), media_type, modified=found.modified)


def _charset(accept: bytes | None) -> str:
    """Return the first encoding of an `Accept-Charset` header that Python knows, or UTF-8."""
    for element in (accept or b"").decode("latin-1").split(","):
        name = element.partition(";")[0].strip()
        try:
            if name and codecs.lookup(name)._is_text_encoding:  # noqa: SLF001 - no other way
                return name
        except (LookupError, ValueError):
            continue
    return "utf-8"
