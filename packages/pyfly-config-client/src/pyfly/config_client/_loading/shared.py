"""Which property sources every application gets, by their names. Pure functions."""

import re
from collections.abc import Iterable
from typing import Final

from pyfly.config_core import SHARED_APPLICATION

_DOCUMENT: Final = re.compile(r" \(document #[0-9]+\)\Z")
_SHARED: Final = re.compile(rf"{re.escape(SHARED_APPLICATION)}(?:[-.,].*)?|overrides", re.DOTALL)


def only_shared(names: Iterable[str], application: str) -> bool:
    """True if all property sources are shared, and none is for the application asked for.

    Names that are not known to be shared count as the application's own, so that other servers,
    which name sources in other ways, never cause a false alarm.

    >>> only_shared(["main/application.yaml", "overrides"], "orders")
    True
    >>> only_shared(["file:/repo/application-prod.yml (document #1)", "orders-prod"], "orders")
    False

    Args:
        names: Of the property sources that hold something.
        application: As asked for; may be a comma list.
    """
    if SHARED_APPLICATION in application.split(","):
        return False
    found = [re.split(r"[/:]", _DOCUMENT.sub("", name))[-1] for name in names]
    return bool(found) and all(_SHARED.fullmatch(name) for name in found)
