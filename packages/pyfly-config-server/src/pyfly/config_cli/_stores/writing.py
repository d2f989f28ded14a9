"""Changes of bundles: their conditions, authors, messages and output."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass

from pyfly.config_cli._cli.suggestions import did_you_mean
from pyfly.config_cli._console.output import print_json, print_result
from pyfly.config_core import DEFAULT_LABEL, ConfigKey, ConfigNotFoundError, JsonValue
from pyfly.config_server import Bundles
from pyfly.config_server.formats.documents import name_document
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    ConfigSource,
    Expected,
    SupportsConditionalSave,
    SupportsLabels,
    ability,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitInfo:
    """Author and message of a change."""

    author: str | None
    message: str | None


def describe_commit(author: str | None, message: str | None) -> CommitInfo:
    """Return what `--author` and `--message` say; the default author is the name of the user."""
    return CommitInfo(author=_user_name() if author is None else author, message=message)


def _user_name() -> str | None:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a user without a name, as in some containers
        return None


def expectation(text: str) -> Expected:
    """Return the condition that `--expect` names."""
    return {"absent": ABSENT, "any": ANY}.get(text, text)


def make_source(key: ConfigKey, properties: Mapping[str, JsonValue]) -> ConfigSource:
    """Return a bundle to store."""
    return ConfigSource(
        application=key.application, profile=key.profile, label=key.label, properties=properties
    )


async def load_current(bundles: Bundles, key: ConfigKey) -> tuple[ConfigSource | None, Expected]:
    """Return the stored bundle, and the condition that it has not changed since.

    Raises:
        ConfigError: As `Bundles.load`, except that a missing bundle is `None`.
    """
    try:
        source = await bundles.load(key)
    except ConfigNotFoundError:
        return None, ABSENT
    return source, ANY if source.version is None else source.version


async def load_for_change(bundles: Bundles, key: ConfigKey) -> ConfigSource | None:
    """Return the stored bundle for a change of single keys; `None` if it is not stored.

    Raises:
        ConfigError: As `Bundles.load_merged`, except for a missing bundle.
    """
    try:
        return await bundles.load_merged(key)
    except ConfigNotFoundError:
        return None


async def store_bundle(
    bundles: Bundles, source: ConfigSource, *, expected: Expected, info: CommitInfo
) -> str | None:
    """Store a bundle under a condition.

    A store without conditional saves is written if `expected` is `ANY`.

    Returns:
        The new version; `None` if the store has no versions.

    Raises:
        ConfigError: As `Bundles.commit`.
    """
    if expected is ANY and ability(bundles.backend, SupportsConditionalSave) is None:
        await bundles.save(source)
        return None
    return await bundles.commit(source, expected=expected, author=info.author, message=info.message)


async def describe_new_label(bundles: Bundles, label: str) -> str | None:
    """Return a remark if a save will create a label.

    Returns:
        `None` if the label exists, or is the default label of an empty store.

    Raises:
        BackendError: The store failed.
    """
    store = ability(bundles.backend, SupportsLabels)
    if store is not None:
        if await store.has_label(label):  # cheaper than the names of all labels
            return None
        known = await store.labels()
    else:
        known = sorted({key.label async for key in bundles.names()})
    if label in known or (not known and label == DEFAULT_LABEL):
        return None
    return f"the label {label!r} is new{did_you_mean(label, known)}"


def print_change(key: ConfigKey, version: str | None, *, what: str, as_json: bool) -> None:
    """Print what was done to a bundle, and its new version."""
    if as_json:
        print_json(name_document(key) | {"version": version})
    else:
        print_result(f"{key}: {what}" + ("" if version is None else f", now at version {version}"))
