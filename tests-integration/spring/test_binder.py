"""The table of conversions is what Spring Boot's Binder makes of its rows."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
TABLE = CHECKOUT / "packages" / "pyfly-config-client" / "tests" / "binding_table.json"
PAGE = CHECKOUT / "docs" / "reference" / "properties.md"
SECONDS = 120


def rows() -> list[dict[str, Any]]:
    return json.loads(TABLE.read_text(encoding="utf-8"))


@pytest.mark.external
def test_the_recorded_values_are_those_of_springs_binder(jar: Callable[..., Path]) -> None:
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-jar", jar("binder")],
        input=TABLE.read_text(encoding="utf-8"),
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == len(rows())
    for row, outcome in zip(rows(), found, strict=True):
        assert outcome == row["spring"], row


def test_every_difference_from_spring_is_documented_with_its_reason() -> None:
    reasons = {row["why"] for row in rows() if "why" in row}
    page = PAGE.read_text(encoding="utf-8")
    assert len(reasons) > 10
    assert [reason for reason in reasons if f"| {reason} |" not in page] == []
