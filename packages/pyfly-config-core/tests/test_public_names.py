"""Which names are public. Other packages rely on them, so a change is made on purpose."""

import ast
import importlib
import inspect
import json
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pyfly.config_server

PINNED: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "data" / "public_names.json").read_text(encoding="utf-8")
)
"""The public modules with their names; edit the file where a name comes or goes."""

ROOMS = (*("access", "audit", "files", "formats", "freezes", "http", "live", "storage", "stores"),)
MODULES = [
    name
    for room in ROOMS
    for _, name, is_package in pkgutil.walk_packages(
        importlib.import_module(f"pyfly.config_server.{room}").__path__,
        f"pyfly.config_server.{room}.",
    )
    if not is_package
]
"""Modules that say which of their names others may use."""

TYPE_VARIABLES = {"T"}
LAZY = {"TYPE_CHECKING", "Sequence"}


@pytest.mark.parametrize("name", PINNED)
def test_the_names_of_a_public_module_are_pinned(name: str) -> None:
    module = importlib.import_module(name)
    assert sorted(module.__all__) == PINNED[name]
    assert all(getattr(module, one) is not None for one in module.__all__)


@pytest.mark.parametrize(
    "name", [one for one in PINNED if hasattr(importlib.import_module(one), "__path__")]
)
def test_a_public_package_has_no_other_names(name: str) -> None:
    module = importlib.import_module(name)
    public = {
        one
        for one, value in vars(module).items()
        if not one.startswith("_") and not isinstance(value, ModuleType) and one not in LAZY
    }
    assert public == {*module.__all__}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_lists_what_it_defines(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assigned = {
        target.id
        for statement in ast.parse(inspect.getsource(module)).body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in getattr(statement, "targets", [getattr(statement, "target", None)])
        if isinstance(target, ast.Name)
    }
    defined = {
        one
        for one, value in vars(module).items()
        if (getattr(value, "__module__", None) == name and inspect.isroutine(value))
        or (inspect.isclass(value) and value.__module__ == name)
    }
    public = {one for one in assigned | defined if not one.startswith("_")} - TYPE_VARIABLES
    assert {*module.__all__} == public
    assert len({*module.__all__}) == len(module.__all__)


def test_another_name_is_missing_as_usual() -> None:
    module: Any = pyfly.config_server
    with pytest.raises(AttributeError, match="Nothing"):
        _ = module.Nothing
