"""Lets the methods of stores lead to the Protocol whose contract they keep.

A store need not inherit from the Protocols, so there is no docstring to inherit either.
"""

from typing import Any, Final

import griffe

from pyfly.config_server import storage

_PROTOCOLS: Final = [
    name for name in storage.__all__ if name.startswith("Supports") or name == "ConfigBackend"
]
CONTRACTS: Final = {
    method: f"{storage.__name__}.{protocol}.{method}"
    for protocol in _PROTOCOLS
    for method in vars(getattr(storage, protocol))
    if not method.startswith("_")
}
"""The full names of the methods of the Protocols, by their own."""


class Contracts(griffe.Extension):
    """Adds a link to the docstring of every method of a store that a Protocol has."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Change the docstring of a method that was loaded."""
        owner, contract = func.parent, CONTRACTS.get(func.name)
        if contract is None or owner is None or not owner.is_class or not _is_store(owner.name):
            return
        text = func.docstring.value if func.docstring else ""
        link = f"Contract: [`{contract.split('.', 3)[-1]}`][{contract}]."
        summary, _gap, rest = text.partition("\n\n")
        func.docstring = griffe.Docstring(
            "\n\n".join(part for part in (summary, link, rest) if part), parent=func
        )


def _is_store(name: str) -> bool:
    return name.endswith(("Backend", "Store")) and name not in _PROTOCOLS
