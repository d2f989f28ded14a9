"""`IssuedTokens`: principals by the JSON Web Tokens of issuers, whose keys are kept up to date."""

import asyncio
import contextlib
import hashlib
import logging
import time
from typing import TYPE_CHECKING, Final

from pyfly.config_core import BackendUnavailableError, ConfigError, WebTokensNotInstalledError
from pyfly.config_server.access.access_file import AccessTable, TokenGrant
from pyfly.config_server.access.followed_file import FollowedAccessFile
from pyfly.config_server.access.issuers import FETCH_SECONDS, Issuer
from pyfly.config_server.access.web_tokens import (
    MAX_TOKEN_BYTES,
    UnknownKeyError,
    WebTokenError,
    check_times,
    read_token,
)
from pyfly.config_server.files.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyfly.config_server.access.web_keys import WebKeys

__all__ = ["IssuedTokens", "IssuerKeys", "load_keys"]

_LOG: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.5
_REFRESH_SECONDS: Final = 300.0
_AGAIN_SECONDS: Final = 30.0
"""The least time between two fetches: after a failure, or for a key id that nobody knows."""
_KEPT_SECONDS: Final = 86_400.0
"""How long keys stay in force that cannot be fetched again."""
_MAX_FOUND: Final = 10_000
"""Tokens that are remembered."""
_FOUND_SECONDS: Final = 300.0
_THREADS: Final = 2


def load_keys(issuer: Issuer) -> "WebKeys":
    """Read the keys of an issuer. Blocks.

    Raises:
        IssuerKeysError: They cannot be read.
        ConfigFormatError: They are no key set, or none of them can be used.
        WebTokensNotInstalledError: `pyfly-config-core[oidc]` is not installed.
    """
    return _parser()(_read(issuer), issuer.location)


def _read(issuer: Issuer) -> bytes:
    # most servers have no issuers, and the HTTP client of Python takes long to import
    from pyfly.config_server.access.key_sources import read_key_set  # noqa: PLC0415

    return read_key_set(issuer)


def _parser() -> "Callable[[bytes, str], WebKeys]":
    try:
        from pyfly.config_server.access.web_keys import parse_keys  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"jwt", "cryptography"}:
            raise
        raise WebTokensNotInstalledError from error
    return parse_keys


class IssuerKeys:
    """The keys of an issuer in force. Those before stay for a day when others cannot be fetched.

    A key set without any usable key counts as one that cannot be fetched: an issuer that publishes
    it by mistake locks nobody out at once.
    """

    def __init__(self, issuer: Issuer) -> None:
        self.issuer: Final = issuer
        self.keys: WebKeys | None = None
        self.problem: str | None = None
        """Why the newest keys are not in force; `None` if they are."""
        self._data: bytes | None = None
        self._began = -_REFRESH_SECONDS
        self._confirmed = float("-inf")
        self._due = float("-inf")

    def is_due(self, now: float) -> bool:
        """True if the keys are to be fetched, at a time of the monotonic clock."""
        return now >= self._due

    def want(self) -> None:
        """Have the keys fetched soon, because a token names another one."""
        self._due = min(self._due, self._began + _AGAIN_SECONDS)

    async def fetch(self, threads: Threads) -> bool:
        """Fetch the keys; return true if others are in force now."""
        now = time.monotonic()
        self._began, self._due = now, now + _REFRESH_SECONDS
        try:
            parse = _parser()
            data = await threads.run(lambda: _read(self.issuer), deadline=now + FETCH_SECONDS)
            if data == self._data and self.problem is None:
                self._confirmed = now
                return False
            keys = parse(data, self.issuer.location)
        except BackendUnavailableError:
            return self._fail(f"the keys of issuer {self.issuer.name} were not read in time")
        except ConfigError as error:
            return self._fail(str(error))
        if self.problem is not None or self._data is not None:
            _LOG.info("issuer %s: %d keys in force", self.issuer.name, len(keys))
        self.keys, self.problem, self._confirmed = keys, None, now
        is_new, self._data = data != self._data, data
        return is_new

    def _fail(self, problem: str) -> bool:
        """Note why there are no new keys; return true if the old ones are too old now."""
        self._due = self._began + _AGAIN_SECONDS
        is_over = self.keys is not None and self._began - self._confirmed > _KEPT_SECONDS
        if is_over:
            self.keys = self._data = None
        if is_over or problem != self.problem:
            _LOG.error("%s; %s", problem, self._consequence)
        self.problem = problem
        return is_over

    @property
    def _consequence(self) -> str:
        return (
            "its tokens are refused"
            if self.keys is None
            else "the keys before stay in force for a day"
        )


class IssuedTokens:
    """Finds principals by the tokens of the issuers that an access file names.

    Tokens that were accepted are remembered by their SHA-256, for five minutes at most, until the
    file or the keys of an issuer change. Keys are fetched by a task, every five minutes; for a key
    id that nobody knows and after a failure at most once in 30 s. No request waits for them. Keys
    that could not be fetched again for a day are in force no longer.

    Args:
        file: The access file; issuers that it names later count, too.

    Raises:
        WebTokensNotInstalledError: It names issuers, and `pyfly-config-core[oidc]` is missing.
    """

    def __init__(self, file: FollowedAccessFile) -> None:
        self._file = file
        self._table: AccessTable | None = None
        self._issuers: dict[str, IssuerKeys] = {}
        self._found: dict[bytes, TokenGrant] = {}
        self._fetching: dict[IssuerKeys, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._threads: Threads | None = None
        if file.table.issuers:
            _parser()
        self._take()

    @property
    def problem(self) -> str | None:
        """Why the newest keys of an issuer are not in force; `None` if all are."""
        return next((one.problem for one in self._issuers.values() if one.problem), None)

    def start(self) -> None:
        """Begin to fetch keys in the running event loop, unless this has begun."""
        if self._task is None or self._task.done():
            self._threads = self._threads or Threads(_THREADS, name="issuer-keys")
            self._task = asyncio.create_task(self._follow(self._threads))

    async def aclose(self) -> None:
        """Stop fetching keys."""
        tasks = [*self._fetching.values(), *([] if self._task is None else [self._task])]
        self._task = None
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._threads is not None:
            await self._threads.close(deadline=time.monotonic())
            self._threads = None

    def find(self, token: bytes, *, now: float) -> TokenGrant | None:
        """Return the principal that a token belongs to, with its name and its end.

        Args:
            token: The token.
            now: The time in seconds since 1970.

        Returns:
            `None` if the token is refused, or belongs to no principal.
        """
        self._take()
        if not self._issuers or len(token) > MAX_TOKEN_BYTES:
            return None
        digest = hashlib.sha256(token).digest()
        known = self._found.get(digest)
        if known is not None and now < known.until:
            return known
        try:
            grant = self._verified(token, now)
        except WebTokenError as error:
            _LOG.debug("a token is refused: %s", error)
            return None
        if len(self._found) >= _MAX_FOUND:
            self._found.clear()
        self._found[digest] = grant
        return grant

    def _verified(self, text: bytes, now: float) -> TokenGrant:
        """Return the principal of a token that is right in every way.

        Raises:
            WebTokenError: It is not.
        """
        token = read_token(text)
        source = self._issuers.get(token.issuer) if isinstance(token.issuer, str) else None
        if source is None:
            raise WebTokenError("its issuer is none of the access file")
        end = check_times(token.claims, now=now)
        if source.keys is None:
            raise WebTokenError(f"the keys of issuer {source.issuer.name} are not known yet")
        try:
            source.keys.verify(token, source.issuer)
        except UnknownKeyError:
            source.want()
            raise
        entry = self._file.table.find_subject(source.issuer.name, token.claims)
        if entry is None:
            raise WebTokenError("its claims fit no principal")
        if not entry.is_usable(now):
            raise WebTokenError(f"the principal {entry.name} is not active")
        until = min(float(end), now + _FOUND_SECONDS, entry.until)
        return TokenGrant(name=entry.name.encode(), principal=entry.principal, until=until)

    def _take(self) -> None:
        """Take the issuers of the access file, if they may be others."""
        table = self._file.table
        if table is self._table:
            return
        self._table, self._found = table, {}
        before = {one.issuer: one for one in self._issuers.values()}
        self._issuers = {
            issuer.issuer: before.get(issuer) or IssuerKeys(issuer)
            for issuer in table.issuers.values()
        }

    async def _follow(self, threads: Threads) -> None:
        while True:
            self._take()
            now = time.monotonic()
            for source in self._issuers.values():
                if source.is_due(now) and source not in self._fetching:
                    self._fetching[source] = asyncio.create_task(self._fetch(source, threads))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _fetch(self, source: IssuerKeys, threads: Threads) -> None:
        try:
            if await source.fetch(threads):
                self._found.clear()
        except Exception:  # noqa: BLE001 - it is tried again
            _LOG.exception("fetching the keys of issuer %s failed", source.issuer.name)
        finally:
            del self._fetching[source]
