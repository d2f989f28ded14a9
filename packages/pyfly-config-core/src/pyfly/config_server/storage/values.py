"""The values that stores keep and return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from pyfly.config_core import DEFAULT_LABEL, ConfigKey, JsonValue, copy_properties

__all__ = [
    "BundleChange",
    "Change",
    "ChangeBatch",
    "ConfigDocument",
    "ConfigEntry",
    "ConfigResource",
    "ConfigSnapshot",
    "ConfigSource",
    "ConfigVersion",
    "EverythingChange",
    "LabelChange",
    "ResourceChange",
    "ResourceEntry",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDocument:
    """One document of a text file."""

    properties: Mapping[str, JsonValue] = field(repr=False)
    """The document's own tree, conditions of its activation included. Not to be changed: a
    store may hand out the same tree again."""
    origins: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Flat key to `line:column` of its value, both counted from 1."""
    resource: str | None = None
    """The name of its file, where a bundle lies in several; without its label."""
    place: int = 0
    """The rank of the place where its file lies; higher ones win. 0 where a store has one place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSource:
    """The properties of one application in one profile under one label.

    An immutable value: it holds a copy of the properties it was given.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ConfigFormatError: The properties are not a tree of JSON values with string keys.
    """

    application: str
    """One application, not a list."""
    profile: str
    """One profile, not a list; `BASE_PROFILE` where the bundle counts for every profile."""
    label: str = DEFAULT_LABEL
    """The version of the whole tree: a branch, a tag, a directory."""
    properties: Mapping[str, JsonValue] = field(repr=False)
    """As stored: nested values stay nested. Empty where `documents` holds several."""
    version: str | None = None
    """Opaque, assigned by the store; `None` where it has no versions or before saving."""
    resource: str | None = None
    """Text stores: the name of the file, without its label."""
    documents: tuple[ConfigDocument, ...] = field(default=(), repr=False)
    """Text stores: the documents of all files of the bundle, the lowest precedence first, empty
    ones left out."""
    size: int = field(default=0, compare=False)
    """Bytes of the stored text, where the store knows. All bundles of one answer may have 8 MiB
    together; with 0 only what is made of them is bounded."""

    def __post_init__(self) -> None:
        ConfigKey(application=self.application, profile=self.profile, label=self.label)
        object.__setattr__(self, "properties", copy_properties(self.properties))

    @property
    def key(self) -> ConfigKey:
        """The name of this source."""
        return ConfigKey(application=self.application, profile=self.profile, label=self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigEntry:
    """One row of a listing: a name without its values."""

    key: ConfigKey
    """The name."""
    version: str | None = None
    """The stored version, where the store has versions."""
    error: str | None = None
    """Why the bundle cannot be read, where the listing notices; without values."""
    is_guess: bool = False
    """Whether the name of its file can also be read as the name of another bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigVersion:
    """One row of a history."""

    version: str
    """The version that this change made."""
    saved_at: datetime
    """When, in UTC."""
    author: str | None = None
    """Who, as given to `commit` or `delete`."""
    message: str | None = None
    """Why, as given to `commit` or `delete`."""
    deleted: bool = False
    """Whether the change removed the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSnapshot:
    """Several sources as they were at one moment."""

    sources: tuple[ConfigSource | None, ...]
    """One for each key, in the order of the keys; `None` for what is not stored."""
    version: str | None = None
    """The version of the whole, opaque. It differs whenever one of the sources was stored or
    removed, and is never one that it had before. `None` when none was ever stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigResource:
    """A file beside the bundles."""

    content: bytes = field(repr=False)
    """Its bytes, whole."""
    modified: datetime | None = None
    """When it was last changed, in UTC, where the store knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceEntry:
    """One row of a listing of plain files."""

    path: str
    """Below its label, with `/` between the parts."""
    size: int | None = None
    """Bytes, where the store knows."""
    modified: datetime | None = None
    """When it was last changed, in UTC, where the store knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleChange:
    """A bundle was stored or removed."""

    key: ConfigKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceChange:
    """A plain file was stored or removed."""

    label: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """Anything under a label may have changed, the existence of the label included."""

    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingChange:
    """Anything may have changed: forget whatever was read before."""


Change: TypeAlias = BundleChange | ResourceChange | LabelChange | EverythingChange
"""One row of a feed of changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBatch:
    """The changes between two looks at a store."""

    cursor: str
    """The state of the store when it was asked; opaque. Where to go on from next time."""
    changes: tuple[Change, ...] = ()
    """In no order, each once. It may name more than what changed, never less."""
