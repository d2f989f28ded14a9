"""What answers are made of, and what changes touch, as keys of one index."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyfly.config_server.composition.representation import Representation
from pyfly.config_server.storage import (
    BundleChange,
    Change,
    EverythingChange,
    LabelChange,
    ResourceChange,
)

__all__ = ["InputKey", "Touched", "input_keys", "label_of", "touched_by"]

InputKey: TypeAlias = tuple[int, str, str, str]
"""The position of a store, a label, a kind and a name. A bundle has the name of its file without
the suffix, because a file may be read as several bundles: `a-b.yaml` as the bundle of `a` with the
profile `b`, and as the base bundle of `a-b`."""

_BUNDLE: Final = "bundle"
_RESOURCE: Final = "resource"
_LABEL: Final = "label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What a batch of changes touches."""

    keys: frozenset[InputKey] = frozenset()
    """The inputs that may have changed."""
    everything: bool = False
    """True if any input may have changed."""

    def concerns(self, keys: frozenset[InputKey]) -> bool:
        """True if an answer made of `keys` may have changed."""
        return self.everything or not self.keys.isdisjoint(keys)

    def __or__(self, other: "Touched") -> "Touched":
        return Touched(keys=self.keys | other.keys, everything=self.everything or other.everything)


def label_of(store: int, label: str) -> InputKey:
    """Return the key of a label. Every answer from the store depends on those it asked for."""
    return (store, label, _LABEL, "")


def input_keys(representation: Representation) -> frozenset[InputKey]:
    """Return the keys of everything that an answer was made of, absent names included."""
    keys: set[InputKey] = set()
    for one in representation.inputs:
        keys.update(label_of(one.store, label.label) for label in one.labels)
        keys.update((one.store, b.key.label, _BUNDLE, b.key.stem) for b in one.bundles)
        keys.update((one.store, file.label, _RESOURCE, file.path) for file in one.resources)
    return frozenset(keys)


def touched_by(store: int, changes: Iterable[Change]) -> Touched:
    """Return what changes of a store touch.

    Args:
        store: The position of the store.
        changes: The changes.
    """
    keys: set[InputKey] = set()
    for change in changes:
        match change:
            case BundleChange(key=key):
                keys.add((store, key.label, _BUNDLE, key.stem))
            case ResourceChange(label=label, path=path):
                keys.add((store, label, _RESOURCE, path))
            case LabelChange(label=label):
                keys.add(label_of(store, label))
            case EverythingChange():
                return Touched(everything=True)
    return Touched(keys=frozenset(keys))
