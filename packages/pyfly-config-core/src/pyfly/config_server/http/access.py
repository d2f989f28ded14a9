"""Who may read: one credential that all clients share."""

import base64
import binascii
import hashlib
import hmac
from typing import Final, Literal, Self

_REALM: Final = 'realm="pyfly-config"'


class SharedCredential:
    """A user name with a password, or a bearer token. Keeps a digest, not the secret.

    Make one with `basic` or `bearer`.
    """

    def __init__(self, scheme: Literal["basic", "bearer"], secret: bytes) -> None:
        self.scheme: Final = scheme
        self._digest = hashlib.sha256(secret).digest()

    @classmethod
    def basic(cls, *, username: str, password: str) -> Self:
        """Admit this user name with this password (RFC 7617).

        Raises:
            ValueError: One of them is empty, or the user name contains a colon.
        """
        if not username or not password or ":" in username:
            raise ValueError("a user name without ':' and a password are needed")
        return cls("basic", f"{username}:{password}".encode())

    @classmethod
    def bearer(cls, token: str) -> Self:
        """Admit this token (RFC 6750).

        Raises:
            ValueError: It is empty or contains white space or control characters, which no header
                can carry.
        """
        if not token.isprintable() or token.split() != [token]:
            raise ValueError("a token without white space and control characters is needed")
        return cls("bearer", token.encode())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.scheme!r})"

    @property
    def challenge(self) -> bytes:
        """The `WWW-Authenticate` value of a 401 answer."""
        if self.scheme == "basic":
            return f'Basic {_REALM}, charset="UTF-8"'.encode()
        return f"Bearer {_REALM}".encode()

    def admits(self, authorization: bytes | None) -> bool:
        """Tell whether an `Authorization` header carries the credential, in constant time."""
        scheme, _, payload = (authorization or b"").strip().partition(b" ")
        if scheme.lower() != self.scheme.encode():
            return False
        given = payload.strip()
        if self.scheme == "basic":
            given = _decoded(given)
        return hmac.compare_digest(hashlib.sha256(given).digest(), self._digest)


def _decoded(payload: bytes) -> bytes:
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error:
        return b""
