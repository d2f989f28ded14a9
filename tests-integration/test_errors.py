"""Every error of every package can be copied and sent to another process, whole."""

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

_SAMPLES: dict[str, Any] = {
    "str": "text",
    "str | None": "text",
    "int": 7,
    "int | None": 7,
    "float": 1.5,
    "bool": True,
    "bytes": b"bytes",
    "object": {"message": "text"},
    "datetime.datetime | None": datetime(2026, 11, 28, 8, tzinfo=UTC),
    "Sequence[str]": ("one", "two"),
    "Sequence[tuple[bytes, bytes]]": ((b"name", b"value"),),
}
"""What to give for a parameter of this type."""


def error_types() -> Iterator[type[BaseException]]:
    """Yield every class of exceptions that one of our modules defines."""
    for module in pkgutil.walk_packages(importlib.import_module("pyfly").__path__, "pyfly."):
        if ".migrations" in module.name or module.name.endswith(".__main__"):
            continue  # programs, which run when they are imported
        for kind in vars(importlib.import_module(module.name)).values():
            known = inspect.isclass(kind) and kind.__module__ == module.name
            if known and issubclass(kind, BaseException):
                yield kind


def example(kind: type[BaseException]) -> BaseException:
    """Return an instance that has a value for every parameter and an attribute set later."""
    if not inspect.isfunction(kind.__init__):
        made = kind("what happened")
    else:
        parameters = [*inspect.signature(kind.__init__).parameters.values()][1:]
        values = {one.name: _SAMPLES[annotation(one)] for one in parameters}
        made = kind(**values)
    vars(made)["noticed"] = ["later"]
    return made


def annotation(parameter: inspect.Parameter) -> str:
    """Return the annotation of a parameter as it is written."""
    found = parameter.annotation
    if isinstance(found, type) and not get_args(found):
        return found.__name__
    return str(found).removeprefix("collections.abc.")


def _pickled(error: BaseException) -> BaseException:
    again: BaseException = pickle.loads(pickle.dumps(error))
    return again


ERRORS = sorted(set(error_types()), key=lambda kind: (kind.__module__, kind.__name__))


def test_the_errors_of_every_package_are_found() -> None:
    assert {kind.__module__.split(".")[1] for kind in ERRORS} >= {
        "config_core",
        "config_client",
        "config_server",
        "config_cli",
        "config_git",
        "config_s3",
    }


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, _pickled])
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__qualname__)
def test_an_error_survives_copying_and_pickling(
    kind: type[BaseException], again: Callable[[BaseException], BaseException]
) -> None:
    error = example(kind)
    other = again(error)
    assert type(other) is kind
    assert other is not error
    assert (str(other), repr(other), other.args) == (str(error), repr(error), error.args)
    assert vars(other) == vars(error)
    assert getattr(other, "msg", None) == getattr(error, "msg", None)
