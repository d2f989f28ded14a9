"""The store inside of a wrapper under test."""

import builtins
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from pyfly.config_core import ConfigKey
from pyfly.config_server.storage import ConfigResource, ConfigSnapshot, RequestedNames
from pyfly.config_server.stores.memory import InMemoryConfigBackend

_Ability = TypeVar("_Ability")


class CompleteBackend(InMemoryConfigBackend):
    """A store in memory with every ability, except for given ones.

    Args:
        lacking: The Protocols for which `ability` returns `None`, although the methods exist.
    """

    def __init__(self, *, lacking: frozenset[type] = frozenset()) -> None:
        super().__init__()
        self._lacking = lacking
        self.refetches = 0
        """How often `refetch` was called."""

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return this store, or `None` for a missing ability."""
        return self if kind not in self._lacking and isinstance(self, kind) else None

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        """Return the sources, and a digest of the newest row in the history of each key."""
        sources = tuple(await self.fetch_many(keys))
        rows = {key: await self.history(key, limit=1) for key in keys}
        newest = sorted(str(row[0].version) for row in rows.values() if row)
        version = hashlib.sha256(" ".join(newest).encode()).hexdigest() if newest else None
        return ConfigSnapshot(sources=sources, version=version)

    async def refetch(self) -> None:
        """Count the call."""
        await self.check()
        self.refetches += 1

    async def fetch_requested(
        self, keys: Sequence[ConfigKey], names: RequestedNames
    ) -> ConfigSnapshot:
        """Return what `fetch_snapshot` returns."""
        del names
        return await self.fetch_snapshot(keys)

    async def find_resource(
        self, label: str, paths: Sequence[str], names: RequestedNames, *, last_first: bool = False
    ) -> ConfigResource | None:
        """Return the first existing file."""
        del names, last_first
        for path in paths:
            found = await self.open_resource(label, path)
            if found is not None:
                return replace(found, path=path)
        return None

    async def upgrade(self) -> builtins.list[str]:
        """Return no steps."""
        await self.check()
        return []
