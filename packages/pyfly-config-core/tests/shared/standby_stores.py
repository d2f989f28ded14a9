"""Stores and helpers for the tests of the standby."""

import asyncio
import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from pyfly.config_core import DEFAULT_LABEL, BackendUnavailableError, ConfigKey, JsonValue
from pyfly.config_server.live import standby_recorder
from pyfly.config_server.live.standby import StandbyBackend
from pyfly.config_server.storage import ConfigBackend, ConfigSource, WrapperBackend

A = TypeVar("A")

ORDERS = ConfigKey(application="orders", profile="prod")
NAMES = ("orders", "prod", "main")

Restart = Callable[..., StandbyBackend]

DEADLINE = 30.0


class Switch(WrapperBackend):
    """A store that can be taken away."""

    def __init__(self, backend: ConfigBackend, *, lacking: frozenset[type] = frozenset()) -> None:
        super().__init__(backend)
        self.lacking = lacking
        self.error: Exception | None = None
        self.calls: builtins.list[str] = []

    def ability(self, kind: type[A]) -> A | None:
        found = super().ability(kind)
        return None if found is None or kind in self.lacking else cast("A", _Gate(self, found))

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        self.call("fetch")
        return await self.wrapped.fetch(application, profile, label)

    async def save(self, source: ConfigSource) -> None:
        self.call("save")
        await self.wrapped.save(source)

    async def list(self) -> builtins.list[ConfigSource]:
        self.call("list")
        return await self.wrapped.list()

    def call(self, name: str) -> None:
        self.calls.append(name)
        if self.error is not None:
            raise self.error

    def take_away(self) -> None:
        self.error = BackendUnavailableError("the store is away")

    def bring_back(self) -> None:
        self.error = None


class _Gate:
    """Raises the error of a switch instead of calling a method."""

    def __init__(self, switch: Switch, store: object) -> None:
        self._switch = switch
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in {"keys", "resources", "hints", "aclose", "expect_content"}:
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            self._switch.call(name)
            return await method(*arguments, **named)

        return call


def bundle(application: str = "orders", **properties: JsonValue) -> ConfigSource:
    return ConfigSource(application=application, profile="prod", properties=properties or {"a": 1})


def quick(monkeypatch: Any) -> None:
    """Make batches follow one another at once."""
    monkeypatch.setattr(standby_recorder, "PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(standby_recorder, "LOOK_SECONDS", 0.0)


async def written(standby: StandbyBackend) -> None:
    """Wait until everything that was read is written, or dropped."""
    async with asyncio.timeout(DEADLINE):
        while (task := standby._recorder._task) is not None and not task.done():
            await asyncio.wait([task])


def records(directory: Path) -> list[Path]:
    """Return the files with records, of all stores."""
    return sorted(path for path in directory.glob("*/*.*") if path.suffix != ".tmp")
