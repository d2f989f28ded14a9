"""Descriptions of results and errors that several endpoints share."""

from collections.abc import Mapping
from typing import Final

from pyfly.config_server.http.endpoint import Result
from pyfly.config_server.http.responses import TEXT
from pyfly.config_server.http.schemas import TEXT_SCHEMA, Content

__all__ = [
    "BODY_ERRORS",
    "PLAIN_TEXT",
    "READ_ERRORS",
    "RENDER_ERRORS",
    "WRITE_ERRORS",
    "readable",
]


def readable(content: Content) -> tuple[Result, ...]:
    """Return the results of a read: 200 with the content, or 304."""
    return (
        Result(status=200, description="The document.", content=content),
        Result(status=304, description="The client has this version; see If-None-Match."),
    )


PLAIN_TEXT: Final = (Result(status=200, description="The text.", content={TEXT: TEXT_SCHEMA}),)

RENDER_ERRORS: Final[Mapping[int, str]] = {
    400: "A name or a parameter is not acceptable, or the names make more than 256 lookups.",
    404: "There is no such label, bundle or version.",
    500: "A stored text that is needed cannot be read, the answer would be too large, or the "
    "store failed.",
    503: "The store cannot be reached; see the Retry-After header.",
}
READ_ERRORS: Final[Mapping[int, str]] = {**RENDER_ERRORS, 406: "No acceptable media type."}
WRITE_ERRORS: Final[Mapping[int, str]] = {
    400: "A name, a condition or a message is not acceptable.",
    403: "A freeze covers the bundle; `reason` says why, `until` until when.",
    409: "There is a file that must not be rewritten.",
    412: "The condition does not hold; `current` is the stored version.",
    428: "If-Match or If-None-Match is missing.",
    500: "The store failed.",
    501: "The store lacks the ability.",
    503: "The store cannot be reached; see the Retry-After header.",
}
BODY_ERRORS: Final[Mapping[int, str]] = {
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The media type of the body is not supported.",
    422: "The body cannot be stored.",
}
