"""`/{name}/{profiles}` and `/{name}/{profiles}/{label}`: the documents of Spring Cloud Config."""

import re
from dataclasses import dataclass, replace
from typing import Final

from pyfly.config_core import MEDIA_TYPE_V2, encode_environment
from pyfly.config_server.access import Right
from pyfly.config_server.composition.budgets import run
from pyfly.config_server.composition.key_selection import KeySelection, select_keys
from pyfly.config_server.composition.needed_rights import DocumentRights, NeededRights
from pyfly.config_server.composition.representation import Representation
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.formats.documents import encode_json
from pyfly.config_server.http.authorization import right_on_answer
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.document_handler import DocumentHandler, composed
from pyfly.config_server.http.endpoint import Endpoint
from pyfly.config_server.http.negotiation import select_media_type
from pyfly.config_server.http.parameters import KEYS, LABELS, NAME, PREFER, PROFILES
from pyfly.config_server.http.responses import JSON
from pyfly.config_server.http.results import READ_ERRORS, readable
from pyfly.config_server.http.schemas import (
    TEXT_OR_NULL,
    TEXT_SCHEMA,
    Schema,
    list_of,
    object_of,
)

__all__ = ["ENDPOINTS", "begins_with_application"]

_NEVER_APPLICATIONS: Final = frozenset({"actuator", "monitor"})
# A second segment that looks like a file never matches this route.
_FILE_LIKE: Final = re.compile(r"\b\.(?:ya?ml|properties|json)\b")

_ENVIRONMENT: Final = Schema(
    name="Environment",
    document=object_of(
        ("name", "profiles", "label", "version", "state", "propertySources"),
        name=TEXT_SCHEMA,
        profiles=list_of(TEXT_SCHEMA),
        label=TEXT_OR_NULL,
        version=TEXT_OR_NULL,
        state=TEXT_OR_NULL,
        propertySources=list_of(
            object_of(
                ("name", "source"),
                name=TEXT_SCHEMA,
                source={
                    "type": "object",
                    "description": "Flat keys. In the v2 media type a value may be an object of "
                    "`value` and `origin`.",
                    "additionalProperties": {"type": ["string", "number", "boolean", "object"]},
                },
            )
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _EnvironmentRequest:
    """A document of property sources in one media type."""

    names: tuple[str, str, str | None]
    media_type: str
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
        """Return the document with all its property sources, and the selected keys in them."""
        composition = await server.compose(*self.names)

        def encode() -> Representation:
            whole = composition.environment
            document = encode_environment(
                whole if self.keys is None else select_keys(whole, self.keys),
                with_origins=self.media_type == MEDIA_TYPE_V2,
            )
            return composed(encode_json(document), self.media_type, inputs=composition.inputs)

        return await run(encode, large=composition.is_large)


def _requested(context: RequestContext) -> _EnvironmentRequest:
    media_type = select_media_type(context.request, JSON, MEDIA_TYPE_V2)
    return _EnvironmentRequest(
        names=context.names, media_type=media_type, keys=context.value(KEYS, default=None)
    )


def begins_with_application(segments: tuple[str, ...]) -> bool:
    """True if the first segment of a path may be an application."""
    return not segments[0].startswith("_") and segments[0] not in _NEVER_APPLICATIONS


def _is_document(segments: tuple[str, ...]) -> bool:
    return begins_with_application(segments) and not _FILE_LIKE.search(segments[1])


_AT_DEFAULT_LABEL: Final = Endpoint(
    id="environment",
    path="/{name}/{profiles}",
    access=Right.READ,
    check=right_on_answer,
    handler=DocumentHandler(_requested),
    summary="The property sources of an application at the default label.",
    parameters=(NAME, PROFILES, KEYS, PREFER),
    results=readable({JSON: _ENVIRONMENT, MEDIA_TYPE_V2: _ENVIRONMENT}),
    errors=READ_ERRORS,
    accepts=_is_document,
)

ENDPOINTS: Final = (
    _AT_DEFAULT_LABEL,
    replace(
        _AT_DEFAULT_LABEL,
        id="environmentAtLabel",
        path="/{name}/{profiles}/{label}",
        summary="The property sources of an application at a label.",
        parameters=(NAME, PROFILES, LABELS, KEYS, PREFER),
        accepts=begins_with_application,
    ),
)
