import importlib
import pkgutil
from types import ModuleType

import pyfly.config_s3


def test_the_public_names_are_exactly_those_listed() -> None:
    listed = pyfly.config_s3.__all__
    assert sorted(listed) == listed
    public = {
        name
        for name, value in vars(pyfly.config_s3).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(listed)


def test_every_module_can_be_imported() -> None:
    for module in pkgutil.iter_modules(pyfly.config_s3.__path__, "pyfly.config_s3."):
        importlib.import_module(module.name)
