from types import ModuleType

import pytest

import pyfly.config_cli
import pyfly.config_litestar


@pytest.mark.parametrize("module", [pyfly.config_litestar, pyfly.config_cli])
def test_the_public_names_are_exactly_those_listed(module: ModuleType) -> None:
    listed = module.__all__
    assert listed == sorted(listed)
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(listed)
