"""A principal that is restricted to one application, through both adapters."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import encode_slashes
from pyfly.config_server import FilesystemConfigBackend, HttpError, HttpRequest, Principal, Rule
from pyfly.config_server.files.layouts import SpringLayout

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
ORDERS, BILLING = "orders", "billing"


class Restricted:
    """Finds the principal whose name is the token; each may read its own application."""

    scheme = "bearer"

    def __init__(self) -> None:
        self.principals = {
            f"Bearer {name}".encode(): Principal(
                name=name,
                rules=(
                    Rule.parse(rights=["read", "inspect", "write"], on=f"{name}/*/*"),
                    Rule.parse(rights=["files"], on="*/*/*", files="**"),
                ),
            )
            for name in (ORDERS, BILLING, "orders-service")
        }

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        return self.principals.get(authorization or b"")

    async def authenticate(self, request: HttpRequest) -> Principal:
        found = self.principal_of(request.header(b"authorization"))
        if found is None:
            raise HttpError(401, "unauthorized")
        return found


FOREIGN = b"canary-of-"


@pytest.fixture(params=["labels", "spring"])
def restricted(
    request: pytest.FixtureRequest,
    root: Path,
    write: Callable[[str, str], Path],
    serve: Callable[..., Ask],
) -> Ask:
    """Files of three applications; every value names its application."""
    has_labels = request.param == "labels"
    prefix = "main/" if has_labels else ""
    for name in ("orders", "billing", "orders-service", "application"):
        write(f"{prefix}{name}-prod.yml", f"value: canary-of-{name}\n")
    if not has_labels:  # there it is the profile `service` of `orders`, in every respect
        write("orders-service.yml", "base: canary-of-orders-service\n")
    write(f"{prefix}orders.yml", "base: canary-of-orders\n")
    layout = None if has_labels else SpringLayout(profiles=frozenset({"prod"}))
    return serve(FilesystemConfigBackend(root, layout=layout), auth=Restricted())


@pytest.mark.case("S17")
@pytest.mark.parametrize(
    "path",
    [
        "/orders,billing/prod",
        "/billing,orders/prod",
        "/application,billing/prod",
        "/billing/prod",
        "/billing-prod.yml",
        "/main/billing-prod.json",
        "/main/billing-prod.properties",
        "/orders/service-prod",
        "/orders/service",
        "/orders/prod,service-prod",
        "/orders/prod/main/billing-prod.yml",
        "/orders/prod/main/orders-service-prod.yml",
        "/orders/prod/billing-prod.yml?useDefaultLabel",
        "/_bundles/billing/prod/main",
        "/_bundles/orders/service-prod/main",
        "/billing/prod?keys=value",
    ],
)
async def test_a_restricted_principal_gets_nothing_of_others(restricted: Ask, path: str) -> None:
    everybody = [ORDERS, "orders-service", BILLING]
    for name in (*everybody, *everybody):  # the second time, answers are ready
        answer = await restricted(f"/config{path}", headers={"authorization": f"Bearer {name}"})
        permitted = {f"canary-of-{name}".encode(), b"canary-of-application"}
        seen = {part.split(b'"')[0].split()[0] for part in answer.body.split(FOREIGN)[1:]}
        assert {FOREIGN + one for one in seen} <= permitted, (name, answer.body)
        assert answer.status in {200, 403, 404}
        if name == ORDERS and answer.status == 200:
            assert path == "/orders/service"  # in the layout with labels there is no such file


@pytest.mark.case("S17")
async def test_a_restricted_principal_reads_its_own(restricted: Ask) -> None:
    for path in ("/orders/prod", "/application,orders/prod", "/orders-prod.yml"):
        answer = await restricted(f"/config{path}", headers={"authorization": "Bearer orders"})
        assert answer.status == 200, answer.body
        assert b"canary-of-orders" in answer.body


async def test_a_bundle_in_a_directory_that_is_a_label_belongs_to_that_label(
    root: Path, write: Callable[[str, str], Path], serve: Callable[..., Ask]
) -> None:
    """`main/team/orders-prod.yml` is `orders` at `main/team`, whatever it is opened as."""
    write("main/team/orders-prod.yml", "value: canary-of-team\n")
    write("main/team/notes.txt", "notes")
    write("main/orders-prod.yml", "value: 1\n")
    auth = Restricted()
    auth.principals |= {
        b"Bearer team": Principal(
            name="team",
            rules=(
                Rule.parse(rights=["read"], on=f"{encode_slashes('team/orders')}/*/main"),
                Rule.parse(rights=["files"], on="*/*/main", files="**"),
            ),
        ),
        b"Bearer owner": Principal(
            name="owner",
            rules=(
                Rule.parse(rights=["read"], on=f"{encode_slashes('team/orders')}/*/main"),
                Rule.parse(rights=["read", "inspect"], on="orders/*/main/team"),
                Rule.parse(rights=["files"], on="*/*/main", files="**"),
            ),
        ),
    }
    ask = serve(FilesystemConfigBackend(root), auth=auth)
    for path, for_team in (
        ("/team(_)orders/prod/main", 403),
        ("/orders/prod/main/team/orders-prod.yml", 403),
        ("/orders/prod/main/team/notes.txt", 200),
    ):
        for name, expected in (("owner", 200), ("team", for_team), ("team", for_team)):
            answer = await ask(f"/config{path}", headers={"authorization": f"Bearer {name}"})
            assert answer.status == expected, (path, name, answer.body)
