"""`pyfly` is a namespace that several distributions share, and must stay one."""

import importlib
from importlib.metadata import packages_distributions
from pathlib import Path

OURS = {path.name for path in Path(__file__).parents[2].iterdir() if path.is_dir()}


def test_the_namespace_has_no_file_of_its_own() -> None:
    pyfly = importlib.import_module("pyfly")
    assert getattr(pyfly, "__file__", None) is None


def test_nobody_else_ships_a_package_of_that_name() -> None:
    assert set(packages_distributions().get("pyfly", [])) <= OURS
