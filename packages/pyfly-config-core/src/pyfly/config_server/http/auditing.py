"""Events of the audit log, made of requests and their responses.

What is recorded follows from the declaration of an endpoint: its right. So a new endpoint that
writes is audited by itself.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

from pyfly.config_core import ConfigFrozenError, decode_slashes
from pyfly.config_server.access import Right
from pyfly.config_server.audit import Audit, AuditError, AuditEvent
from pyfly.config_server.audit.events import CredentialKind
from pyfly.config_server.http.authentication import Authenticator, NamingAuthenticator
from pyfly.config_server.http.condition_headers import required_condition, version_of
from pyfly.config_server.http.context import RequestContext
from pyfly.config_server.http.endpoint import Endpoint
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.failed_sign_ins import claimed_name
from pyfly.config_server.http.messages import HttpRequest, HttpResponse
from pyfly.config_server.http.request_notes import current_request_id
from pyfly.config_server.http.responses import shown_path
from pyfly.config_server.live.counters import NO_ROUTE
from pyfly.config_server.storage import PRESENT

__all__ = ["Auditor", "Handled"]

_ALWAYS: Final = frozenset({Right.WRITE, Right.DECRYPT})
"""The rights whose use is always recorded."""
_REFUSALS: Final = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
)
_RETRY: Final = ((b"retry-after", b"5"),)
_Outcome: TypeAlias = Literal["attempt", "done", "refused", "failed", "unknown"]
_NAMES: Final = (
    ("application", ("application", "name")),
    ("profile", ("profile", "profiles")),
    ("label", ("label",)),
)
"""The names of a target, and the parameters of paths that hold them."""


@dataclass(slots=True, kw_only=True)
class Handled:
    """What is known about a request while it is handled."""

    request: HttpRequest
    """The request, with what a trusted proxy says about its client as soon as that is known."""
    route: str = NO_ROUTE
    endpoint: Endpoint | None = None
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    principal: str | None = None
    is_signed_in: bool = False
    """False until the principal is known, also if it is anonymous."""
    is_identity_refused: bool = False
    """True if it was refused because of its identity header, or because of who has sent it."""
    is_unrecorded: bool = False
    """True if a write was refused because the audit log does not work."""
    version_before: str | None = None
    frozen: ConfigFrozenError | None = None
    """The freeze by which a write was refused."""


class Auditor:
    """Records requests.

    Args:
        audit: The audit log.
        auth: The authenticator, which may know names.
    """

    def __init__(self, audit: Audit, auth: Authenticator | None) -> None:
        self._audit = audit
        self._names = auth if isinstance(auth, NamingAuthenticator) else None

    @property
    def problem(self) -> str | None:
        """Why the newest events are not kept; `None` if they are."""
        return self._audit.problem

    async def attempt(self, context: RequestContext, handled: Handled) -> None:
        """Record that a write begins.

        Raises:
            HttpError: 503; that cannot be recorded, so the write must not begin.
        """
        if context.right is not Right.WRITE:
            return
        handled.version_before = await _version_before(context)
        try:
            await self._audit.attempt(self._event(handled, "attempt"))
        except AuditError as error:
            handled.is_unrecorded = True
            raise HttpError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "audit-unavailable",
                "nothing was written: the audit log of the server does not work; its log says why",
                headers=_RETRY,
            ) from error

    def answered(self, handled: Handled, response: HttpResponse) -> None:
        """Record an answer, if it is one that is recorded."""
        endpoint, status = handled.endpoint, response.status
        right = None if endpoint is None else endpoint.access
        is_use = right in _ALWAYS or (self._audit.reads and isinstance(right, Right))
        if not is_use and status not in _REFUSALS and not handled.is_identity_refused:
            return
        version = None
        if right is Right.WRITE and status < HTTPStatus.BAD_REQUEST:
            tags = (value for name, value in response.headers if name == b"etag")
            version = version_of(next(tags, b""))
        result = _result(status, handled)
        self._audit.note(self._event(handled, result, status=status, version=version))

    def ended(self, handled: Handled) -> None:
        """Record that a request ended without an answer: its client left, or the server stops."""
        if handled.endpoint is not None and handled.endpoint.access in _ALWAYS:
            self._audit.note(self._event(handled, "unknown"))

    def _event(
        self,
        handled: Handled,
        result: _Outcome,
        *,
        status: int | None = None,
        version: str | None = None,
    ) -> AuditEvent:
        credential, name, request = None, None, handled.request
        is_sign_in = not handled.is_signed_in and (
            handled.is_identity_refused or status in _REFUSALS
        )
        if is_sign_in:
            credential, name = self._refused_credential(handled)
        is_known = handled.endpoint is not None or not is_sign_in
        targets = _targets(handled.parameters)
        return AuditEvent(
            at=time.time(),
            operation=handled.route if is_known else "signIn",
            result=result,
            status=status,
            principal=handled.principal,
            claimed_name=name,
            credential=credential,
            client=request.client,
            request_id=current_request_id(),
            method=request.method,
            path=shown_path(request),
            application=targets.get("application"),
            profile=targets.get("profile"),
            label=targets.get("label"),
            version_before=handled.version_before,
            version_after=version,
            freeze=None if handled.frozen is None else handled.frozen.freeze,
            reason=None if handled.frozen is None else handled.frozen.reason,
        )

    def _refused_credential(self, handled: Handled) -> tuple[CredentialKind, str | None]:
        """Return the kind of a credential, and the name in it if a principal has that name.

        Any other name may be a misplaced secret.
        """
        if handled.is_identity_refused or handled.request.identity is not None:
            return "identity", None
        given = handled.request.header(b"authorization")
        if not given:
            return "none", None
        scheme = given.strip().partition(b" ")[0].lower()
        if scheme == b"bearer":
            return "bearer", None
        if scheme != b"basic":
            return "other", None
        name = claimed_name(given)
        is_known = name is not None and self._names is not None and self._names.has_name(name)
        return "basic", name if is_known else None


def _result(status: int, handled: Handled) -> _Outcome:
    if status < HTTPStatus.BAD_REQUEST:
        return "done"
    if status < HTTPStatus.INTERNAL_SERVER_ERROR or handled.is_unrecorded:
        return "refused"
    return "failed"


def _targets(parameters: Mapping[str, str]) -> dict[str, str]:
    return {
        name: decode_slashes(parameters[parameter])
        for name, candidates in _NAMES
        for parameter in candidates
        if parameter in parameters
    }


async def _version_before(context: RequestContext) -> str | None:
    """Return the version that a write replaces, if it succeeds: the one that its condition names.

    For a condition that names none, it is the version that is stored now.
    """
    try:
        expected = required_condition(context.request)
        if isinstance(expected, str):
            return expected
        if expected is not PRESENT:
            return None
        return (await context.server.bundles.load_merged(context.key)).version
    except Exception:  # noqa: BLE001 - the write itself says what is wrong, whatever a store raises
        return None
