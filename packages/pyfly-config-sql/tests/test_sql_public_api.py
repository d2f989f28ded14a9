from types import ModuleType

import pyfly.config_sql


def test_the_public_names_are_exactly_those_listed() -> None:
    public = {
        name
        for name, value in vars(pyfly.config_sql).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == {*pyfly.config_sql.__all__}
