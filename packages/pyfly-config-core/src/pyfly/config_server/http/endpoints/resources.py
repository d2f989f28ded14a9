"""`/{name}/{profiles}/{label}/{path}`: plain files, with placeholders replaced in texts."""

import re
from dataclasses import dataclass, replace
from typing import Final

from pyfly.config_core import ConfigFormatError, Environment, resolve_placeholders
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_server.access import Right
from pyfly.config_server.composition.budgets import run
from pyfly.config_server.composition.needed_rights import FileRights, NeededRights
from pyfly.config_server.composition.rendering import UnrenderableError, values_of
from pyfly.config_server.composition.representation import Representation
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.encryption.prefix import CIPHER_MARK
from pyfly.config_server.http.authorization import right_on_answer
from pyfly.config_server.http.charsets import decode
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.document_handler import DocumentHandler
from pyfly.config_server.http.endpoint import Endpoint
from pyfly.config_server.http.endpoints.environment import begins_with_application
from pyfly.config_server.http.endpoints.flattened import PLACEHOLDER, is_long_work
from pyfly.config_server.http.negotiation import asks_for, elements, preferred
from pyfly.config_server.http.parameters import (
    LABELS,
    NAME,
    PREFER,
    PROFILES,
    RESOLVE_PLACEHOLDERS,
    text_parameter,
)
from pyfly.config_server.http.responses import TEXT
from pyfly.config_server.http.results import RENDER_ERRORS, readable
from pyfly.config_server.http.schemas import TEXT_SCHEMA
from pyfly.config_server.storage import ConfigResource

__all__ = ["ENDPOINTS"]

_BINARY: Final = "application/octet-stream"
_CONCRETE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")  # RFC 6838
_LARGE: Final = 16_384
"""In bytes. Larger files are processed in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ResourceRequest:
    """A plain file, as bytes or as a text with placeholders replaced."""

    names: tuple[str, str, str | None]
    path: str
    resolve: bool
    media_type: str
    charsets: bytes | None
    """The `Accept-Charset` of the request: charsets of the file, the preferred one first."""

    @property
    def rights(self) -> NeededRights:
        """The rights that the file needs."""
        return FileRights(names=self.names, path=self.path)

    @property
    def application(self) -> str:
        """The applications in the path."""
        return self.names[0]

    async def represent(self, server: ConfigServer) -> Representation | None:
        """Return the file; `None` if there is none."""
        composition = await server.compose_resource(*self.names, self.path)
        found = composition.resource
        if found is None:
            return None

        def encode() -> Representation:
            body, modified, has_values = found.content, found.modified, False
            if self.media_type != _BINARY:
                text, has_values, depends = self._text(server, found, composition.environment)
                body, modified = text.encode(), None if depends else modified
            return Representation(
                body=body,
                media_type=self.media_type,
                modified=modified,
                inputs=composition.inputs,
                has_values=has_values,
            )

        return await run(encode, large=self._is_long_work(found, composition.environment))

    def _is_long_work(self, found: ConfigResource, environment: Environment) -> bool:
        size = len(found.content)
        if self.media_type == _BINARY:
            return size > MAX_DOCUMENT_BYTES
        if size > _LARGE or CIPHER_MARK.encode() in found.content:
            return True
        placeholders = self.resolve and PLACEHOLDER.encode() in found.content
        return placeholders and is_long_work(environment, resolve=True)

    def _text(
        self, server: ConfigServer, found: ConfigResource, environment: Environment
    ) -> tuple[str, bool, bool]:
        """Return the text of a file.

        The suffix of the path selects the format for cipher texts.

        Returns:
            The text, true if it has values of the document, and true if it depends on more than
            the file.
        """
        stored = text = _decoded(found.content, self.charsets)
        if self.resolve:
            try:
                text = resolve_placeholders(text, values_of(environment))
            except ConfigFormatError as error:
                raise UnrenderableError(str(error)) from error
        text = server.options.encryption.decrypt_resource(
            self.path,
            text,
            applications=(*self.application.split(","), server.options.default_application_name),
        )
        filled = self.resolve and PLACEHOLDER in stored
        return text, filled, filled or text != stored


def _requested(context: RequestContext) -> _ResourceRequest:
    accept = context.request.header(b"accept")
    if asks_for(accept, _BINARY):
        media_type = _BINARY
    else:
        wanted = preferred(accept)
        media_type = f"{wanted};charset=UTF-8" if _CONCRETE.fullmatch(wanted) else TEXT
    return _ResourceRequest(
        names=context.names,
        path=context.parameters["path"],
        resolve=context.value(RESOLVE_PLACEHOLDERS, default=True),
        media_type=media_type,
        charsets=context.request.header(b"accept-charset"),
    )


def _decoded(content: bytes, accept: bytes | None) -> str:
    """Return the text in the first known charset of `Accept-Charset`, or in UTF-8."""
    for element in elements((accept or b"").decode("latin-1")):
        text = decode(content, element.partition(";")[0])
        if text is not None:
            return text
    return content.decode("utf-8", "replace")


_PATH: Final = text_parameter("path", "path", "Path of a plain file, with slashes.")

_AT_LABEL: Final = Endpoint(
    id="resource",
    path="/{name}/{profiles}/{label}/{path}",
    access=Right.FILES,
    check=right_on_answer,
    handler=DocumentHandler(_requested),
    summary="A plain file at a label, with placeholders replaced in texts.",
    parameters=(NAME, PROFILES, LABELS, _PATH, RESOLVE_PLACEHOLDERS, PREFER),
    results=readable({"*/*": TEXT_SCHEMA}),
    errors=RENDER_ERRORS,
    accepts=begins_with_application,
)

_AT_DEFAULT_LABEL: Final = replace(
    _AT_LABEL,
    id="resourceAtDefaultLabel",
    path="/{name}/{profiles}/{path}",
    summary="A plain file at the default label.",
    parameters=(NAME, PROFILES, _PATH, RESOLVE_PLACEHOLDERS, PREFER),
    selector="useDefaultLabel",
)
"""It has the same path as the document at a label, so it must come first in the list."""

ENDPOINTS: Final = (_AT_DEFAULT_LABEL, _AT_LABEL)
