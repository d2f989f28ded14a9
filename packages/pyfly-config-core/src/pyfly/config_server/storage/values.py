"""The values that stores keep and return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Self, TypeAlias

from pyfly.config_core import DEFAULT_LABEL, ConfigKey, JsonValue, copy_properties
from pyfly.config_server.storage.flat import FlatProperties, flatten_document

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
    """One document of a bundle. It may be shared between answers and must not be changed."""

    properties: Mapping[str, JsonValue] = field(repr=False)
    """The document's own tree, conditions of its activation included. It is not copied and not
    checked: give it a tree that `copy_properties` or `parse_documents` returned."""
    origins: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Flat key to `line:column` of its value, both counted from 1."""
    resource: str | None = None
    """The name of its file, where a bundle lies in several; without its label."""
    place: int = 0
    """The rank of the place where its file lies; higher ones win. 0 where a store has one place."""
    _flat: FlatProperties | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def flat(self) -> FlatProperties:
        """The document with flat keys: computed at the first call, then remembered.

        Raises:
            ConfigFormatError: The tree is too deep, too large or has too many properties.
        """
        flat = self._flat
        if flat is None:  # two threads may both compute it, with the same result
            flat = flatten_document(self.properties)
            object.__setattr__(self, "_flat", flat)
        return flat

    @property
    def is_flattened(self) -> bool:
        """True if `flat` costs nothing."""
        return self._flat is not None


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
    _key: ConfigKey = field(init=False, repr=False, compare=False)
    _content: tuple[ConfigDocument, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key = ConfigKey(application=self.application, profile=self.profile, label=self.label)
        properties = copy_properties(self.properties)
        content = self.documents or (ConfigDocument(properties=properties),)
        for name, value in (("_key", key), ("properties", properties), ("_content", content)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_documents(
        cls,
        key: ConfigKey,
        documents: tuple[ConfigDocument, ...],
        *,
        version: str | None = None,
        resource: str | None = None,
        size: int = 0,
    ) -> Self:
        """Return a source for trees that were checked before and that the store keeps.

        Nothing is copied until `properties` is read, and nothing at all when the source is only
        composed.

        Args:
            key: The name.
            documents: The documents of its files, as `parse_documents` returns them, or of a
                store without files the one document that holds everything.
            version: As the field.
            resource: As the field. Without it, and where the documents name no file either,
                `documents` of the source is empty.
            size: As the field.
        """
        has_files = resource is not None or any(one.resource for one in documents)
        source = cls.__new__(cls)
        for name, value in (
            ("application", key.application),
            ("profile", key.profile),
            ("label", key.label),
            ("version", version),
            ("resource", resource),
            ("documents", documents if has_files else ()),
            ("size", size),
            ("_key", key),
            ("_content", documents or (ConfigDocument(properties={}),)),
        ):
            object.__setattr__(source, name, value)
        return source

    if not TYPE_CHECKING:  # type checkers would believe that it has any attribute

        def __getattr__(self, name: str) -> object:
            """Copy the tree of a shared source when it is read for the first time."""
            if name != "properties":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            content = self._content
            properties = copy_properties(content[0].properties if len(content) == 1 else {})
            object.__setattr__(self, "properties", properties)
            return properties

    @property
    def key(self) -> ConfigKey:
        """The name of this source."""
        return self._key

    @property
    def content(self) -> tuple[ConfigDocument, ...]:
        """What an answer is composed of: `documents`, or one document without a file."""
        return self._content


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
