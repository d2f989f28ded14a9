"""Properties as the types that a program asks for."""

from collections.abc import Callable
from typing import Any

from pyfly.config_client._result.convert import convert, read_as, simple_reader
from pyfly.config_client._result.nodes import Node
from pyfly.config_client._result.readers import ABSENT

Find = Callable[[str], Node | None]


def get_as(find: Find, leaf: Find, key: str, wanted: Any) -> tuple[Any] | None:
    """Return the value of a key as a type, or `None` if there is none or it is empty.

    Args:
        find: Returns the node of a name, with what lies below it.
        leaf: Returns the node of a property without that, which is faster.
        key: The name.
        wanted: The type.

    Raises:
        UnsupportedTypeError: There is no conversion to that type.
        PropertyTypeError: It does not fit.
    """
    simple = simple_reader(wanted) if isinstance(wanted, type) else None
    read = simple or read_as(wanted)
    node = (leaf(key) if simple else None) or find(key)
    if node is None:
        return None
    value = convert(node, read, key)
    return None if value is ABSENT else (value,)


def bind_as(find: Find, prefix: str, model: Any) -> Any:
    """Return what lies below a prefix as a type; nothing fills a class with its defaults.

    Raises:
        UnsupportedTypeError: There is no conversion to that type, or to that of a field.
        PropertyTypeError: Properties are missing or do not fit.
    """
    read = read_as(model)
    node = find(prefix)
    if node is None or (node.value == "" and not node.children):
        node = Node("")
    value = convert(node, read, prefix)
    assert value is not ABSENT  # noqa: S101 - of empty texts only
    return value
