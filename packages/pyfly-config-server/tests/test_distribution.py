"""What the extras of the distribution bring."""

import re
import tomllib
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).parents[2]
REQUIREMENT = re.compile(r"(pyfly-config-\w+)(?:\[([\w,-]+)\])?(>=0\.1,<0\.2)?")


def project(name: str) -> Any:
    text = (PACKAGES / name / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]


def test_every_extra_reaches_a_distribution_that_has_it() -> None:
    extras: dict[str, list[str]] = project("pyfly-config-server")["optional-dependencies"]
    assert {*extras} == {
        "all",
        "encryption",
        "git",
        "metrics",
        "mysql",
        "oidc",
        "postgres",
        "s3",
        "sql",
    }
    for requirements in extras.values():
        for requirement in requirements:
            found = REQUIREMENT.fullmatch(requirement)
            assert found, requirement
            wanted = {*(found[2] or "").split(",")} - {""}
            assert wanted <= {*project(found[1]).get("optional-dependencies", {})}, requirement


def test_the_extra_all_is_every_other_extra() -> None:
    extras = project("pyfly-config-server")["optional-dependencies"]
    (requirement,) = extras["all"]
    found = REQUIREMENT.fullmatch(requirement)
    assert found
    assert found[1] == "pyfly-config-server"
    assert found[2].split(",") == sorted({*extras} - {"all"})
