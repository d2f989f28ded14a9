"""The values of the storage interface: bundles, rows of listings and histories, changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Self, TypeAlias

from pyfly.config_core import (
    DEFAULT_LABEL,
    ConfigKey,
    JsonValue,
    check_name,
    check_profile,
    copy_properties,
)
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
    "RequestedNames",
    "ResourceChange",
    "ResourceEntry",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDocument:
    """One document of a bundle. It may be shared between answers and must not be changed."""

    properties: Mapping[str, JsonValue] = field(repr=False)
    """The tree of the document, including its activation conditions. It is not copied and not
    checked: pass a tree from `copy_properties` or `parse_documents`."""
    origins: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Flat key to `line:column` of its value, both counted from 1."""
    resource: str | None = None
    """The name of its file, without the label, if the bundle has several files."""
    place: int = 0
    """The rank of the directory of its file; higher ranks win. 0 if a store has one directory."""
    _flat: list[FlatProperties] = field(
        default_factory=list[FlatProperties], init=False, repr=False, compare=False
    )
    """Empty, or the flat keys. Shared by the documents of one tree at several places."""

    @property
    def flat(self) -> FlatProperties:
        """The flat keys of the document. Computed once.

        Raises:
            ConfigFormatError: The tree is too deep, too large or has too many properties.
        """
        flat = next(iter(self._flat), None)
        if flat is None:  # two threads may compute it at the same time, with the same result
            flat = flatten_document(self.properties)
            self._flat[:] = [flat]
        return flat

    @property
    def is_flattened(self) -> bool:
        """True if `flat` is computed already."""
        return bool(self._flat)

    def at_place(self, place: int) -> Self:
        """Return this document at another place. Its flat keys are still computed once."""
        if place == self.place:
            return self
        moved = replace(self, place=place)
        object.__setattr__(moved, "_flat", self._flat)
        return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSource:
    """The properties of one application in one profile under one label.

    Immutable: it holds a copy of the given properties.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
        ConfigFormatError: The properties are not a tree of JSON values with string keys.
    """

    application: str
    """One application, not a list."""
    profile: str
    """One profile, not a list; `BASE_PROFILE` for a bundle that counts for every profile."""
    label: str = DEFAULT_LABEL
    """The version of the whole tree: a branch, a tag, a directory."""
    properties: Mapping[str, JsonValue] = field(repr=False)
    """As stored: nested values stay nested. Empty if `documents` holds several documents."""
    version: str | None = None
    """Opaque, assigned by the store; `None` before saving, or if the store has no versions."""
    resource: str | None = None
    """Text stores: the name of the file, without its label."""
    documents: tuple[ConfigDocument, ...] = field(default=(), repr=False)
    """Text stores: the documents of all files of the bundle, lowest precedence first, without
    empty documents."""
    size: int = field(default=0, compare=False)
    """Bytes of the stored text, 0 if unknown. One answer may use at most 8 MiB of stored text; if
    the size is unknown, only the answer itself is limited."""
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
        """Return a source that shares trees with the store, which checked them before.

        The tree is copied when `properties` is read for the first time. Composing a document does
        not read it.

        Args:
            key: The name.
            documents: The documents of its files, as `parse_documents` returns them. A store
                without files passes one document with all properties.
            version: As the field.
            resource: As the field. If this is `None` and the documents have no resource either,
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

    if not TYPE_CHECKING:  # type checkers would accept any attribute

        def __getattr__(self, name: str) -> object:
            """Return `properties` of a shared source, copied at the first read."""
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
        """The documents for composing: `documents`, or one document without a file."""
        return self._content


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedNames:
    """The names in a request, for a store whose directories are named after them.

    Raises:
        InvalidConfigKeyError: A name is not acceptable.
    """

    applications: tuple[str, ...]
    """In the order of the request, each once, without the shared application."""
    profiles: tuple[str, ...]
    """In the order of the request, each once. Empty for a base bundle."""

    def __post_init__(self) -> None:
        for application in self.applications:
            check_name("application", application)
        for profile in self.profiles:
            check_profile(profile)

    @classmethod
    def of_key(cls, key: ConfigKey) -> Self:
        """Return the names in a request for one stored bundle."""
        return cls(applications=(key.application,), profiles=() if key.is_base else (key.profile,))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigEntry:
    """One row of a listing: a name without its values."""

    key: ConfigKey
    """The name."""
    version: str | None = None
    """The stored version; `None` if the store has no versions."""
    error: str | None = None
    """The reason why the bundle cannot be read, without values; `None` if it was not noticed."""
    is_guess: bool = False
    """True if the name of its file could also be the name of another bundle."""
    files: tuple[str, ...] = ()
    """Text stores: the files of the bundle, without the label, the highest precedence first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigVersion:
    """One row of a history."""

    version: str
    """The version after this change."""
    saved_at: datetime
    """The time of the change, in UTC."""
    author: str | None = None
    """The author, as given to `commit` or `delete`."""
    message: str | None = None
    """The reason, as given to `commit` or `delete`."""
    deleted: bool = False
    """True if the change removed the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSnapshot:
    """Several sources at one moment."""

    sources: tuple[ConfigSource | None, ...]
    """One item for each key, in the order of the keys; `None` if it is not stored."""
    version: str | None = None
    """The opaque version of the snapshot: another one after each save and removal of one of the
    sources. It is `None` if no source was ever stored and the store has no versions of labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigResource:
    """A plain file beside the bundles."""

    content: bytes = field(repr=False)
    """The complete content."""
    modified: datetime | None = None
    """The time of the last change, in UTC; `None` if unknown."""
    path: str | None = None
    """The opened path below the label if a store has looked in several directories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceEntry:
    """One row of a listing of plain files."""

    path: str
    """The path below the label, with `/` between its parts."""
    size: int | None = None
    """In bytes; `None` if unknown."""
    modified: datetime | None = None
    """The time of the last change, in UTC; `None` if unknown."""


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
    """Anything under a label may have changed, including the existence of the label."""

    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingChange:
    """Anything may have changed: drop everything that was read before."""


Change: TypeAlias = BundleChange | ResourceChange | LabelChange | EverythingChange
"""One row of a feed of changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBatch:
    """The changes between two calls of `changes_since`."""

    cursor: str
    """The opaque cursor for the next call."""
    changes: tuple[Change, ...] = ()
    """In no order, each once. May include more than the real changes, never less."""
