"""The backend that keeps bundles as files, one directory per label."""

import asyncio
import builtins
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pyfly.config_core import (
    DEFAULT_LABEL,
    BackendLookupError,
    BackendUnavailableError,
    ConfigKey,
    check_name,
)
from pyfly.config_server._filesystem.bundles import BundleFiles
from pyfly.config_server.storage import ANY, ConfigEntry, ConfigSource, Expected

_Result = TypeVar("_Result")
_LISTING_STEP: Final = 64


class FilesystemConfigBackend:
    """Bundles in files: `<root>/<label>/<application>-<profile>.{yaml,yml,json}`.

    A fetch opens the files of its own bundle only and sees changes made by hand at once. A save
    writes the file that a fetch reads, in its format, or a new `.yaml`; comments are not kept.
    The version of a bundle is the SHA-256 digest of its file. All file access happens in
    threads; writers take turns, across processes too. The root must exist; labels are made.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._files = BundleFiles(Path(root))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="pyfly-config-save")
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `file:///absolute/directory` or `file:relative/directory`.

        Raises:
            BackendLookupError: The URL names a host, has a query or no path.
        """
        parts = urlsplit(url)
        if parts.netloc not in {"", "localhost"} or parts.query or not parts.path:
            raise BackendLookupError(
                "a file: URL is written file:///absolute/directory or file:relative/directory"
            )
        return cls(unquote(parts.path))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self._files.root)!r})"

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return what the first of `.yaml`, `.yml`, `.json` holds, or `None`."""
        key = ConfigKey(application=application, profile=profile, label=label)
        return (await self.fetch_many([key]))[0]

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> builtins.list[ConfigSource | None]:
        """Return what `fetch` returns for each key, in the same order."""
        return await self._read(lambda: self._files.fetch_many(keys))

    async def save(self, source: ConfigSource) -> None:
        """Replace the bundle, durably.

        Raises:
            ConfigObstructedError: A `.properties` file of that name or a file of several
                documents is in the way.
        """
        await self.commit(source, expected=ANY)

    async def commit(
        self,
        source: ConfigSource,
        *,
        expected: Expected,
        author: str | None = None,  # noqa: ARG002 - files have no history to keep it in
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> str:
        """Replace the bundle if `expected` holds; return the digest of the new file.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigObstructedError: As `save`.
        """
        return await self._write(lambda: self._files.save(source, expected))

    async def delete(
        self,
        application: str,
        profile: str,
        label: str = DEFAULT_LABEL,
        *,
        expected: Expected,
    ) -> None:
        """Remove the bundle's files, those shadowed by others first."""
        key = ConfigKey(application=application, profile=profile, label=label)
        await self._write(lambda: self._files.delete(key, expected))

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable bundle, ordered by label, application, profile."""
        keys = await self._read(self._files.keys)
        found: builtins.list[ConfigSource] = []
        for start in range(0, len(keys), _LISTING_STEP):
            step = keys[start : start + _LISTING_STEP]
            found += await self._read(partial(self._files.sources, step))
        return found

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield the name and version of every bundle, ordered by label, application, profile.

        Every file is parsed, so that what is wrong with it is told.
        """
        keys = await self._read(lambda: self._files.keys(label, after))
        for start in range(0, len(keys), _LISTING_STEP):
            step = keys[start : start + _LISTING_STEP]
            for entry in await self._read(partial(self._files.entries, step)):
                yield entry

    async def has_label(self, label: str) -> bool:
        """Tell whether the label is a directory."""
        check_name("label", label)
        return await self._read(lambda: self._files.has_label(label))

    async def labels(self) -> builtins.list[str]:
        """Return the labels that carry a bundle, sorted."""
        return await self._read(self._files.labels)

    async def check(self) -> None:
        """Return when the root can be opened.

        Raises:
            BackendUnavailableError: It is not there.
            BackendAccessDeniedError: It cannot be opened.
        """
        await self._read(self._files.check)

    async def aclose(self) -> None:
        """Wait for a running save; refuse everything afterwards."""
        self._closed = True
        await asyncio.to_thread(self._writer.shutdown)

    async def _read(self, function: Callable[[], _Result]) -> _Result:
        self._check_open()
        return await asyncio.to_thread(function)

    async def _write(self, function: Callable[[], _Result]) -> _Result:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._writer, function)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendUnavailableError("the backend is closed")
