from types import ModuleType

import pyfly.config_cli


def test_the_public_names_are_exactly_those_listed() -> None:
    listed = pyfly.config_cli.__all__
    assert listed == sorted(listed)
    public = {
        name
        for name, value in vars(pyfly.config_cli).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(listed)
