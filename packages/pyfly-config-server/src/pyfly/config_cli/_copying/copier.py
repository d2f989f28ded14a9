"""Copying single bundles. Nothing is overwritten that was not read."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pyfly.config_cli._copying.plan import PlannedCopy
from pyfly.config_cli._stores.writing import (
    CommitInfo,
    load_current,
    make_source,
    store_bundle,
)
from pyfly.config_core import (
    BackendAccessDeniedError,
    BackendUnavailableError,
    ConfigConflictError,
    ConfigError,
    ConfigFormatError,
    ConfigFrozenError,
    ConfigKey,
    ConfigNotFoundError,
    ConfigObstructedError,
    UnsupportedOperationError,
)
from pyfly.config_server import Bundles, ConfigSource
from pyfly.config_server.files import UnsettledFileError
from pyfly.config_server.formats.text import same_tree
from pyfly.config_server.storage import ABSENT, ANY, Expected, SupportsConditionalSave, ability

Outcome: TypeAlias = Literal["created", "updated", "unchanged", "left", "not-copied"]
"""`left`: the target holds other content. `not-copied`: it cannot be copied; a reason is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyResult:
    """The outcome for one bundle of the source."""

    copy: PlannedCopy
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copier:
    """Copies bundles from one store into another."""

    source: Bundles
    target: Bundles
    overwrite: bool
    dry_run: bool
    info: CommitInfo

    async def check_not_frozen(self, plan: Iterable[PlannedCopy]) -> None:
        """Refuse to begin a copy that a freeze of the target would interrupt.

        Raises:
            ConfigFrozenError: A freeze covers a bundle of the target.
        """
        if not self.dry_run:
            await self.target.check_not_frozen(
                [one.target for one in plan if one.target is not None]
            )

    async def copy(self, planned: PlannedCopy) -> CopyResult:
        """Copy one bundle.

        Raises:
            BackendError: A store failed in a way that concerns every other bundle, too.
        """
        if planned.target is None:
            return CopyResult(copy=planned, outcome="not-copied", reason=planned.reason)
        source = await self._load(planned.source)
        if isinstance(source, str):
            return CopyResult(copy=planned, outcome="not-copied", reason=source)
        bundle = make_source(planned.target, source.properties)
        try:
            outcome = await self._copied(bundle)
        except (BackendUnavailableError, BackendAccessDeniedError, UnsupportedOperationError):
            raise
        except ConfigFrozenError:  # of a freeze that was made since the copy began
            raise
        except ConfigConflictError:  # another writer stored it just now
            return CopyResult(copy=planned, outcome="left")
        except ConfigError as error:
            if await self._holds_same(bundle):
                return CopyResult(copy=planned, outcome="unchanged")
            return CopyResult(copy=planned, outcome="not-copied", reason=str(error))
        return CopyResult(copy=planned, outcome=outcome)

    async def _load(self, key: ConfigKey) -> ConfigSource | str:
        """Return a bundle of the source, or the reason why it cannot be read."""
        try:
            return await self.source.load(key)
        except UnsettledFileError as error:
            return str(error)
        except BackendUnavailableError:
            raise
        except ConfigError as error:  # a file that this user may not read is one of many
            return str(error)

    async def _copied(self, bundle: ConfigSource) -> Outcome:
        if await self._create(bundle):
            return "created"
        found, expected = await load_current(self.target, bundle.key)
        if found is not None and same_tree(found.properties, bundle.properties):
            return "unchanged"
        if found is not None and not self.overwrite:
            return "left"
        if self.dry_run:
            await self._check(bundle)
        else:
            await self._store(bundle, expected)
        return "created" if found is None else "updated"

    async def _holds_same(self, bundle: ConfigSource) -> bool:
        """True if the target has the bundle already, although it would not save it."""
        try:
            found = await self.target.load(bundle.key)
        except (ConfigFormatError, ConfigNotFoundError, ConfigObstructedError):
            return False
        return same_tree(found.properties, bundle.properties)

    async def _check(self, bundle: ConfigSource) -> None:
        """Refuse a bundle that every store refuses."""
        await self.target.check(bundle)
        if not self.overwrite and not self._is_conditional:
            raise UnsupportedOperationError(type(self.target.backend).__name__, "conditional saves")

    @property
    def _is_conditional(self) -> bool:
        return ability(self.target.backend, SupportsConditionalSave) is not None

    async def _create(self, bundle: ConfigSource) -> bool:
        """Store a bundle if none exists, without reading first; True if it was stored."""
        if self.dry_run or not self._is_conditional:
            return False
        try:
            await store_bundle(self.target, bundle, expected=ABSENT, info=self.info)
        except ConfigConflictError:
            return False
        return True

    async def _store(self, bundle: ConfigSource, expected: Expected) -> None:
        if self.overwrite and not self._is_conditional:
            expected = ANY  # the user has agreed to overwrite concurrent changes
        await store_bundle(self.target, bundle, expected=expected, info=self.info)
