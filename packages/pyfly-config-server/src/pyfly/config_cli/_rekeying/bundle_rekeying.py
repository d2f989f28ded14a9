"""Encrypting the values of single bundles with another key. Nothing is overwritten unseen."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from pyfly.config_cli._stores.writing import CommitInfo
from pyfly.config_core import (
    BackendUnavailableError,
    ConfigConflictError,
    ConfigError,
    ConfigFrozenError,
    ConfigKey,
    JsonValue,
    flatten,
)
from pyfly.config_server import Bundles, CipherRekeyer, ConfigSource
from pyfly.config_server.formats.merged_documents import leaves_of, merged_properties
from pyfly.config_server.storage import PRESENT, ConfigEntry

Outcome: TypeAlias = Literal["re-encrypted", "unchanged", "failed"]
"""`failed`: the bundle cannot be read or stored, or has values that stay as they are."""

Edit: TypeAlias = Callable[[Mapping[str, JsonValue]], Mapping[str, JsonValue]]

_TRIES: Final = 10
"""Another writer was faster each time before."""
_SEVERAL_NAMES: Final = (
    "the name of its file can be read as bundles of several applications, so that the value cannot "
    "be bound to one; name the profiles in the URL of the store: profiles=..."
)
_IN_SEVERAL: Final = "several documents of the bundle have this key; change it in the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedValue:
    """A value that stays encrypted with the old key."""

    key: str
    reason: str
    is_unreadable: bool
    """True if it cannot be decrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResult:
    """The outcome for one bundle."""

    bundle: ConfigKey
    keys: tuple[str, ...] = ()
    """The flat keys of the values that were, or would be, encrypted with the new key."""
    failures: tuple[FailedValue, ...] = ()
    reason: str = ""
    """Why the bundle cannot be read or stored."""
    applications: tuple[str, ...] = ()
    """The applications to which its values may be bound."""
    version: str | None = None
    """The new version; `None` if nothing was stored, or the store has no versions."""

    @property
    def outcome(self) -> Outcome:
        """The outcome of the whole bundle."""
        if self.reason or self.failures:
            return "failed"
        return "re-encrypted" if self.keys else "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRekeying:
    """Encrypts the values of the bundles of one store with another key."""

    bundles: Bundles
    rekeyer: CipherRekeyer
    info: CommitInfo

    async def plan(self, entry: ConfigEntry) -> BundleResult:
        """Return what `store` would do, without storing anything.

        Raises:
            BackendUnavailableError: The store does not answer.
        """
        bundle = entry.key
        try:
            source = await self.bundles.backend.fetch(
                bundle.application, bundle.profile, bundle.label
            )
        except BackendUnavailableError:
            raise
        except ConfigError as error:
            return BundleResult(bundle=bundle, reason=str(error))
        if source is None:  # it was removed meanwhile
            return BundleResult(bundle=bundle)
        repeated = _repeated(source)
        is_single = len(source.content) == 1
        properties = source.properties if is_single else merged_properties(source.content)
        applications = _applications(entry)
        if self.rekeyer.binds and len(applications) > 1:
            return BundleResult(bundle=bundle, failures=self._unbindable(properties))
        _, keys, unreadable = self._apply(applications, properties, left=repeated)
        return BundleResult(
            bundle=bundle,
            keys=keys,
            failures=(*unreadable, *self._refused(source, repeated)),
            applications=applications,
        )

    async def store(self, planned: BundleResult) -> BundleResult:
        """Encrypt the values of one bundle; return what was done.

        If another writer stores the bundle meanwhile, the values are encrypted in what that one
        has stored.

        Raises:
            BackendUnavailableError: The store does not answer; the outcome is unknown.
            ConfigFrozenError: A freeze covers the bundle.
        """
        refused = tuple(one for one in planned.failures if not one.is_unreadable)
        names = {one.key for one in refused}
        done: tuple[tuple[str, ...], tuple[FailedValue, ...]] = ((), ())

        def edit(properties: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
            nonlocal done
            new, keys, unreadable = self._apply(planned.applications, properties, left=names)
            done = (keys, unreadable)
            return new

        try:
            version = await self._change(planned.bundle, edit)
        except (BackendUnavailableError, ConfigFrozenError):
            raise
        except ConfigConflictError as error:
            if error.current is None:  # it was removed meanwhile
                return BundleResult(bundle=planned.bundle)
            return replace(planned, keys=(), reason=str(error))
        except ConfigError as error:
            return replace(planned, keys=(), reason=str(error))
        keys, unreadable = done
        return BundleResult(
            bundle=planned.bundle, keys=keys, failures=(*unreadable, *refused), version=version
        )

    async def _change(self, bundle: ConfigKey, edit: Edit) -> str:
        """Change a bundle, again if another writer was faster."""
        for left in reversed(range(_TRIES)):
            try:
                return await self.bundles.change(
                    bundle,
                    edit,
                    expected=PRESENT,
                    author=self.info.author,
                    message=self.info.message,
                )
            except ConfigConflictError as error:
                if error.current is None or not left:
                    raise
        raise AssertionError  # the last try returns or raises

    def _apply(
        self,
        applications: Sequence[str],
        properties: Mapping[str, JsonValue],
        *,
        left: Collection[str],
    ) -> tuple[dict[str, JsonValue], tuple[str, ...], tuple[FailedValue, ...]]:
        """Return the new properties, the keys of their new values, and what cannot be decrypted."""
        unreadable: list[FailedValue] = []
        new, keys = self.rekeyer.replaced(
            properties,
            applications=applications,
            left=left,
            on_failure=lambda key, error: unreadable.append(
                FailedValue(key=key, reason=str(error), is_unreadable=True)
            ),
        )
        return new, tuple(keys), tuple(unreadable)

    def _unbindable(self, properties: Mapping[str, JsonValue]) -> tuple[FailedValue, ...]:
        """Return all values of the old key."""
        return tuple(
            FailedValue(key=key, reason=_SEVERAL_NAMES, is_unreadable=False)
            for key, value in flatten(properties).items()
            if self.rekeyer.concerns(value)
        )

    def _refused(self, source: ConfigSource, repeated: Collection[str]) -> list[FailedValue]:
        """Return the values under keys that several documents have."""
        found: dict[str, None] = {}
        for document in source.content:
            for path, value in leaves_of(document.properties).items():
                name = ".".join(path)
                if name in repeated and any(map(self.rekeyer.concerns, _singles(value))):
                    found[name] = None
        return [FailedValue(key=key, reason=_IN_SEVERAL, is_unreadable=False) for key in found]


def _applications(entry: ConfigEntry) -> tuple[str, ...]:
    """Return the applications that a bundle may belong to, the one of its listing first."""
    key = entry.key
    if not entry.is_guess:
        return (key.application,)
    parts = (key.application if key.is_base else f"{key.application}-{key.profile}").split("-")
    readings = ("-".join(parts[:count]) for count in range(len(parts), 0, -1))
    return tuple(dict.fromkeys((key.application, *readings)))


def _repeated(source: ConfigSource) -> set[str]:
    """Return the keys that several documents of a bundle have."""
    if len(source.content) == 1:
        return set()
    counts = Counter(path for one in source.content for path in leaves_of(one.properties))
    return {".".join(path) for path, count in counts.items() if count > 1}


def _singles(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, dict | list):
        for below in value.values() if isinstance(value, dict) else value:
            yield from _singles(below)
    else:
        yield value
