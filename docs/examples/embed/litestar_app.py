"""A Litestar application whose own users read configuration.

Run it with: uvicorn litestar_app:app
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, get
from litestar.connection import ASGIConnection
from litestar.middleware import (
    AbstractAuthenticationMiddleware,
    AuthenticationResult,
    DefineMiddleware,
)

from pyfly.config_litestar import ConfigServerPlugin
from pyfly.config_server import (
    ConfigServer,
    FilesystemConfigBackend,
    HttpError,
    HttpRequest,
    Principal,
    Rule,
)


@dataclass(frozen=True)
class User:
    """A user of the application."""

    name: str
    principal: Principal


def user_of(team: str) -> User:
    """Return a user that reads the configuration of one application."""
    rules = (Rule.parse(rights=["read", "inspect"], on=f"{team}/*/*"),)
    return User(name=team, principal=Principal(name=team, rules=rules))


USERS = {f"session-of-{team}": user_of(team) for team in ("orders", "billing")}  # or a database


class SignIn(AbstractAuthenticationMiddleware):
    """Finds the user of a session; everything after it sees the user as `request.user`."""

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        user = USERS.get(connection.cookies.get("session", ""))
        return AuthenticationResult(user=user, auth=None)


class SignedIn:
    """Finds the principal of a request by the user of the application."""

    scheme = "cookie"

    async def authenticate(self, request: HttpRequest) -> Principal:
        if not isinstance(request.user, User):
            raise HttpError(401, "unauthorized", "sign in first")
        return request.user.principal


@get("/")
async def index(request: Request[User | None, Any, Any]) -> str:
    return f"hello {request.user.name}" if request.user else "hello"


server = ConfigServer(FilesystemConfigBackend(Path(__file__).parent.parent / "config"))
app = Litestar(
    [index],
    middleware=[DefineMiddleware(SignIn)],
    plugins=[ConfigServerPlugin(server, auth=SignedIn())],
    on_shutdown=[server.aclose],
)
