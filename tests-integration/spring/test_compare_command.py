"""`pyfly-config compare` against a real server of Spring Cloud Config."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_cli import main

pytestmark = pytest.mark.external

FILES = {
    "application.yml": "company: {name: Example}\nhosts: [a, b]\n",
    "application-prod.yml": "hosts: [p]\n",
    "orders.yml": "db: {pool: {size: 10}}\nratio: 1.0\nflag: yes\nnothing: ~\n",
    "orders-prod.yml": "db: {pool: {size: 50}}\n---\nspring.config.activate.on-profile: prod\n"
    "x: 1\n",
    "billing.properties": "a.b=1\nlist[0]=x\n",
    "billing-eu.yml": "a: {b: 2}\n",
}


@pytest.fixture
def moved(reference: tuple[str, Path], tmp_path: Path) -> Callable[..., int]:
    """Compare the reference server with a copy of what it serves under the label `compared`."""
    url, base = reference
    for root in (base / "compared", tmp_path / "store"):
        root.mkdir()
        for name, text in FILES.items():
            (root / name).write_text(text, encoding="utf-8")

    def compare(*arguments: str) -> int:
        store = f"{(tmp_path / 'store').as_uri()}?layout=spring&label=compared"
        return main(["compare", url, store, *arguments])

    return compare


def test_a_repository_that_was_moved_is_equal(
    moved: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moved() == 0, capsys.readouterr().out
    assert capsys.readouterr().out.endswith("documents compared, 0 differ\n")
    changed = tmp_path / "store" / "orders-prod.yml"
    changed.write_text(FILES[changed.name].replace("50", "51"), encoding="utf-8")
    (tmp_path / "store" / "billing-eu.yml").unlink()
    assert moved("--profiles", "prod,eu", "--json") == 3
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["differences"]
    assert {(row["application"], row["profile"], row["source"], row["key"]) for row in rows} == {
        ("billing", "eu", "billing-eu", None),
        ("orders", "prod", "orders-prod", "db.pool.size"),
    }
