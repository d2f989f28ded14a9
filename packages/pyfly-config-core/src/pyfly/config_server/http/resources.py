"""Plain files over HTTP (contract §5): texts with their placeholders replaced, or bytes."""

import re
from functools import partial
from typing import Final

from pyfly.config_core import ConfigFormatError, Environment, decode_slashes, resolve_placeholders
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.composition.budgets import run
from pyfly.config_server.composition.flattened import values_of
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.encryption.prefix import CIPHER_MARK
from pyfly.config_server.http.answers import TEXT, answer, empty_answer
from pyfly.config_server.http.charsets import decode
from pyfly.config_server.http.flattened import PLACEHOLDER, is_long_work, resolves_placeholders
from pyfly.config_server.http.messages import HttpRequest, HttpResponse, header
from pyfly.config_server.http.negotiation import asks_for, elements, preferred
from pyfly.config_server.http.refusals import Refusal
from pyfly.config_server.http.routes import Match, split_flattened

_BINARY: Final = "application/octet-stream"
_CONCRETE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")  # RFC 6838
_LARGE: Final = 16_384
"""Bytes of a file from which on work on it is done in a thread."""


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
        if found is None or _is_bundle(path):
            return empty_answer(404)
        accept = header(request, b"accept")
        if asks_for(accept, _BINARY):
            send = partial(answer, request, found.content, _BINARY, modified=found.modified)
            return await run(send, large=len(found.content) > MAX_DOCUMENT_BYTES)

        def respond() -> HttpResponse:
            text, depends = self._text(
                request, found.content, path, environment if resolve else None
            )
            wanted = preferred(accept)
            media_type = f"{wanted};charset=UTF-8" if _CONCRETE.fullmatch(wanted) else TEXT
            modified = None if depends else found.modified
            return answer(request, text.encode(), media_type, modified=modified)

        large = len(found.content) > _LARGE or CIPHER_MARK.encode() in found.content
        placeholders = resolve and PLACEHOLDER.encode() in found.content
        large = large or (placeholders and is_long_work(environment, resolve=True))
        return await run(respond, large=large)

    def _text(
        self, request: HttpRequest, content: bytes, path: str, environment: Environment | None
    ) -> tuple[str, bool]:
        """Return what a file says, and whether that depends on more than the file.

        Args:
            request: It may name the charset of the file.
            content: The file.
            path: Its suffix tells where cipher texts stand.
            environment: What placeholders are replaced by; `None` keeps them.
        """
        stored = text = _decoded(content, header(request, b"accept-charset"))
        if environment is not None:
            try:
                text = resolve_placeholders(text, values_of(environment))
            except ConfigFormatError as error:
                raise Refusal(400, "not-renderable", str(error)) from error
        text = self._server.encryption.decrypt_resource(path, text)
        filled = environment is not None and PLACEHOLDER in stored
        return text, filled or text != stored


def _is_bundle(path: str) -> bool:
    return "/" not in path and split_flattened(path) is not None


def _decoded(content: bytes, accept: bytes | None) -> str:
    """Decode as the first encoding of an `Accept-Charset` header that is known, or as UTF-8."""
    for element in elements((accept or b"").decode("latin-1")):
        text = decode(content, element.partition(";")[0])
        if text is not None:
            return text
    return content.decode("utf-8", "replace")
