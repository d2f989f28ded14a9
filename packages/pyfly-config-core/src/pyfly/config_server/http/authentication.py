"""Authenticators, which find the principal of a request."""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final, Literal, Protocol, Self, runtime_checkable

from pyfly.config_core.limits import MAX_AUTHOR_LENGTH
from pyfly.config_server.access import Principal, Rule
from pyfly.config_server.access.tokens import SHARED_TOKEN
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest

__all__ = [
    "REALM",
    "Authenticator",
    "BackgroundAuthenticator",
    "HeaderAuthenticator",
    "NamingAuthenticator",
    "SharedCredential",
    "decode_basic",
    "unauthorized",
]

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MAX_SPELLINGS: Final = 100
"""Accepted headers that are remembered."""
REALM: Final = 'realm="pyfly-config"'
"""The parameter of every challenge."""


@runtime_checkable
class Authenticator(Protocol):
    """Finds the principal of a request. An embedding application may implement it."""

    @property
    def scheme(self) -> str:
        """The HTTP authentication scheme in lower case, as OpenAPI names it: `bearer`."""
        ...

    async def authenticate(self, request: HttpRequest) -> Principal:
        """Return the principal.

        Raises:
            HttpError: The request has no accepted credential; see `unauthorized`.
        """
        ...


@runtime_checkable
class HeaderAuthenticator(Authenticator, Protocol):
    """Finds the principal by the `Authorization` header alone, without waiting.

    Answers that are ready in memory are then sent without a call of `authenticate`.
    """

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        """Return the principal of a header, as `authenticate` does; `None` if it is refused."""
        ...


@runtime_checkable
class BackgroundAuthenticator(Authenticator, Protocol):
    """An authenticator with work of its own, such as following a file.

    `ConfigServerApp` starts it with itself and closes it at its end.
    """

    @property
    def problem(self) -> str | None:
        """Why the newest principals are not in force; `None` if they are. Readiness shows it."""
        ...

    def start(self) -> None:
        """Begin with the work in the running event loop, unless it has begun."""
        ...

    async def aclose(self) -> None:
        """End the work."""
        ...


@runtime_checkable
class NamingAuthenticator(Authenticator, Protocol):
    """An authenticator that knows the names of its principals, which then appear in the log."""

    def has_name(self, name: str) -> bool:
        """True if a principal has this name."""
        ...


def unauthorized(*challenges: bytes) -> HttpError:
    """Return the error for a request without an accepted credential.

    Args:
        challenges: The values of the header `WWW-Authenticate`.
    """
    headers = tuple((b"www-authenticate", challenge) for challenge in challenges)
    return HttpError(401, "unauthorized", headers=headers)


class SharedCredential:
    """Accepts one user name and password, or one bearer token, and grants every right.

    Make it with `basic` or `bearer`. Headers that were accepted are remembered: a digest of each
    request would take longer than the rest of an answer from memory.
    """

    def __init__(
        self, scheme: Literal["basic", "bearer"], secret: bytes, *, name: str = SHARED_TOKEN
    ) -> None:
        self.scheme: Final[str] = scheme
        self.name: Final = name
        """The name of its principal."""
        self._digest = hashlib.sha256(secret).digest()
        self._accepted: set[bytes | None] = set()
        self._principal = Principal(name=name, rules=(Rule.everything(),))
        challenge = f'Basic {REALM}, charset="UTF-8"' if scheme == "basic" else f"Bearer {REALM}"
        self._challenge = challenge.encode()

    @classmethod
    def basic(cls, *, username: str, password: str) -> Self:
        """Accept this user name with this password (RFC 7617). The user name is the author.

        Raises:
            ValueError: The user name or the password is empty, or the user name contains a colon,
                a control character or more than 256 characters.
        """
        if not username or not password or ":" in username:
            raise ValueError("give a user name without ':', and a password")
        if _CONTROLS.search(username):
            raise ValueError("give a user name without control characters")
        if len(username) > MAX_AUTHOR_LENGTH:
            raise ValueError(f"give a user name of at most {MAX_AUTHOR_LENGTH} characters")
        return cls("basic", f"{username}:{password}".encode(), name=username)

    @classmethod
    def bearer(cls, token: str) -> Self:
        """Accept this token (RFC 6750). The author is `shared-token`.

        Raises:
            ValueError: The token is empty, or contains white space or control characters, which a
                header cannot hold.
        """
        if not token.isprintable() or token.split() != [token]:
            raise ValueError("give a token without white space and control characters")
        return cls("bearer", token.encode())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.scheme!r})"

    async def authenticate(self, request: HttpRequest) -> Principal:
        """Return the principal of the shared credential.

        Raises:
            HttpError: 401; the request has a wrong credential or no credential.
        """
        principal = self.principal_of(request.header(b"authorization"))
        if principal is None:
            raise unauthorized(self._challenge)
        return principal

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        """Return the principal of the shared credential, `None` for another credential."""
        return self._principal if self.admits(authorization) else None

    def has_name(self, name: str) -> bool:
        """True for the name of the principal."""
        return name == self.name

    def admits(self, authorization: bytes | None) -> bool:
        """True if an `Authorization` header holds the credential.

        How long it takes does not depend on how much of the credential is right: a set compares
        only what has an equal hash, which is keyed.
        """
        if authorization in self._accepted:
            return True
        is_right = self._is_right(authorization)
        if is_right and len(self._accepted) < _MAX_SPELLINGS:
            self._accepted.add(authorization)
        return is_right

    def _is_right(self, authorization: bytes | None) -> bool:
        scheme, _, payload = (authorization or b"").strip().partition(b" ")
        if scheme.lower() != self.scheme.encode():
            return False
        given = payload.strip()
        if self.scheme == "basic":
            given = decode_basic(given)
        return hmac.compare_digest(hashlib.sha256(given).digest(), self._digest)


def decode_basic(payload: bytes) -> bytes:
    """Return name and password, separated by a colon, of a Basic credential.

    Empty if the payload is not base64.
    """
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error:
        return b""
