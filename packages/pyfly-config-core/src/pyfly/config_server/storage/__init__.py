"""What a store of configuration is: the values it keeps and the methods it has (design §3).

`ConfigBackend` is all that a store needs. Each `Supports…` Protocol is one ability more; having
its methods is necessary, not sufficient: an instance that cannot do what was asked raises
`UnsupportedOperationError`. A store written by somebody else depends on this module only.

Every method may raise `BackendUnavailableError` when the store cannot be reached,
`BackendAccessDeniedError` when it refuses, `InvalidConfigKeyError` for names that break the
rules of contract §11.2, and `ConfigFormatError` for a stored text that does not parse.
"""

import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Protocol, TypeAlias, runtime_checkable

from pyfly.config_core import (
    DEFAULT_LABEL,
    ConfigConflictError,
    ConfigFormatError,
    ConfigKey,
    JsonValue,
    copy_properties,
)
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS, MAX_STORED_BYTES


class Precondition(Enum):
    """What a conditional write may expect besides a version."""

    ABSENT = "absent"
    """Nothing is stored yet: create only."""
    ANY = "any"
    """Whatever is stored: overwrite or create, knowingly."""
    PRESENT = "present"
    """Something is stored, whichever version it is: overwrite only."""


ABSENT: Final = Precondition.ABSENT
ANY: Final = Precondition.ANY
PRESENT: Final = Precondition.PRESENT

TOO_LARGE: Final = "ask for fewer applications, profiles or labels at once, or store less for them"
"""What to do when an answer is too large."""

Expected: TypeAlias = str | Precondition
"""A version that must still be the stored one, `ABSENT`, `PRESENT` or `ANY`."""


def check_expected(key: ConfigKey, *, expected: Expected, current: str | None) -> None:
    """Refuse a write whose condition does not hold.

    A store calls this where nobody else can write between the check and the write.

    Args:
        key: What is to be written.
        expected: The condition.
        current: The stored version, `None` when nothing is stored.

    Raises:
        ConfigConflictError: The condition does not hold; names the current version.
    """
    match expected:
        case Precondition.ANY:
            holds = True
        case Precondition.ABSENT:
            holds = current is None
        case Precondition.PRESENT:
            holds = current is not None
        case version:
            holds = current == version
    if not holds:
        raise ConfigConflictError(str(key), current)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDocument:
    """One document of a text file (contract §3.5)."""

    properties: Mapping[str, JsonValue] = field(repr=False)
    """The document's own tree, conditions of its activation included. Not to be changed: a
    store may hand out the same tree again."""
    origins: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Flat key to `line:column` of its value, both counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSource:
    """The properties of one application in one profile under one label.

    An immutable value: it holds a copy of the properties it was given.

    Raises:
        InvalidConfigKeyError: A name breaks the rules of contract §11.2.
        ConfigFormatError: The properties are not a tree of JSON values with string keys.
    """

    application: str
    """One application, not a list."""
    profile: str
    """One profile, not a list."""
    label: str = DEFAULT_LABEL
    """The version of the whole tree: a branch, a tag, a directory."""
    properties: Mapping[str, JsonValue] = field(repr=False)
    """As stored: nested values stay nested. Empty where `documents` holds several."""
    version: str | None = None
    """Opaque, assigned by the store; `None` where it has no versions or before saving."""
    resource: str | None = None
    """Text stores: the name of the file, without its label."""
    documents: tuple[ConfigDocument, ...] = field(default=(), repr=False)
    """Text stores: the documents of a file from first to last, empty ones left out."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigVersion:
    """One row of a history."""

    version: str
    """The version that this change made."""
    saved_at: datetime
    """When, in UTC."""
    author: str | None = None
    """Who, as given to `commit`."""
    message: str | None = None
    """Why, as given to `commit`."""
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
    """A file beside the bundles (contract §5)."""

    content: bytes = field(repr=False)
    """Its bytes, whole."""
    modified: datetime | None = None
    """When it was last changed, in UTC, where the store knows."""


def check_stored_bytes(size: int) -> None:
    """Refuse to make one answer of too much text. A store may ask before it reads or parses.

    Args:
        size: Bytes of stored text that are needed for one answer.

    Raises:
        ConfigFormatError: It is more than 8 MiB.
    """
    if size > MAX_STORED_BYTES:
        raise ConfigFormatError(
            f"more than {MAX_STORED_BYTES:,} bytes of stored text in one answer; {TOO_LARGE}"
        )


def check_limit(limit: int) -> None:
    """Refuse a number of rows that no page has. A store calls this in `history`.

    Raises:
        ValueError: It is not from 1 to 1,000.
    """
    if not 1 <= limit <= MAX_PAGE_ROWS:
        raise ValueError(f"'limit' is a number from 1 to {MAX_PAGE_ROWS:,}")


@runtime_checkable
class ConfigBackend(Protocol):
    """A store of configuration. These three methods are all that is required.

    A store may also have the attributes `default_is_base` and `is_read_only`, see the functions
    of these names.
    """

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return one source whole, at one version, or `None` when it is not stored."""
        ...

    async def save(self, source: ConfigSource) -> None:
        """Store `source` under its key, replacing what is there.

        Atomic: a reader sees the old or the new source, never a mixture, never an absence. A
        save that returned survives a crash of this process. `version`, `resource` and
        `documents` of the source are not stored.
        """
        ...

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable source, ordered by label, application, profile.

        A source that cannot be read is left out with a warning in the log.
        """
        ...


def default_is_base(backend: ConfigBackend) -> bool:
    """Tell whether the bundles of the profile `default` count for every profile.

    A store says so in an attribute of this name, of its class or of the instance. It is `False`
    for a repository laid out as for Spring, where `orders-default.yml` counts only when the
    profile `default` is asked for, by its name or because no profile is named. A store without
    the attribute is one where they count for every profile.
    """
    return bool(getattr(backend, "default_is_base", True))


def is_read_only(backend: ConfigBackend) -> bool:
    """True if this store, though its class can save, cannot: a read-only disk, a view of another.

    A store says so in an attribute of this name. Of several stores the first that is not read-only
    and saves under conditions takes the writes. A store without the attribute is not read-only.
    """
    return bool(getattr(backend, "is_read_only", False))


@runtime_checkable
class SupportsKeys(Protocol):
    """Lists names without loading values: for listings, start-up reports, copies."""

    def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield every stored name, of one label or of all, ordered by label, application, profile.

        Unreadable bundles are yielded too, with their error where it is noticed.

        Args:
            label: Only the names of this one.
            after: Only the names that come after this one, whether it is stored or not. A
                listing in pages goes on from its last name without reading what lies before.
        """
        ...


@runtime_checkable
class SupportsLabels(Protocol):
    """Knows which labels exist. Without this ability every label is taken to exist."""

    async def has_label(self, label: str) -> bool:
        """Tell whether `label` exists, with or without bundles in it."""
        ...

    async def labels(self) -> builtins.list[str]:
        """Return the labels that carry a bundle, sorted."""
        ...


@runtime_checkable
class SupportsBatchFetch(Protocol):
    """Reads several sources in one round trip."""

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> builtins.list[ConfigSource | None]:
        """Return what `fetch` returns for each key, in the same order."""
        ...


@runtime_checkable
class SupportsSnapshots(Protocol):
    """Has versions of several sources together, which go forward only.

    What a document is composed of is read in one snapshot, and its `version` (contract §2.1) is
    that of the snapshot. A store whose versions tell only what is equal lacks this ability.
    """

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        """Return what `fetch` returns for each key, and the version of the whole."""
        ...


@runtime_checkable
class SupportsConditionalSave(Protocol):
    """Saves only when nobody else has saved in between. HTTP writes need this ability."""

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,
        message: str | None = None,
    ) -> str:
        """Store `source` as `save` does and return its new version.

        Of several writers that name the same version exactly one succeeds.

        Args:
            source: What to store; its key decides where.
            expected: The version that must still be stored, `ABSENT` to create only, `PRESENT`
                to replace only, `ANY` to write whatever is there.
            author: Who makes the change, kept where the store has a history.
            message: Why, likewise.

        Raises:
            ConfigConflictError: `expected` does not hold; names the current version.
        """
        ...


@runtime_checkable
class SupportsDelete(Protocol):
    """Removes bundles."""

    async def delete(
        self,
        application: str,
        profile: str,
        label: str = DEFAULT_LABEL,
        *,
        expected: Expected,
    ) -> None:
        """Remove one source. With `ANY`, removing what is not there does nothing.

        Raises:
            ConfigConflictError: `expected` does not hold; names the current version.
        """
        ...


@runtime_checkable
class SupportsHistory(Protocol):
    """Keeps old versions. A rollback is a new commit of old content."""

    async def history(
        self,
        application: str,
        profile: str,
        label: str = DEFAULT_LABEL,
        *,
        limit: int = DEFAULT_PAGE_ROWS,
        before: str | None = None,
    ) -> builtins.list[ConfigVersion]:
        """Return one page of the changes of one source, newest first.

        Its cost depends on `limit`, not on how many versions there are.

        Args:
            application: One application.
            profile: One profile.
            label: One label.
            limit: How many at most, from 1 to 1,000. Fewer are returned only at the end.
            before: Only those that are older than this version, one of this source, which may
                be its removal. The next page begins before the last version of this one.

        Returns:
            Empty when there are no older ones, or when the source was never stored.

        Raises:
            ConfigNotFoundError: `before` is no version of this source: of another one, or gone.
            ValueError: `limit` is another number.
        """
        ...

    async def fetch_version(
        self,
        application: str,
        profile: str,
        label: str = DEFAULT_LABEL,
        *,
        version: str,
    ) -> ConfigSource | None:
        """Return the source as it was at `version`.

        `None` when there is no such version or when it removed the source.
        """
        ...


@runtime_checkable
class SupportsChangeToken(Protocol):
    """Tells cheaply whether anything changed."""

    async def change_token(self) -> str:
        """Return an opaque text that differs whenever anything stored differs."""
        ...


@runtime_checkable
class SupportsChangeStream(Protocol):
    """Tells at once what changed."""

    def changes(self) -> AsyncIterator[ConfigKey]:
        """Yield keys that changed from the first step of the iterator on.

        A hint, never the only means: keys may be repeated, joined or missed.
        """
        ...


@runtime_checkable
class SupportsBaseBundles(Protocol):
    """Holds bundles without a profile, as existing Spring repositories do (`orders.yaml`)."""

    async def fetch_base(self, application: str, label: str) -> ConfigSource | None:
        """Return the source for every profile, or `None`. Its profile reads `default`."""
        ...


@runtime_checkable
class SupportsResources(Protocol):
    """Holds plain files beside the bundles (contract §5)."""

    async def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Return the file at `path` under `label`, or `None`."""
        ...


@runtime_checkable
class SupportsUpgrade(Protocol):
    """Keeps bundles in a form that later versions of its package may change."""

    async def upgrade(self) -> builtins.list[str]:
        """Bring the store to the form that this version of its package needs.

        What is stored stays as it is. An upgrade that was interrupted can be repeated.

        Returns:
            The names of the steps that were done; empty when there was nothing to do.

        Raises:
            BackendError: The form is a newer one, which this version does not know.
        """
        ...


@runtime_checkable
class SupportsCheck(Protocol):
    """Can tell whether it works."""

    async def check(self) -> None:
        """Return when the store can be read; raise a `BackendError` that says why not."""
        ...


@runtime_checkable
class SupportsClose(Protocol):
    """Owns resources: connections, threads, files."""

    async def aclose(self) -> None:
        """Release them. Closing twice is allowed; every other method raises afterwards."""
        ...
