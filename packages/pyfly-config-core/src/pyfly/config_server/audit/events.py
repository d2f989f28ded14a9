"""`AuditEvent`: one line of the audit log. Pure."""

import json
import time
from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias

__all__ = ["AuditEvent", "CredentialKind"]

CredentialKind: TypeAlias = Literal["none", "basic", "bearer", "identity", "other"]
"""`identity` is the header of a proxy."""

_LIMITS: Final = (1_024, 256, 64, 16)
"""Characters that each text keeps in a line that is too long, tried in this order."""
_ALWAYS: Final = frozenset({"principal", "client"})
"""Fields that are written even if they are `None`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What happened. It never holds a value, a token or a cipher text.

    A field that is `None` is unknown, or there is no such thing.
    """

    at: float
    """Seconds since 1970 in UTC."""
    operation: str
    """The `operationId` of the endpoint, `signIn`, `accessFile`, `freeze`, `unfreeze`, or `none`
    without an endpoint."""
    result: Literal["attempt", "done", "refused", "failed", "unknown"]
    """`attempt` before a write; `unknown` if the request ended without an answer."""
    status: int | None = None
    """The HTTP status."""
    principal: str | None = None
    claimed_name: str | None = None
    """The name in a refused credential, if a principal has it."""
    credential: CredentialKind | None = None
    """The kind of a refused credential."""
    client: str | None = None
    """The address of the client."""
    request_id: str | None = None
    method: str | None = None
    path: str | None = None
    """As sent, without the query."""
    application: str | None = None
    profile: str | None = None
    label: str | None = None
    version_before: str | None = None
    version_after: str | None = None
    freeze: str | None = None
    """The id of the freeze that was made or removed, or by which a write was refused."""
    reason: str | None = None
    """The reason of that freeze."""
    left_out: int | None = None
    """Events that were left out since the line before."""

    def encode(self, longest: int) -> bytes:
        """Return the event as a line of JSON in ASCII.

        The texts of a longer line are cut, and it has the field `cut`.

        >>> AuditEvent(at=0.0, operation="signIn", result="refused", status=401).encode(16_384)[:56]
        b'{"time": "1970-01-01T00:00:00.000Z", "operation": "signI'

        Args:
            longest: The largest number of bytes, at least 4,096.
        """
        line = _line(self._members())
        for limit in _LIMITS:
            if len(line) <= longest:
                break
            cut = {
                name: value[:limit] if isinstance(value, str) else value
                for name, value in self._members().items()
            }
            line = _line(cut | {"cut": True})
        return line

    def _members(self) -> dict[str, object]:
        seconds, milliseconds = divmod(int(self.at * 1_000), 1_000)
        shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        members: dict[str, object] = {"time": f"{shown}.{milliseconds:03d}Z"}
        for field in fields(self):
            value: object = getattr(self, field.name)
            if field.name != "at" and (value is not None or field.name in _ALWAYS):
                members[field.name] = value
        return members


def _line(members: dict[str, object]) -> bytes:
    return json.dumps(members).encode("ascii") + b"\n"
