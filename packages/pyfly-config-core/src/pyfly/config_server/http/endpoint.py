"""`Endpoint`: the declaration of one route.

The route table, validation, authorisation, the OpenAPI document and the tests of all routes use
these values. A new endpoint is a module in `endpoints` with such a value, and one line in
`endpoints/__init__.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final, Literal, TypeAlias

from pyfly.config_core import JsonValue
from pyfly.config_server.access import Right
from pyfly.config_server.http.authorization import RightCheck
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.messages import HttpResponse
from pyfly.config_server.http.parameters import AnyParameter
from pyfly.config_server.http.schemas import ERROR, PROBLEM, Content, Schema

__all__ = ["Audience", "Body", "Endpoint", "Handler", "Result", "Root"]

Handler: TypeAlias = Callable[[RequestContext], Awaitable[HttpResponse]]
"""Answers a request. Raises `HttpError` or any `ConfigError`."""


@unique
class Audience(Enum):
    """The permitted principals of an endpoint that needs no right."""

    PUBLIC = "public"
    """Everybody; neither the credential nor the `Host` header is checked."""
    WEBHOOK = "webhook"
    """The holder of the secret of webhooks, and every principal that presents a credential and has
    the right `OPERATE`. The handler checks both."""
    ANY_PRINCIPAL = "any principal"
    """Every principal, with any rights."""


@unique
class Root(Enum):
    """The beginning of the path of an endpoint."""

    BASE_PATH = "base path"
    """Below the base path of the server."""
    HOST = "host"
    """At the root, outside of the base path; served by ready-made applications only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body that requests must have."""

    content: Content
    """Schemas by media type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One status of a successful response."""

    status: int
    description: str
    content: Content = field(default_factory=dict[str, "Schema | JsonValue"])
    """Schemas by media type; empty for a response without a body."""


def _takes_any(segments: tuple[str, ...]) -> bool:
    del segments
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The declaration of one route."""

    id: str
    """The `operationId` of the OpenAPI document."""
    path: str
    """`/_bundles/{application}/{profile}/{label}`: literals, and parameters in braces.

    A last segment `{path}` matches all remaining segments, including slashes.
    """
    access: Right | Audience
    """The right that a principal needs."""
    check: RightCheck | None = None
    """On what the right is decided; one of `http.authorization`. `None` without a right."""
    handler: Handler
    summary: str
    """One sentence for the OpenAPI document."""
    results: tuple[Result, ...]
    method: Literal["GET", "PUT", "PATCH", "POST", "DELETE"] = "GET"
    """`GET` includes `HEAD`. `OPTIONS` is answered everywhere."""
    parameters: tuple[AnyParameter, ...] = ()
    """The parameters of the path, in its order, then those of the query and the headers.

    Routes of pyfly-config refuse query parameters that are not listed; routes of Spring Cloud
    Config ignore them.
    """
    body: Body | None = None
    errors: Mapping[int, str] = field(default_factory=dict[int, str])
    """Descriptions by status. Errors of every endpoint are added."""
    error_schema: Schema = ERROR
    """The body of errors. Routes of pyfly-config use `PROBLEM`."""
    root: Root = Root.BASE_PATH
    selector: str | None = None
    """A query parameter that a request must have to match the endpoint."""
    accepts: Callable[[tuple[str, ...]], bool] = _takes_any
    """True if the decoded segments of a path can match this endpoint."""

    def __post_init__(self) -> None:
        if isinstance(self.access, Right) is (self.check is None):
            raise TypeError(f"{self.id}: an endpoint with a right, and no other, needs a check")
        if self.is_own and self.error_schema is ERROR:
            object.__setattr__(self, "error_schema", PROBLEM)

    @property
    def is_own(self) -> bool:
        """True if the route is part of pyfly-config, not of Spring Cloud Config."""
        return self.path.startswith("/_")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the handler answers."""
        return _READ if self.method == "GET" else (self.method,)


_READ: Final = ("GET", "HEAD")
