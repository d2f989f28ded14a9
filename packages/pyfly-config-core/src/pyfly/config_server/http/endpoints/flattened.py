"""`/{name}-{profiles}.{extension}`: effective properties as JSON, YAML or properties."""

from dataclasses import dataclass, replace
from typing import Final, cast

from pyfly.config_core import ConfigFormatError, Environment
from pyfly.config_server.access import Right
from pyfly.config_server.composition.budgets import count_properties, run
from pyfly.config_server.composition.key_selection import KeySelection
from pyfly.config_server.composition.needed_rights import DocumentRights, NeededRights
from pyfly.config_server.composition.rendering import Extension, UnrenderableError, render
from pyfly.config_server.composition.representation import Representation
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.http.authorization import right_on_answer
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.document_handler import DocumentHandler, composed
from pyfly.config_server.http.endpoint import Endpoint
from pyfly.config_server.http.parameters import (
    KEYS,
    LABELS,
    NAME,
    PREFER,
    PROFILES,
    RESOLVE_PLACEHOLDERS,
    text_parameter,
)
from pyfly.config_server.http.responses import JSON, TEXT
from pyfly.config_server.http.results import RENDER_ERRORS, readable
from pyfly.config_server.http.schemas import ANY_OBJECT, TEXT_SCHEMA

__all__ = ["ENDPOINTS", "PLACEHOLDER", "is_long_work"]

PLACEHOLDER: Final = "${"
_PLACEHOLDERS: Final = 16
"""Documents with more placeholders are resolved in a thread: each may contain others."""
_LARGE: Final = 100
"""More properties are written in a thread: a line of YAML takes some 50 microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FlattenedRequest:
    """The effective properties in one format."""

    names: tuple[str, str, str | None]
    extension: Extension
    resolve: bool
    keys: KeySelection | None

    @property
    def rights(self) -> NeededRights:
        """The rights that the document needs."""
        return DocumentRights(names=self.names)

    @property
    def application(self) -> str:
        """The applications in the path."""
        return self.names[0]

    async def represent(self, server: ConfigServer) -> Representation:
        """Return the effective properties as one text."""
        composition = await server.compose(*self.names)
        environment = composition.environment
        media_type = JSON if self.extension == "json" else TEXT

        def encode() -> Representation:
            try:
                body = render(
                    environment,
                    self.extension,
                    resolve=self.resolve,
                    strip_document=server.options.strip_document_from_yaml,
                    keys=self.keys,
                )
            except ConfigFormatError as error:
                raise UnrenderableError(str(error)) from error
            return composed(body, media_type, inputs=composition.inputs)

        return await run(encode, large=is_long_work(environment, resolve=self.resolve))


def _requested(context: RequestContext) -> _FlattenedRequest:
    return _FlattenedRequest(
        names=context.names,
        extension=cast("Extension", context.parameters["extension"]),  # checked by the route
        resolve=context.value(RESOLVE_PLACEHOLDERS, default=True),
        keys=context.value(KEYS, default=None),
    )


def is_long_work(environment: Environment, *, resolve: bool) -> bool:
    """True if rendering a document, or resolving its placeholders, may take milliseconds."""
    if count_properties(environment) > _LARGE:
        return True
    values = (value for one in environment.property_sources for value in one.source.values())
    texts = [value for value in values if isinstance(value, str)] if resolve else []
    return sum(text.count(PLACEHOLDER) for text in texts) > _PLACEHOLDERS


def _is_document(segments: tuple[str, ...]) -> bool:
    return not segments[0].startswith("_")


_FLATTENED: Final = "/{name}-{profiles}.{extension}"
_EXTENSION: Final = text_parameter("extension", "path", "`json`, `properties`, `yaml` or `yml`.")

_AT_DEFAULT_LABEL: Final = Endpoint(
    id="flattened",
    path=_FLATTENED,
    access=Right.READ,
    check=right_on_answer,
    handler=DocumentHandler(_requested),
    summary="The effective properties of an application at the default label, as one text.",
    parameters=(NAME, PROFILES, _EXTENSION, RESOLVE_PLACEHOLDERS, KEYS, PREFER),
    results=readable({JSON: ANY_OBJECT, TEXT: TEXT_SCHEMA}),
    errors=RENDER_ERRORS,
    accepts=_is_document,
)

ENDPOINTS: Final = (
    _AT_DEFAULT_LABEL,
    replace(
        _AT_DEFAULT_LABEL,
        id="flattenedAtLabel",
        path="/{label}" + _FLATTENED,
        summary="The effective properties of an application at a label, as one text.",
        parameters=(LABELS, NAME, PROFILES, _EXTENSION, RESOLVE_PLACEHOLDERS, KEYS, PREFER),
    ),
)
