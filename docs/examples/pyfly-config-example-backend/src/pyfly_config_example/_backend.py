"""The storage interface in terms of the file; nothing here knows how bundles are kept."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pyfly.config_core import (
    DEFAULT_LABEL,
    BackendLookupError,
    BackendUnavailableError,
    ConfigKey,
    UnsupportedOperationError,
    check_name,
)
from pyfly.config_server.storage import (
    ANY,
    ChangeBatch,
    ConfigEntry,
    ConfigSource,
    Expected,
    SupportsConditionalSave,
    SupportsDelete,
)
from pyfly_config_example._changes import ChangeObserver
from pyfly_config_example._file import BundleFile

_Ability = TypeVar("_Ability")
_Result = TypeVar("_Result")

_WRITING: Final[frozenset[type]] = frozenset({SupportsConditionalSave, SupportsDelete})


class ExampleConfigBackend:
    """Keeps every bundle in one file of a directory, which must exist, on a local disk.

    For some hundred bundles: every call reads the whole file, every save writes it whole.
    Several processes may share a directory. File access happens in threads; `aclose` waits for
    the saves that have begun.

    Args:
        directory: Where the file is.
        read_only: True for a store that refuses every write.
    """

    has_base_bundles: Final = True

    def __init__(self, directory: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self._directory = os.fspath(directory)
        self._file = BundleFile(Path(directory))
        self._changes = ChangeObserver(self._file)
        self._read_only = read_only
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="pyfly-config-example")
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `example:///absolute/directory`, or with `?read-only` behind it.

        Raises:
            BackendLookupError: The URL is of another form.
        """
        parts = urlsplit(url)
        path = unquote(parts.path)
        is_known = parts.query in {"", "read-only"} and not (parts.netloc or parts.fragment)
        if not is_known or path[:1] != "/" or "\0" in path:
            raise BackendLookupError(
                "an example: URL is written example:///absolute/directory[?read-only]"
            )
        return cls(path, read_only=parts.query == "read-only")

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return this store if it has an ability; a read-only one cannot write."""
        if self._read_only and kind in _WRITING:
            return None
        return self if isinstance(self, kind) else None

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

    async def changes_since(self, cursor: str | None) -> ChangeBatch:
        """Return what changed since `cursor`, in this process or another.

        The file is read when it is another one than before, or younger than a tenth of a second.
        """
        return await self._read(lambda: self._changes.since(cursor))

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
        if self._read_only:
            raise UnsupportedOperationError(type(self).__name__, "writes: it is read-only")
        return await asyncio.get_running_loop().run_in_executor(self._writer, function)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendUnavailableError("the backend is closed")
