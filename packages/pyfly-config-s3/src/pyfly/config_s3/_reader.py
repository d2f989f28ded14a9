"""Reading bundles: which objects exist, and what they say. Several at a time."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Final, Protocol, TypeVar

from pyfly.config_core import BackendUnavailableError, ConfigFormatError, ConfigKey
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_s3._client import Bucket
from pyfly.config_s3._looks import Looks
from pyfly.config_s3._names import Places, version_of
from pyfly.config_s3._naming import source_of
from pyfly.config_s3._objects import StoredName, StoredObject, StoredVersion
from pyfly.config_server.files.threads import Threads
from pyfly.config_server.formats.text import parse_documents
from pyfly.config_server.storage import ConfigSource

_LOG: Final = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_Result_co = TypeVar("_Result_co", covariant=True)

DEADLINE_SECONDS: Final = 5.0
"""For a whole operation, repetitions and the wait for a thread included."""

_TRIES: Final = 3
_WARNED: Final = 1000


class _WithDeadline(Protocol[_Result_co]):
    """A blocking function that ends at a time of the monotonic clock."""

    def __call__(self, *, deadline: float) -> _Result_co: ...


class BundleReader:
    """Reads bundles in the threads it is given.

    Args:
        bucket: Where from.
        places: How names are made.
        threads: For the calls, which block.
        max_staleness: For so many seconds it is not looked again which objects exist.
    """

    def __init__(
        self, bucket: Bucket, places: Places, threads: Threads, *, max_staleness: float
    ) -> None:
        self._bucket = bucket
        self._places = places
        self._threads = threads
        self._looks = Looks(self._names, max_staleness=max_staleness)
        self._warned: set[str] = set()

    async def find(self, key: ConfigKey, *, file_names: Sequence[str]) -> ConfigSource | None:
        """Return what the first of several files holds, `None` when there is none of them.

        What exists is learnt from a listing. The object that was used last time is read while
        that is asked, so that most often there is nothing left to wait for.

        Args:
            key: The name of the bundle.
            file_names: In the order of reading.
        """
        if not self._places.has(key.label):
            return None
        listed = self._listed_with(key)
        async with _deadline() as deadline:
            guess = self._first(key, file_names, self._looks.last(listed))
            guessed = None
            if guess is not None:
                guessed = asyncio.ensure_future(self._load(key, guess, deadline))
            try:
                for _ in range(_TRIES):
                    name = self._first(key, file_names, await self._looks.names(listed))
                    if name is None:
                        return None
                    if guessed is not None and name == guess:
                        found, guessed = await guessed, None
                    else:
                        found = await self._load(key, name, deadline)
                    if found is not None:
                        return found
                    self._looks.forget(listed)  # it has gone since
            finally:
                if guessed is not None:
                    guessed.add_done_callback(_drop)
                    guessed.cancel()
        raise BackendUnavailableError(f"the listing and the objects of {key} do not agree")

    def forget(self, key: ConfigKey) -> None:
        """Look again: the bundle was written by this process."""
        self._looks.forget(self._listed_with(key))

    def _listed_with(self, key: ConfigKey) -> str:
        """Return what the names begin with that are listed together with this bundle."""
        return self._places.of(key.label, key.application + ("." if key.is_base else "-"))

    async def load(
        self, key: ConfigKey, file_name: str, version_id: str | None = None
    ) -> ConfigSource | None:
        """Return what a file holds, or has held at a version, `None` when it does not exist."""
        async with _deadline() as deadline:
            return await self._load(key, file_name, deadline, version_id)

    async def pages(self, begin: str, *, deep: bool) -> AsyncIterator[list[StoredName]]:
        """Yield the names that begin with a text, page by page; each has a deadline."""
        token: str | None = None
        while True:
            page, token = await self.run(partial(self._bucket.names, begin, deep=deep, token=token))
            yield page
            if token is None:
                return

    async def versions(self, begin: str) -> list[StoredVersion]:
        """Return every version of what begins with a text, those of one name newest first."""
        found: list[StoredVersion] = []
        after: tuple[str, str] | None = None
        while True:
            page, after = await self.run(partial(self._bucket.versions, begin, after=after))
            found += page
            if after is None:
                return found

    async def run(self, function: _WithDeadline[_Result]) -> _Result:
        """Return what a function returns that takes a deadline, in a thread."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        return await self._threads.run(partial(function, deadline=deadline), deadline=deadline)

    async def _names(self, begin: str) -> frozenset[str]:
        rows = [row async for page in self.pages(begin, deep=False) for row in page]
        return frozenset(row.name for row in rows)

    def _first(
        self, key: ConfigKey, file_names: Sequence[str], present: frozenset[str]
    ) -> str | None:
        found = [name for name in file_names if self._places.of(key.label, name) in present]
        if len(found) > 1:
            ignored = ", ".join(found[1:])
            self._warn(f"{key.label}/{found[0]} is used; ignored are {ignored}")
        return found[0] if found else None

    def _warn(self, text: str) -> None:
        """Say it once."""
        if text not in self._warned:
            if len(self._warned) >= _WARNED:
                self._warned.clear()
            self._warned.add(text)
            _LOG.warning(text)

    async def _load(
        self, key: ConfigKey, file_name: str, deadline: float, version_id: str | None = None
    ) -> ConfigSource | None:
        def load() -> ConfigSource | None:
            where = f"{key.label}/{file_name}"
            try:
                stored = self._bucket.read(
                    self._places.of(key.label, file_name),
                    limit=MAX_DOCUMENT_BYTES,
                    deadline=deadline,
                    version_id=version_id,
                )
                return None if stored is None else _source(key, file_name, stored)
            except ConfigFormatError as error:
                raise error.at(where) from error.__cause__

        return await self._threads.run(load, deadline=deadline)


def _source(key: ConfigKey, file_name: str, stored: StoredObject) -> ConfigSource:
    return source_of(
        key,
        name=file_name,
        version=version_of(stored.etag, stored.version_id),
        documents=parse_documents(stored.data, suffix=PurePosixPath(file_name).suffix),
        size=len(stored.data),
    )


def _drop(guessed: asyncio.Task[ConfigSource | None]) -> None:
    """Take note of a failure that nobody needs to hear of."""
    if not guessed.cancelled():
        guessed.exception()


@contextlib.asynccontextmanager
async def _deadline() -> AsyncGenerator[float]:
    """Bound all that happens inside; the value is the end, of the monotonic clock."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield time.monotonic() + DEADLINE_SECONDS
    except TimeoutError:
        raise BackendUnavailableError("the store did not answer in time") from None
