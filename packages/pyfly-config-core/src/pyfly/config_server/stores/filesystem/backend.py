"""The backend that keeps bundles as files, one directory per label."""

import asyncio
import builtins
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from pyfly.config_core import (
    DEFAULT_LABEL,
    BackendLookupError,
    BackendUnavailableError,
    ConfigKey,
    check_name,
    check_path,
)
from pyfly.config_server.files import safe_io
from pyfly.config_server.files.threads import Threads
from pyfly.config_server.storage import (
    ANY,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    Expected,
    ResourceEntry,
    SupportsConditionalSave,
    SupportsDelete,
)
from pyfly.config_server.stores.filesystem.bundles import BundleFiles
from pyfly.config_server.stores.filesystem.platforms import check_platform
from pyfly.config_server.stores.filesystem.reads import Reads
from pyfly.config_server.stores.filesystem.turns import Turns

_Ability = TypeVar("_Ability")
_Result = TypeVar("_Result")
_LISTING_STEP: Final = 16

READ_SECONDS: Final = 10.0
"""How long a read may take, the wait for a thread and parsing included."""
LISTING_SECONDS: Final = 60.0
"""The same for one step of a listing."""
FLUSH_SECONDS: Final = 10.0
"""How long a write may take after its turn has come; afterwards its outcome is unknown."""
_READERS: Final = 16
_WRITERS: Final = 16


class FilesystemConfigBackend:
    """Bundles in files: `<root>/<label>/<application>-<profile>.{yaml,yml,json,properties}`.

    A file without a profile, `<application>.yaml`, is for every profile (contract §3.3). A fetch
    opens the files of its own bundle only and sees changes made by hand at once. A save writes
    the file that a fetch reads, in its format, or a new `.yaml`; comments are not kept. The
    version of a bundle is the SHA-256 digest of its file. All file access happens in threads;
    writers take turns, across processes too. The root must exist. The directory of a label is
    made with its first bundle and goes with its last file.

    Args:
        root: The directory of all.
        flat_label: When the files lie in the root itself, as in many Spring repositories: the
            label they have. There is no other then, and `orders-default.yml` counts only when
            the profile `default` is asked for.

    Raises:
        InvalidConfigKeyError: `flat_label` is not acceptable.
        UnsupportedOperationError: The operating system lacks what this store needs, as Windows
            does.
    """

    has_base_bundles: Final = True

    def __init__(self, root: str | os.PathLike[str], *, flat_label: str | None = None) -> None:
        check_platform()
        if flat_label is not None:
            check_name("label", flat_label)
        self._files = BundleFiles(Path(root), flat_label=flat_label)
        self.default_is_base: Final = flat_label is None
        self._readers = Threads(_READERS, name="pyfly-config-read")
        self._writers = Threads(_WRITERS, name="pyfly-config-save")
        self._reads = Reads(self._readers, seconds=READ_SECONDS)
        self._turns = Turns()
        self._writes: set[asyncio.Future[Any]] = set()
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `file:///absolute/directory` or `file:relative/directory`.

        With `?layout=flat` the files lie in the directory itself, under the label `main`, or
        the one of `&label=`.

        Raises:
            BackendLookupError: The URL names a host, has no path or another query.
            InvalidConfigKeyError: The label is not acceptable.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        layout = options.pop("layout", "labels")
        label = options.pop("label", DEFAULT_LABEL) if layout == "flat" else None
        if (
            parts.netloc not in {"", "localhost"}
            or not parts.path
            or options
            or layout not in {"flat", "labels"}
        ):
            raise BackendLookupError(
                "a file: URL is written file:///absolute/directory or file:relative/directory, "
                "with ?layout=flat when the files lie in it without directories for labels"
            )
        return cls(unquote(parts.path), flat_label=label)

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return this store if it has an ability: on a read-only file system none that writes."""
        if kind in {SupportsConditionalSave, SupportsDelete} and self._is_read_only():
            return None
        store: object = self
        return store if isinstance(store, kind) else None

    def _is_read_only(self) -> bool:
        try:
            return bool(os.statvfs(self._files.root).f_flag & os.ST_RDONLY)
        except OSError:
            return False  # a root that is not there is an error, for reads and writes

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
        return await self._read_settled(lambda: self._files.fetch_many(keys))

    async def open_resource(self, label: str, path: str) -> ConfigResource | None:
        """Return the plain file at `path` under a label, or `None`.

        Raises:
            InvalidConfigKeyError: The path is not acceptable.
            ConfigFormatError: It is larger than 10 MiB.
        """
        check_name("label", label)
        check_path(path)
        return await self._read_settled(lambda: self._files.open_resource(label, path))

    async def resources(self, label: str) -> AsyncIterator[ResourceEntry]:
        """Yield the plain files under a label, ordered by path; bundles are not among them."""
        check_name("label", label)
        for entry in await self._list(lambda: self._files.resources(label)):
            yield entry

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
        return await self._write(
            source.label, lambda deadline: self._files.save(source, expected, deadline)
        )

    async def delete(
        self,
        key: ConfigKey,
        *,
        expected: Expected,
        author: str | None = None,  # noqa: ARG002 - files have no history to keep it in
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> None:
        """Remove the bundle's files, those shadowed by others first; the label with its last file.

        Raises:
            ConfigConflictError: `expected` does not hold.
            ConfigObstructedError: As `save`.
        """
        await self._write(key.label, lambda deadline: self._files.delete(key, expected, deadline))

    async def list(self) -> builtins.list[ConfigSource]:
        """Return every readable bundle, ordered by label, application, profile."""
        keys = await self._list(self._files.keys)
        found: builtins.list[ConfigSource] = []
        for start in range(0, len(keys), _LISTING_STEP):
            step = keys[start : start + _LISTING_STEP]
            found += await self._list(partial(self._files.sources, step))
        return found

    async def keys(
        self, label: str | None = None, *, after: ConfigKey | None = None
    ) -> AsyncIterator[ConfigEntry]:
        """Yield the name and version of every bundle, ordered by label, application, profile.

        Every file is parsed, so that what is wrong with it is told.
        """
        keys = await self._list(lambda: self._files.keys(label, after))
        for start in range(0, len(keys), _LISTING_STEP):
            step = keys[start : start + _LISTING_STEP]
            for entry in await self._list(partial(self._files.entries, step)):
                yield entry

    async def has_label(self, label: str) -> bool:
        """True if the label is a directory."""
        check_name("label", label)
        return await self._read(lambda: self._files.has_label(label))

    async def labels(self) -> builtins.list[str]:
        """Return the labels that carry a bundle, sorted."""
        return await self._list(self._files.labels)

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
        await self._writers.close(deadline=time.monotonic() + safe_io.WRITE_SECONDS + FLUSH_SECONDS)
        await self._readers.close(deadline=time.monotonic())

    async def _read(self, function: Callable[[], _Result]) -> _Result:
        self._check_open()
        return await self._reads.run(function)

    async def _read_settled(self, function: Callable[[], _Result]) -> _Result:
        """Read again while a file is being written, without keeping a thread waiting."""
        deadline = time.monotonic() + safe_io.SETTLED_SECONDS
        while True:
            began = time.monotonic()
            try:
                return await self._read(function)
            except safe_io.UnsettledFileError as error:
                if began > deadline:
                    raise
                await asyncio.sleep(error.seconds)

    async def _list(self, function: Callable[[], _Result]) -> _Result:
        self._check_open()
        deadline = time.monotonic() + LISTING_SECONDS
        return await self._readers.run(function, deadline=deadline)

    async def _write(self, label: str, function: Callable[[float], _Result]) -> _Result:
        """Run a function that is given its deadline, after the other writers of the label."""
        self._check_open()
        deadline = time.monotonic() + safe_io.WRITE_SECONDS
        write = self._write_in_turn(label, partial(function, deadline), deadline)
        running = asyncio.ensure_future(write)
        self._writes.add(running)
        running.add_done_callback(self._written)
        return await asyncio.shield(running)  # a write that was begun keeps its turn

    def _written(self, write: asyncio.Future[Any]) -> None:
        self._writes.discard(write)
        if not write.cancelled():
            write.exception()  # the caller was told, or has been cancelled

    async def _write_in_turn(
        self, label: str, function: Callable[[], _Result], deadline: float
    ) -> _Result:
        async with self._turns.of(label, deadline=deadline):
            return await self._writers.run(function, deadline=deadline + FLUSH_SECONDS)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendUnavailableError("the backend is closed")
