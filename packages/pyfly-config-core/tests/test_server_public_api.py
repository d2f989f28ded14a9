import ast
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import pytest

import pyfly.config_core
import pyfly.config_core.errors
import pyfly.config_server


@pytest.mark.parametrize(
    "module", [pyfly.config_core, pyfly.config_core.errors, pyfly.config_server]
)
def test_the_public_names_are_exactly_those_listed(module: Any) -> None:
    listed = module.__all__
    assert len(set(listed)) == len(listed)
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and name not in {"TYPE_CHECKING", "Sequence"}
    }
    assert public == set(listed)
    assert all(getattr(module, name) is not None for name in listed)


ROOMS = ("http", "access")
MODULES = [
    name
    for room in ROOMS
    for _, name, _ in pkgutil.walk_packages(
        importlib.import_module(f"pyfly.config_server.{room}").__path__,
        f"pyfly.config_server.{room}.",
    )
]
PUBLIC = {
    "pyfly.config_server.access.principal": {"ANONYMOUS", "Principal", "Right"},
    "pyfly.config_server.http.asgi": {
        *("MAX_PENDING_BYTES", "ConfigServerApp", "http_request"),
        *("Message", "Receive", "Scope", "Send"),
    },
    "pyfly.config_server.http.authentication": {
        *("Authenticator", "SharedCredential", "unauthorized"),
    },
    "pyfly.config_server.http.endpoint": {
        *("Audience", "Body", "Endpoint", "Handler", "Result", "Root"),
    },
    "pyfly.config_server.http.errors": {"HttpError", "error_members", "http_error"},
    "pyfly.config_server.http.messages": {
        *("MAX_BODY_BYTES", "Headers", "HttpRequest", "HttpResponse"),
    },
}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_names_of_a_public_module_are_pinned(name: str) -> None:
    assert set(importlib.import_module(name).__all__) == PUBLIC[name]


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
    variables = {"T"}  # of types
    public = {one for one in assigned | defined if not one.startswith("_")} - variables
    assert set(module.__all__) == public
    assert len(set(module.__all__)) == len(module.__all__)


def test_another_name_is_missing_as_usual() -> None:
    module: Any = pyfly.config_server
    with pytest.raises(AttributeError, match="Nothing"):
        _ = module.Nothing
