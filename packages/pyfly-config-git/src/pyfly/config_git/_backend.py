"""The backend that keeps bundles in a Git repository."""

import asyncio
import builtins
from collections.abc import Sequence
from functools import partial
from typing import Final, Self

from pyfly.config_core import BackendUnavailableError, ConfigKey
from pyfly.config_core.limits import DEFAULT_PAGE_ROWS
from pyfly.config_git._history import BundleHistory
from pyfly.config_git._location import GitLocation, check_location, parse_url
from pyfly.config_git._mirror import Mirror
from pyfly.config_git._refresher import Refresher
from pyfly.config_git._tree import GitTree
from pyfly.config_server.files import StoreLimits, TextStore
from pyfly.config_server.storage import (
    ConfigSnapshot,
    ConfigSource,
    ConfigVersion,
    RequestedNames,
    check_limit,
)

LIMITS: Final = StoreLimits(read=60.0, listing=300.0, wait=20.0, write=60.0)
_TRIES: Final = 5


class GitConfigBackend(TextStore):
    """Bundles in the files of a Git repository. A label is a branch, a tag or a commit.

    The store has a bare clone of its own, in a directory of this user, which all processes share.
    It is fetched in the background, every `refresh` seconds; reads never wait for the remote. If
    the remote cannot be reached, the last state is served, and `changes_since` raises
    `BackendStaleError`. All bundles of one read come from one commit, which is the version of a
    snapshot. The version of a bundle is the object id of its file: equal bytes have an equal
    version.

    Saves need `write=true` in the URL. Each is a commit, which is pushed before the save returns.
    A save that finds its branch moved is repeated on the new commit, if its condition still holds.

    Args:
        location: The repository, layout and options.

    Raises:
        BackendLookupError: The location is not acceptable.
    """

    def __init__(self, location: GitLocation) -> None:
        self._location = check_location(location)
        self._mirror = Mirror(location)
        self._refresher = Refresher(self._mirror, interval=location.refresh)
        self._files = GitTree(self._mirror, self._refresher)
        super().__init__(self._files, location.layout, limits=LIMITS, name="pyfly-config-git")
        self._history = BundleHistory(self._files, location.layout)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `git+https://host/path`, `git+ssh:`, `git+file:`, with `?refresh=` and more.

        Nothing is fetched yet.

        Raises:
            BackendLookupError: The URL is malformed.
            InvalidConfigKeyError: A profile is not acceptable.
        """
        return cls(parse_url(url))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._location.address!r})"

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        """Return what `fetch` returns for each key, and the commit that they come from.

        For keys of several labels, the version has the commits of all, separated by commas.
        """
        return await self.run(partial(self._snapshot, keys, None))

    async def fetch_requested(
        self, keys: Sequence[ConfigKey], names: RequestedNames
    ) -> ConfigSnapshot:
        """Return bundles as a request for `names` finds them, and their commit.

        Raises:
            ConfigError: As in `TextStore`.
        """
        return await self.run(partial(self._snapshot, keys, names))

    def _snapshot(
        self, keys: Sequence[ConfigKey], names: RequestedNames | None, *, deadline: float
    ) -> ConfigSnapshot:
        """Read all in one call of a thread, again if the repository has changed meanwhile."""
        labels = dict.fromkeys(key.label for key in keys)
        for _ in range(_TRIES):
            refs = self._files.refs(deadline=deadline)
            found = [self._files.commit(label, deadline=deadline) for label in labels]
            sources = self.read(keys, names, deadline=deadline)
            if self._files.refs(deadline=deadline) is refs:  # the same as long as nothing changes
                commits = [commit for commit in found if commit is not None]
                return ConfigSnapshot(sources=tuple(sources), version=",".join(commits) or None)
        raise BackendUnavailableError("the repository keeps changing")

    async def check(self) -> None:
        """Return if git is new enough and there is a state of the repository.

        The first fetch of a clone is waited for, however long it takes.
        """
        while True:
            try:
                return await super().check()
            except BackendUnavailableError:
                if not self._refresher.is_first_under_way:
                    raise

    async def history(
        self, key: ConfigKey, *, limit: int = DEFAULT_PAGE_ROWS, before: str | None = None
    ) -> builtins.list[ConfigVersion]:
        """Return at most `limit` commits that changed a file of the bundle, newest first.

        The cost depends on the length of the history, too.

        Raises:
            ConfigNotFoundError: `before` is not a version of the bundle.
            ValueError: `limit` is not from 1 to 1,000.
        """
        check_limit(limit)
        return await self.run(partial(self._history.page, key, limit=limit, before=before))

    async def fetch_version(self, key: ConfigKey, version: str) -> ConfigSource | None:
        """Return the bundle as it was at `version`, or `None`."""
        return await self.run(partial(self._history.load, key, version))

    async def refetch(self) -> None:
        """Fetch soon. The call does not wait for it; calls before it begins share it.

        Raises:
            BackendUnavailableError: The store is closed.
        """
        await self.run(self._ask)

    def _ask(self, *, deadline: float) -> None:
        del deadline
        self._refresher.ask()

    async def aclose(self) -> None:
        """Wait for a running save, end a running fetch, and refuse further calls."""
        self._refresher.close()
        await super().aclose()
        await asyncio.to_thread(self._mirror.close)
