"""Changes of single properties of a stored bundle, under the version that was read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pyfly.config_cli._stores.property_edits import values_at, with_property, without_property
from pyfly.config_cli._stores.writing import CommitInfo, load_for_change, make_source, store_bundle
from pyfly.config_core import ConfigConflictError, ConfigFormatError, ConfigKey, JsonValue
from pyfly.config_server import Bundles
from pyfly.config_server.formats.text import same_tree
from pyfly.config_server.storage import (
    ANY,
    PRESENT,
    ConfigSource,
    Expected,
    SupportsConditionalSave,
    ability,
)

_TRIES: Final = 10
"""Another writer was faster each time before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyChange:
    """Properties to set and to remove, by their flat keys."""

    key: ConfigKey
    """The name of the bundle."""
    assignments: tuple[tuple[str, JsonValue], ...] = field(repr=False)
    removals: tuple[str, ...]

    def applied(self, properties: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return a copy of the tree with the changes.

        Raises:
            ConfigFormatError: As `with_property` and `without_property`; names the bundle.
        """
        tree = dict(properties)
        try:
            for name, value in self.assignments:
                tree = with_property(tree, name, value)
            for name in self.removals:
                tree = without_property(tree, name)
        except ConfigFormatError as error:
            raise error.at(str(self.key)) from error
        return tree

    def touched(self, properties: Mapping[str, JsonValue]) -> list[list[JsonValue]]:
        """Return what is stored under the keys of the change; nothing for a new key."""
        names = (*(name for name, _ in self.assignments), *self.removals)
        return [values_at(properties, name) for name in names]


class _KeysChangedError(Exception):
    """Another writer has changed the same keys."""


async def store_change(
    bundles: Bundles,
    change: PropertyChange,
    *,
    read: ConfigSource | None,
    expected: Expected | None,
    info: CommitInfo,
) -> str | None:
    """Change the properties in the stored bundle; nothing else of it.

    If another writer was faster, the change is made again, in what that one has stored.

    Args:
        bundles: The store.
        change: The change.
        read: The bundle as it was read; `None` if nothing was stored.
        expected: The condition that the user names. `None`: the bundle still exists, and the
            keys of the change are as they were read.
        info: Author and message.

    Returns:
        The new version; `None` if the store has no versions.

    Raises:
        ConfigConflictError: The condition does not hold.
        ConfigError: As `Bundles.change`.
    """
    before: Mapping[str, JsonValue] = {} if read is None else read.properties
    if ability(bundles.backend, SupportsConditionalSave) is None:
        source = make_source(change.key, change.applied(before))
        condition = ANY if expected is None else expected
        return await store_bundle(bundles, source, expected=condition, info=info)
    seen = change.touched(before)

    def edit(properties: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        if expected is None and not same_tree(change.touched(properties), seen):
            raise _KeysChangedError
        return change.applied(properties)

    condition = (ANY if read is None else PRESENT) if expected is None else expected
    for left in reversed(range(_TRIES)):
        try:
            return await bundles.change(
                change.key, edit, expected=condition, author=info.author, message=info.message
            )
        except _KeysChangedError:
            current = await load_for_change(bundles, change.key)
            version = None if current is None else current.version
            raise ConfigConflictError(str(change.key), version) from None
        except ConfigConflictError as error:
            was_removed = condition is PRESENT and error.current is None
            if was_removed or not left or expected not in {None, ANY}:
                raise
    raise AssertionError  # the last try returns or raises
