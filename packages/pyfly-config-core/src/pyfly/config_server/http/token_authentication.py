"""Authenticators for many principals: the tokens of an access file, and several ways at once."""

import hmac
import time
from typing import Final

from pyfly.config_server.access.access_file import AccessTable, TokenGrant
from pyfly.config_server.access.followed_file import FollowedAccessFile
from pyfly.config_server.access.issued_tokens import IssuedTokens
from pyfly.config_server.access.principal import Principal
from pyfly.config_server.access.tokens import digest_of, is_token
from pyfly.config_server.http.authentication import (
    REALM,
    Authenticator,
    BackgroundAuthenticator,
    HeaderAuthenticator,
    NamingAuthenticator,
    decode_basic,
    unauthorized,
)
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import Headers, HttpRequest

__all__ = ["AccessFileAuthenticator", "AuthenticatorGroup"]

_CHALLENGE: Final = f"Bearer {REALM}"
_MAX_ACCEPTED: Final = 10_000
"""Headers that are remembered."""
_DOTS: Final = 2
"""Those of a JSON Web Token; no token of an access file has one."""
_BASIC_CHALLENGE: Final = f'Basic {REALM}, charset="UTF-8"'


class AccessFileAuthenticator:
    """Accepts the tokens of an access file: as bearer tokens, or as passwords of their principals.

    It accepts JSON Web Tokens of the issuers that the file names, too: see `IssuedTokens`; and
    identities of the file that a trusted proxy names: see `ProxyPolicy`. A token
    of the file is looked up by its digest, and the name is compared then. So an unknown name and a
    wrong token take the same time, and a thousand principals cost what one costs. Headers that were
    accepted are remembered until the file changes or their tokens end.

    Raises:
        WebTokensNotInstalledError: The file names issuers, and `pyfly-config-core[oidc]` is not
            installed.
    """

    @property
    def scheme(self) -> str:
        """The scheme that OpenAPI documents name."""
        return "bearer"

    def __init__(self, file: FollowedAccessFile) -> None:
        self._file = file
        self._issued = IssuedTokens(file)
        self._table = file.table
        self._accepted: dict[bytes | None, TokenGrant] = {}

    @property
    def problem(self) -> str | None:
        """Why the present access file or keys are not in force; `None` if they are."""
        return self._file.problem or self._issued.problem

    def start(self) -> None:
        """Begin to follow the access file and the keys of its issuers."""
        self._file.start()
        self._issued.start()

    async def aclose(self) -> None:
        """Stop following them."""
        await self._issued.aclose()
        await self._file.aclose()

    async def authenticate(self, request: HttpRequest) -> Principal:
        """Return the principal of a token, or of the identity that a trusted proxy names.

        Raises:
            HttpError: 401; the request has no valid token, or the identity is unknown.
        """
        self.start()
        identity = request.identity
        if identity is None:
            principal = self.principal_of(request.header(b"authorization"))
        else:
            principal = self._file.table.find_identity(identity, now=time.time())
        if principal is None:
            raise unauthorized(_CHALLENGE.encode(), _BASIC_CHALLENGE.encode())
        return principal

    def has_name(self, name: str) -> bool:
        """True if a principal of the file has this name."""
        return name in self._file.table.entries

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        """Return the principal of a token, `None` for every other credential."""
        table, now = self._file.table, time.time()
        if table is not self._table:
            self._table, self._accepted = table, {}
        known = self._accepted.get(authorization)
        if known is not None and now < known.until:
            return known.principal
        name, token = _credential_in(authorization)
        is_issued = token.count(b".") == _DOTS
        found = self._issued.find(token, now=now) if is_issued else _granted(table, token, now)
        if found is None or (name is not None and not hmac.compare_digest(name, found.name)):
            return None
        if not is_issued:  # the others are remembered there, until the keys change
            if len(self._accepted) >= _MAX_ACCEPTED:
                self._accepted.clear()
            self._accepted[authorization] = found
        return found.principal


def _credential_in(authorization: bytes | None) -> tuple[bytes | None, bytes]:
    """Return the name, `None` for a bearer token, and the token; empty for other schemes."""
    scheme, _, payload = (authorization or b"").strip().partition(b" ")
    scheme, token = scheme.lower(), payload.strip()
    if scheme == b"basic":
        name, _, token = decode_basic(token).partition(b":")
        return name, token
    return None, token if scheme == b"bearer" else b""


def _granted(table: AccessTable, token: bytes, now: float) -> TokenGrant | None:
    """Return what a token of the access file opens, unless a person has chosen it."""
    found = table.find(digest_of(token), now=now)
    return found if is_token(token) else None


class AuthenticatorGroup:
    """Accepts what one of several authenticators accepts, asked in their order."""

    def __init__(self, *members: Authenticator) -> None:
        self._members = members
        self._by_header = [one for one in members if isinstance(one, HeaderAuthenticator)]
        self._background = [one for one in members if isinstance(one, BackgroundAuthenticator)]

    @property
    def scheme(self) -> str:
        """The scheme of the first authenticator."""
        return self._members[0].scheme

    @property
    def problem(self) -> str | None:
        """The first problem of an authenticator; `None` if there is none."""
        problems = (one.problem for one in self._background)
        return next((one for one in problems if one is not None), None)

    def start(self) -> None:
        """Start the authenticators that have work of their own."""
        for member in self._background:
            member.start()

    async def aclose(self) -> None:
        """Stop them."""
        for member in self._background:
            await member.aclose()

    async def authenticate(self, request: HttpRequest) -> Principal:
        """Return the principal that the first authenticator finds.

        Raises:
            HttpError: Each of them refuses the request; 401 has the challenges of all.
        """
        challenges: Headers = ()
        for member in self._members:
            try:
                return await member.authenticate(request)
            except HttpError as error:
                if error.status != 401:  # noqa: PLR2004 - the status of HTTP
                    raise
                challenges = (*challenges, *error.headers)
        raise HttpError(401, "unauthorized", headers=challenges)

    def has_name(self, name: str) -> bool:
        """True if one of the authenticators knows a principal of this name."""
        return any(
            isinstance(member, NamingAuthenticator) and member.has_name(name)
            for member in self._members
        )

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        """Return the principal of a header, if one of the authenticators needs no more."""
        for member in self._by_header:
            principal = member.principal_of(authorization)
            if principal is not None:
                return principal
        return None
