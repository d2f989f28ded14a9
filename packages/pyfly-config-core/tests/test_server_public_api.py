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


def test_another_name_is_missing_as_usual() -> None:
    module: Any = pyfly.config_server
    with pytest.raises(AttributeError, match="Nothing"):
        _ = module.Nothing
