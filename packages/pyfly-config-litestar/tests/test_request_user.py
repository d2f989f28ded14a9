"""The example in which the users of a Litestar application are the principals."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "embed"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        module = importlib.import_module("litestar_app")
    with TestClient(module.app) as client:
        yield client


def ask(client: Any, path: str, team: str) -> Any:
    return client.get(path, headers={"cookie": f"session=session-of-{team}"})


@pytest.mark.parametrize("path", ["/config/orders/prod", "/config/orders-prod.yml"])
def test_a_user_reads_what_its_rules_give(client: Any, path: str) -> None:
    for _ in range(3):
        assert ask(client, path, "orders").status_code == 200
        assert ask(client, path, "billing").status_code == 403
        assert client.get(path).status_code == 401


def test_a_listing_is_that_of_the_user(client: Any) -> None:
    for team in ("orders", "billing"):
        rows = ask(client, "/config/_bundles", team).json()["bundles"]
        assert {row["application"] for row in rows} == {team}
    assert ask(client, "/config/_whoami", "orders").json() == {
        "name": "orders",
        "rules": [{"rights": ["read", "inspect"], "on": "orders/*/*"}],
    }


def test_the_rest_of_the_application_knows_the_user_as_before(client: Any) -> None:
    assert ask(client, "/", "orders").text == "hello orders"
    assert client.get("/").text == "hello"
