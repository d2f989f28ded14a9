"""Stores and bundles as they are named on the command line."""

import argparse
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from pyfly.config_cli._settings import store_url
from pyfly.config_core import ConfigKey, ConfigNotFoundError, JsonValue
from pyfly.config_server import Bundles, open_backend
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    ConfigEntry,
    ConfigSource,
    Expected,
    SupportsClose,
    SupportsConditionalSave,
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
    """Return the rows of a listing that `--application`, `--profile` and `--label` let through."""
    return [
        entry
        async for entry in bundles.entries(arguments.label)
        if arguments.application in {None, entry.key.application}
        and arguments.profile in {None, entry.key.profile}
    ]


def expectation(text: str) -> Expected:
    """Return what `--expect` asks for."""
    return {"absent": ABSENT, "any": ANY}.get(text, text)


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
