"""The storage interface on top of the pool and the tables. Contains no SQL."""

from collections.abc import AsyncIterator
from typing import Final, Self

from pyfly.config_core import DEFAULT_LABEL, BackendUnavailableError, ConfigKey, check_name
from pyfly.config_server.storage import (
    ANY,
    ChangeBatch,
    ConfigEntry,
    ConfigSource,
    Expected,
)
from pyfly_config_template import _tables
from pyfly_config_template._changes import ChangeObserver
from pyfly_config_template._pool import GONE, ConnectionPool
from pyfly_config_template._settings import StoreSettings


class TemplateConfigBackend:
    """Keeps bundles in the file of an SQLite database, on a local disk.

    A save is atomic and survives a crash. Several processes may use the file at the same time.
    The program that opens a store closes it with `aclose`.
    """

    has_base_bundles: Final = True

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._pool = ConnectionPool(settings)
        self._changes = ChangeObserver()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `template:///absolute/file?pool=4&timeout=10`. No connection is opened yet.

        Raises:
            BackendLookupError: The URL is malformed.
        """
        return cls(StoreSettings.from_url(url))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._settings.path)!r})"

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return the bundle, or `None`."""
        key = ConfigKey(application=application, profile=profile, label=label)
        return await self._pool.run(lambda connection: _tables.fetch(connection, key))

    async def save(self, source: ConfigSource) -> None:
        """Replace the bundle, durably."""
        await self.commit(source, expected=ANY)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,  # noqa: ARG002 - there is no history to keep it in
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> str:
        """Replace the bundle if `expected` holds; return its new version."""
        return await self._pool.run(lambda connection: _tables.commit(connection, source, expected))

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,  # noqa: ARG002 - there is no history to keep it in
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> None:
        """Remove the bundle if `expected` holds."""
        await self._pool.run(lambda connection: _tables.delete(connection, key, expected))

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield the names and versions at the time of the first step."""
        for entry in await self._pool.run(
            lambda connection: _tables.entries(connection, label=label, after=after)
        ):
            yield entry

    async def has_label(self, label: str) -> bool:
        """True if a bundle has the label, or if it is the default label."""
        check_name("label", label)
        return label in {DEFAULT_LABEL, *await self.labels()}

    async def labels(self) -> list[str]:
        """Return the labels that have a bundle, sorted."""
        return await self._pool.run(_tables.labels)

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        """Return the changes since `cursor` in all processes."""
        return await self._pool.run(lambda connection: self._changes.since(connection, cursor))

    async def check(self) -> None:
        """Return if the database can be read."""
        await self._pool.run(_tables.revision)
        if not self._settings.path.exists():  # removed while its connections are open
            raise BackendUnavailableError(GONE)

    async def aclose(self) -> None:
        """Refuse further calls, and wait for running calls."""
        await self._pool.aclose()

    async def list(self) -> list[ConfigSource]:  # last: from here on `list` is this method
        """Return every readable bundle, ordered by label, application, profile."""
        return await self._pool.run(_tables.fetch_all)
