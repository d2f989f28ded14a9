"""The context of a request: everything that a handler may use."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from pyfly.config_core import ConfigKey, decode_slashes
from pyfly.config_server.access import Principal, Right
from pyfly.config_server.composition.server import ConfigServer
from pyfly.config_server.http.health import HealthSettings
from pyfly.config_server.http.messages import HttpRequest
from pyfly.config_server.http.metrics_responder import MetricsResponder
from pyfly.config_server.http.outages import Outages
from pyfly.config_server.http.parameters import Parameter
from pyfly.config_server.http.webhook_secret import WebhookSecret
from pyfly.config_server.live import LiveDocuments

__all__ = ["RequestContext"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """A request that matched an endpoint; its principal has the right that the endpoint needs."""

    request: HttpRequest
    parameters: Mapping[str, str]
    """The parameters of the path by name, decoded once."""
    query: Mapping[str, object]
    """The declared parameters of the query by name, parsed. Read them with `value`."""
    principal: Principal
    """The sender of the request; anonymous if the endpoint checks that itself."""
    authenticate: Callable[[], Awaitable[Principal]]
    """Returns the sender of the request by its credential, as the authenticator does."""
    server: ConfigServer
    describe: Callable[[str], bytes]
    """Returns the OpenAPI document for a base path of the routes."""
    health: HealthSettings
    """Settings of the health endpoints."""
    route: str
    """The id of the endpoint."""
    outages: Outages
    """Logs why stores cannot answer, once for each reason."""
    right: Right | None
    """The right that the endpoint needs; `None` if it needs none."""
    live: LiveDocuments | None = None
    """The live layer; `None` to compose every document for its request."""
    metrics: MetricsResponder | None = None
    """Answers with metrics; `None` if they are disabled."""
    access_problem: str | None = None
    """Why the newest principals are not in force; `None` if they are."""
    audit_problem: str | None = None
    """Why the audit log does not keep the newest events; `None` if it does."""
    webhook_secret: WebhookSecret | None = None
    """The secret of webhooks; `None` if there is none."""

    def value(self, parameter: Parameter[T], default: T) -> T:
        """Return the value of a parameter of the query, or `default`."""
        return cast("T", self.query.get(parameter.name, default))

    @property
    def names(self) -> tuple[str, str, str | None]:
        """Application, profile and label in the path of a document; `None` without a label."""
        parameters = self.parameters
        label = parameters.get("label")
        return (
            decode_slashes(parameters["name"]),
            parameters["profiles"],
            None if label is None else decode_slashes(label),
        )

    @property
    def key(self) -> ConfigKey:
        """The key of the stored bundle that the path names.

        Raises:
            InvalidConfigKeyError: A name is not acceptable.
        """
        parameters = self.parameters
        return ConfigKey(
            application=decode_slashes(parameters["application"]),
            profile=parameters["profile"],
            label=decode_slashes(parameters["label"]),
        )
