"""Stores and bundles as they are named on the command line."""

import argparse
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from pyfly.config_cli._output import note
from pyfly.config_cli._places import unserved
from pyfly.config_cli._settings import store_url
from pyfly.config_cli._suggest import did_you_mean, nearest_key
from pyfly.config_core import (
    DEFAULT_LABEL,
    ConfigError,
    ConfigKey,
    ConfigNotFoundError,
    JsonValue,
)
from pyfly.config_server import Bundles, open_backend
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    ConfigEntry,
    ConfigSource,
    Expected,
    SupportsClose,
    SupportsConditionalSave,
    SupportsLabels,
)


@asynccontextmanager
async def opened(store: str) -> AsyncGenerator[Bundles]:
    """Open the store that a directory or a URL names, and close it at the end.

    Raises:
        ConfigError: It cannot be opened.
    """
    url, _ = store_url(store)
    backend = open_backend(url)
    try:
        yield Bundles(backend)
    finally:
        if isinstance(backend, SupportsClose):
            await backend.aclose()


def key_of(arguments: argparse.Namespace) -> ConfigKey:
    """Return the name of the bundle that the arguments name."""
    return ConfigKey(
        application=arguments.application, profile=arguments.profile, label=arguments.label
    )


def source_of(key: ConfigKey, properties: Mapping[str, JsonValue]) -> ConfigSource:
    """Return a bundle to be stored."""
    return ConfigSource(
        application=key.application, profile=key.profile, label=key.label, properties=properties
    )


async def chosen(bundles: Bundles, arguments: argparse.Namespace) -> list[ConfigEntry]:
    """Return the rows of a listing that `--application`, `--profile` and `--label` let through.

    Where there are none, standard error says why.
    """
    found = [
        entry
        async for entry in bundles.entries(arguments.label)
        if arguments.application in {None, entry.key.application}
        and arguments.profile in {None, entry.key.profile}
    ]
    if not found:
        note(await _why_nothing(bundles, arguments))
    return found


def is_filtered(arguments: argparse.Namespace) -> bool:
    """True if a filter of `chosen` was given."""
    return {arguments.application, arguments.profile, arguments.label} != {None}


async def _why_nothing(bundles: Bundles, arguments: argparse.Namespace) -> str:
    keys = [entry.key async for entry in bundles.entries()]
    if not keys:
        return unserved(arguments.store) or "there are no bundles in this store"
    for field in ("label", "application", "profile"):
        name: str | None = getattr(arguments, field)
        known = {str(getattr(key, field)) for key in keys}
        if name is not None and name not in known:
            return f"no bundle has the {field} {name!r}{did_you_mean(name, sorted(known))}"
    return "no bundle matches"


def expectation(text: str) -> Expected:
    """Return what `--expect` asks for."""
    return {"absent": ABSENT, "any": ANY}.get(text, text)


async def load(
    bundles: Bundles, key: ConfigKey, *, version: str | None, store: str
) -> ConfigSource:
    """Return a bundle; an error notes the name that was probably meant.

    Args:
        bundles: The store.
        key: The name of the bundle.
        version: An old version, `None` for what is stored now.
        store: The name of the store, as it was given.

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
            await note_meant(error, bundles, key, store=store)
        raise


async def note_meant(error: ConfigError, bundles: Bundles, key: ConfigKey, *, store: str) -> None:
    """Add to an error of a missing bundle which one was probably meant."""
    try:
        names = [entry.key async for entry in bundles.entries()]
    except ConfigError:
        return
    if not names and (remark := unserved(store)):
        error.add_note(remark)
    if meant := nearest_key(key, names):
        at = "" if meant.label == DEFAULT_LABEL else f" --label {meant.label}"
        error.add_note(f"did you mean: {meant.application} {meant.profile}{at}")


async def new_label(bundles: Bundles, label: str) -> str | None:
    """Return a remark when a save will make a label; none for the default label of an empty store.

    Raises:
        BackendError: The store failed.
    """
    backend = bundles.backend
    if isinstance(backend, SupportsLabels):
        if await backend.has_label(label):  # which is cheap, unlike the names of all labels
            return None
        known = await backend.labels()
    else:
        known = sorted({entry.key.label async for entry in bundles.entries()})
    if label in known or (not known and label == DEFAULT_LABEL):
        return None
    return f"the label {label!r} is new{did_you_mean(label, known)}"


async def current(bundles: Bundles, key: ConfigKey) -> tuple[ConfigSource | None, Expected]:
    """Return the stored bundle, and the expectation that nobody changes it meanwhile."""
    try:
        source = await bundles.load(key)
    except ConfigNotFoundError:
        return None, ABSENT
    return source, ANY if source.version is None else source.version


async def store(bundles: Bundles, source: ConfigSource, expected: Expected) -> str | None:
    """Store a bundle under a condition, or plainly when anything may be replaced.

    Returns:
        The new version, `None` where the store has none.

    Raises:
        ConfigError: As `Bundles.commit`.
    """
    if expected is ANY and not isinstance(bundles.backend, SupportsConditionalSave):
        await bundles.save(source)
        return None
    return await bundles.commit(source, expected=expected)
