"""Opening the store that the command line names, and choosing bundles in it."""

import shlex
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from pyfly.config_cli._cli.command import PROGRAM
from pyfly.config_cli._cli.suggestions import did_you_mean, nearest_key
from pyfly.config_cli._stores.location import find_store
from pyfly.config_cli._stores.misplaced_files import describe_misplaced_files
from pyfly.config_core import (
    DEFAULT_LABEL,
    ConfigError,
    ConfigFrozenError,
    ConfigKey,
    ConfigNotFoundError,
)
from pyfly.config_server import Bundles, open_backend
from pyfly.config_server.storage import ConfigSource, SupportsClose, ability

_LARGE: Final = 1_000
"""Listings of so many bundles take long enough to show their progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFilter:
    """A filter for bundles of a store. `None` admits every name."""

    application: str | None = None
    profile: str | None = None
    label: str | None = None

    @property
    def is_set(self) -> bool:
        """True if the filter leaves bundles out."""
        return {self.application, self.profile, self.label} != {None}

    @property
    def is_whole_label(self) -> bool:
        """True if the filter admits every application and every profile."""
        return self.application is None and self.profile is None

    def admits(self, key: ConfigKey) -> bool:
        """True if the filter admits a bundle with this name."""
        return (
            self.application in {None, key.application}
            and self.profile in {None, key.profile}
            and self.label in {None, key.label}
        )


@asynccontextmanager
async def open_store(store: str) -> AsyncGenerator[Bundles]:
    """Open the store that a directory or a URL names; close it at the end.

    The error of a write that a freeze covers gets the command that removes the freeze.

    Raises:
        ConfigError: It cannot be opened.
    """
    location = find_store(store)
    backend = open_backend(location.url)
    try:
        yield Bundles(backend)
    except ConfigFrozenError as error:
        if not getattr(error, "__notes__", ()):  # the store may be inside of another one
            # without its options, which may be secret, a URL may name another store
            named = shlex.quote(store) if location.shown == store else "STORE"
            error.add_note(f"to write again: {PROGRAM} unfreeze {named} {error.freeze}")
        raise
    finally:
        if (closing := ability(backend, SupportsClose)) is not None:
            await closing.aclose()


async def explain_empty(bundles: Bundles, selection: BundleFilter, *, store: str) -> str:
    """Return a remark that says why a filter admits no bundle of a store."""
    keys = [key async for key in bundles.names()]
    if not keys:
        return describe_misplaced_files(store) or "there are no bundles in this store"
    for field in ("label", "application", "profile"):
        name: str | None = getattr(selection, field)
        known = {str(getattr(key, field)) for key in keys}
        if name is not None and name not in known:
            return f"no bundle has the {field} {name!r}{did_you_mean(name, sorted(known))}"
    return "no bundle matches"


async def load_bundle(
    bundles: Bundles, key: ConfigKey, *, version: str | None, store: str
) -> ConfigSource:
    """Return a bundle. The error for a missing one suggests the name that was probably meant.

    Args:
        bundles: The store.
        key: The name of the bundle.
        version: An old version; `None` for what is stored now.
        store: The name of the store on the command line.

    Raises:
        ConfigNotFoundError: There is no such bundle or version.
        ConfigError: As `Bundles.load` and `Bundles.load_version`.
    """
    try:
        if version is not None:
            return await bundles.load_version(key, version)
        return await bundles.load(key)
    except ConfigNotFoundError as error:
        if version is None:
            await add_suggestion(error, bundles, key, store=store)
        raise


async def add_suggestion(
    error: ConfigError, bundles: Bundles, key: ConfigKey, *, store: str
) -> None:
    """Add to the error for a missing bundle the name that was probably meant."""
    try:
        names = [key async for key in bundles.names()]
    except ConfigError:
        return
    if not names and (remark := describe_misplaced_files(store)):
        error.add_note(remark)
    if meant := nearest_key(key, names):
        label = "" if meant.label == DEFAULT_LABEL else f" --label {meant.label}"
        error.add_note(f"did you mean: {meant.application} {meant.profile}{label}")
