"""The storage interface in terms of the file; nothing here knows how bundles are kept."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import unquote, urlsplit

from pyfly.config_core import (
    DEFAULT_LABEL,
    BackendLookupError,
    BackendUnavailableError,
    ConfigKey,
    check_name,
)
from pyfly.config_server.storage import ANY, ConfigEntry, ConfigSource, Expected
from pyfly_config_example._file import BundleFile

_Result = TypeVar("_Result")


class ExampleConfigBackend:
    """Keeps every bundle in one file of a directory, which must exist, on a local disk.

    For some hundred bundles: every call reads the whole file, every save writes it whole.
    Several processes may share a directory. File access happens in threads; `aclose` waits for
    the saves that have begun.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = os.fspath(directory)
        self._file = BundleFile(Path(directory))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="pyfly-config-example")
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `example:///absolute/directory`.

        Raises:
            BackendLookupError: The URL is of another form.
        """
        parts = urlsplit(url)
        path = unquote(parts.path)
        if parts.netloc or parts.query or parts.fragment or path[:1] != "/" or "\0" in path:
            raise BackendLookupError("an example: URL is written example:///absolute/directory")
        return cls(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._directory!r})"

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """Return the bundle, or `None`."""
        key = ConfigKey(application=application, profile=profile, label=label)
        return (await self._read(self._file.read)).get(key)

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
        return await self._write(lambda: self._file.commit(source, expected))

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,  # noqa: ARG002 - there is no history to keep it in
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> None:
        """Remove the bundle if `expected` holds."""
        await self._write(lambda: self._file.delete(key, expected))

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield the names and versions as they were at the first step."""
        for key, source in (await self._read(self._file.read)).items():
            if label in {None, key.label} and (after is None or key.sort_key > after.sort_key):
                yield ConfigEntry(key=key, version=source.version)

    async def has_label(self, label: str) -> bool:
        """True if a bundle carries the label, or it is the default label."""
        check_name("label", label)
        return label in {DEFAULT_LABEL, *await self.labels()}

    async def labels(self) -> list[str]:
        """Return the labels that carry a bundle, sorted."""
        return sorted({key.label for key in await self._read(self._file.read)})

    async def check(self) -> None:
        """Return when the file can be read."""
        await self._read(self._file.data)

    async def aclose(self) -> None:
        """Refuse everything from now on; wait for the saves that have begun."""
        self._closed = True
        await asyncio.to_thread(self._writer.shutdown)

    async def list(self) -> list[ConfigSource]:  # last: from here on `list` is this method
        """Return every bundle, ordered by label, application, profile."""
        return list((await self._read(self._file.read)).values())

    async def _read(self, function: Callable[[], _Result]) -> _Result:
        self._check_open()
        return await asyncio.to_thread(function)

    async def _write(self, function: Callable[[], _Result]) -> _Result:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._writer, function)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendUnavailableError("the backend is closed")
