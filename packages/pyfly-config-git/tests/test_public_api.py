import importlib
import pkgutil
from types import ModuleType

import pyfly.config_git


def test_the_public_names_are_exactly_those_listed() -> None:
    listed = pyfly.config_git.__all__
    assert sorted(listed) == listed
    public = {
        name
        for name, value in vars(pyfly.config_git).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(listed)


def test_every_module_can_be_imported() -> None:
    for module in pkgutil.iter_modules(pyfly.config_git.__path__, "pyfly.config_git."):
        importlib.import_module(module.name)
