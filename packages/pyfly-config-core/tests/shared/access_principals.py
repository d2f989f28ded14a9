"""The bundles and principals of the access matrix, and what each principal may do, in other words.

What is allowed is decided here a second time, from tables of names, without patterns.
"""

from typing import Any

from pyfly.config_server import HttpRequest, Principal, Rule
from pyfly.config_server.http.authentication import unauthorized

BUNDLES = [
    ("orders", "prod", "main"),
    ("orders", "dev", "main"),
    ("orders", "-", "main"),
    ("orders", "prod", "feature/x"),
    ("billing", "prod", "main"),
    ("billing", "prod", "feature/x"),
    ("orders-service", "prod", "main"),
    ("application", "prod", "main"),
]
FILES = [
    ("main", "orders/own.txt"),
    ("main", "billing/foreign.txt"),
    ("main", "orders/filled.txt"),
    ("feature/x", "orders/own.txt"),
]


def canary(*names: str) -> str:
    """Return a value that names its bundle, so that a leak shows itself in any answer."""
    return "canary-" + "-".join(names).replace("/", "_")


def tree_of(names: tuple[str, str, str]) -> dict[str, Any]:
    return {canary(*names): {"value": "secret of " + canary(*names)}}


def file_text(label: str, path: str) -> str:
    """Return the content of a plain file."""
    if path.endswith("filled.txt"):
        return "${canary-orders-prod-main.value}"
    return canary(label, path)


ALL = ["read", "inspect", "write"]
PRINCIPALS = {
    "admin": [Rule.everything()],
    "orders": [
        Rule.parse(rights=ALL, on="orders/*/*"),
        Rule.parse(rights=["files"], on="*/*/*", files="orders/**"),
        Rule.parse(rights=["files"], on="*/*/*", files="*.y*ml"),
    ],
    "narrow": [
        Rule.parse(rights=[*ALL, "files"], on="orders/prod/main", files="orders/own.txt"),
    ],
    "reader": [Rule.parse(rights=["read"], on="orders/*/*")],
    "inspector": [Rule.parse(rights=["inspect"], on="orders/*/*")],
    "writer": [Rule.parse(rights=["write"], on="orders/*/*")],
    "operator": [Rule.parse(rights=["operate", "encrypt", "decrypt"], on="*/*/*")],
    "service": [Rule.parse(rights=ALL, on="orders-service/*/*")],
    "filer": [Rule.parse(rights=["files"], on="*/*/*", files="**")],
    "shared": [Rule.parse(rights=ALL, on="application/*/*")],
    "nobody": [],
}
ONLY_ORDERS = ("orders", "reader", "inspector", "writer")
_HELD = {
    "orders": {*ALL},
    "narrow": {*ALL},
    "reader": {"read"},
    "inspector": {"inspect"},
    "writer": {"write"},
    "operator": {"operate", "encrypt", "decrypt"},
    "service": {*ALL},
    "shared": {*ALL},
    "filer": set[str](),
    "nobody": set[str](),
}
"""The rights of each principal, besides that on files."""


def holds(principal: str, right: str) -> bool:
    """True if a principal has a right on anything."""
    return principal == "admin" or right in _HELD[principal]


def covers(principal: str, right: str, application: str, profile: str, label: str) -> bool:
    """True if a principal has a right on a bundle."""
    if not holds(principal, right):
        return False
    match principal:
        case "admin":
            return True
        case "narrow":
            return (application, profile, label) == ("orders", "prod", "main")
        case "service":
            return application == "orders-service"
        case "shared":
            return application == "application"
        case _:
            return application == "orders"


def covers_file(principal: str, label: str, path: str) -> bool:
    """True if a principal may read a plain file."""
    match principal:
        case "admin" | "filer":
            return True
        case "orders":
            return path.startswith("orders/") or ("/" not in path and path[-3:] in {"yml", "aml"})
        case "narrow":
            return (label, path) == ("main", "orders/own.txt")
        case _:
            return False


class Badges:
    """Knows the principals above by their names, until a test takes one away."""

    scheme = "bearer"

    def __init__(self) -> None:
        self.principals = {
            f"Bearer {name}".encode(): Principal(name=name, rules=tuple(rules))
            for name, rules in PRINCIPALS.items()
        }

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        return self.principals.get(authorization or b"")

    async def authenticate(self, request: HttpRequest) -> Principal:
        found = self.principal_of(request.header(b"authorization"))
        if found is None:
            raise unauthorized(b"Bearer")
        return found
