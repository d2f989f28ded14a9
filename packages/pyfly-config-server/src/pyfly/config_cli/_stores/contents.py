"""The complete content of a store, including items that cannot be copied."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pyfly.config_cli._console.progress import ProgressBar
from pyfly.config_cli._stores.opening import BundleFilter
from pyfly.config_core import DEFAULT_LABEL, BackendAccessDeniedError
from pyfly.config_server import Bundles
from pyfly.config_server.formats.text import SUFFIXES
from pyfly.config_server.storage import (
    ConfigEntry,
    SupportsLabels,
    SupportsResources,
    ability,
    default_is_base,
)

_LARGE = 1_000
"""Listings of so many bundles take long enough to show their progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UncopiedItem:
    """An item of the source that is not a bundle, or cannot be read."""

    label: str
    path: str | None
    """The path of a plain file below the label; `None` for the whole label."""
    reason: str

    @property
    def name(self) -> str:
        """The item as reports name it."""
        return self.label if self.path is None else f"{self.label}/{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreContents:
    """What a store holds under the labels that are copied."""

    entries: tuple[ConfigEntry, ...]
    """Every bundle, in the order of the store."""
    items: tuple[UncopiedItem, ...] = field(default=())
    """Labels that cannot be read, then plain files."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that carry a bundle, sorted."""
        return tuple(sorted({entry.key.label for entry in self.entries}))


async def load_contents(bundles: Bundles, *, label: str | None, with_files: bool) -> StoreContents:
    """List everything in a store, or under one label.

    Args:
        bundles: The store.
        label: Only this label.
        with_files: True to list plain files, too.

    Raises:
        BackendError: The store failed.
    """
    entries: list[ConfigEntry] = []
    items: list[UncopiedItem] = []
    with ProgressBar("Listing", after=_LARGE) as bar:
        for one in await _labels(bundles, label):
            try:
                async for entry in bundles.entries(one):
                    entries.append(entry)
                    bar.show(len(entries), str(entry.key))
            except BackendAccessDeniedError as error:
                if one is None:
                    raise
                items.append(UncopiedItem(label=one, path=None, reason=str(error)))
    contents = StoreContents(entries=tuple(entries), items=tuple(items))
    if with_files:
        unreadable = {item.label for item in items}
        for one in sorted(await _file_labels(bundles, contents, label) - unreadable):
            items += [item async for item in _plain_files(bundles, one, contents)]
    return StoreContents(entries=tuple(entries), items=tuple(items))


def selected(contents: StoreContents, selection: BundleFilter) -> tuple[ConfigEntry, ...]:
    """Return the bundles that a filter admits."""
    return tuple(entry for entry in contents.entries if selection.admits(entry.key))


async def _labels(bundles: Bundles, label: str | None) -> list[str] | list[None]:
    """Return the labels to list one by one; `None` lists all at once."""
    store = ability(bundles.backend, SupportsLabels)
    if label is not None:
        return [label]
    return [None] if store is None else await store.labels()


async def _file_labels(bundles: Bundles, contents: StoreContents, label: str | None) -> set[str]:
    """Return the labels that may have plain files: also the one that was asked for, or `main`."""
    store = ability(bundles.backend, SupportsLabels)
    one = DEFAULT_LABEL if label is None else label
    is_there = store is not None and await store.has_label(one)
    return {*contents.labels, *([one] if is_there else [])}


async def _plain_files(
    bundles: Bundles, label: str, contents: StoreContents
) -> AsyncIterator[UncopiedItem]:
    """Yield the plain files of a label, without the bundles of labels below it."""
    store = ability(bundles.backend, SupportsResources)
    if store is None:
        return
    bundled = {f"{entry.key.label}/{entry.key.stem}" for entry in contents.entries}
    # where every file of a bundle is read, JSON files are not of bundles
    suffixes = [one for one in SUFFIXES if one != ".json" or default_is_base(bundles.backend)]
    files = {f"{entry.key.label}/{file}" for entry in contents.entries for file in entry.files}
    async for entry in store.resources(label):
        path = PurePosixPath(label, entry.path)
        is_shadowed = path.suffix in suffixes and str(path.with_suffix("")) in bundled
        if str(path) not in files and not is_shadowed:
            yield UncopiedItem(label=label, path=entry.path, reason="plain files are not copied")
