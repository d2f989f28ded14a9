from types import ModuleType

import pyfly.config_litestar


def test_the_public_names_are_exactly_those_listed() -> None:
    listed = pyfly.config_litestar.__all__
    assert listed == sorted(listed)
    public = {
        name
        for name, value in vars(pyfly.config_litestar).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(listed)
