"""Failed sign-ins: logged without the credential, and slowed. A right credential never waits."""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pyfly.config_server.access.principal import Principal
from pyfly.config_server.http.authentication import (
    Authenticator,
    BackgroundAuthenticator,
    HeaderAuthenticator,
    NamingAuthenticator,
    decode_basic,
)
from pyfly.config_server.http.errors import HttpError
from pyfly.config_server.http.messages import HttpRequest

__all__ = ["SlowedAuthenticator", "claimed_name"]

_LOG: Final = logging.getLogger(__name__)
_FREE: Final = 5
"""Failures in a row that are answered at once."""
_SECONDS_EACH: Final = 6.0
"""After this time a failure is forgotten."""
_HIGHEST: Final = 20.0
"""More failures than these are not remembered."""
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 5.0
_MAX_WAITING: Final = 256
_MAX_KEYS: Final = 10_000
_LONGEST_NAME: Final = 128
_LOG_SECONDS: Final = 60.0
_UNAUTHORIZED: Final = 401


@dataclass(slots=True)
class _Failures:
    """The failures of one address or one name."""

    level: float = 0.0
    """Their number, less one for every `_SECONDS_EACH`."""
    at: float = 0.0
    """The time of the last one."""

    def add(self, now: float) -> float:
        """Count a failure; return their number."""
        self.level = min(max(0.0, self.level - (now - self.at) / _SECONDS_EACH) + 1, _HIGHEST)
        self.at = now
        return self.level


@dataclass(slots=True)
class _Reported:
    """A line in the log, and what was not logged since."""

    at: float
    suppressed: int = 0


class SlowedAuthenticator:
    """An authenticator that logs failed sign-ins, and answers many of them late.

    Failures are counted by address and by name. After five in a row an answer waits, twice as long
    each time, at most five seconds; a failure is forgotten after six seconds. If too many requests
    wait, further failures are 429. The credential is checked before all this, so that a right one
    is never slowed or refused, whatever others do. Requests without a credential do not count.

    Args:
        auth: Finds the principals.
        clock: Returns seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        auth: Authenticator,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._auth = auth
        self._by_header = auth if isinstance(auth, HeaderAuthenticator) else None
        self._background = auth if isinstance(auth, BackgroundAuthenticator) else None
        self._clock = clock
        self._sleep = sleep
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._reports: OrderedDict[tuple[str, str], _Reported] = OrderedDict()
        self._waiting = 0

    @property
    def scheme(self) -> str:
        """The scheme of the authenticator."""
        return self._auth.scheme

    @property
    def problem(self) -> str | None:
        """The problem of the authenticator; `None` if there is none."""
        return None if self._background is None else self._background.problem

    def start(self) -> None:
        """Start the authenticator."""
        if self._background is not None:
            self._background.start()

    async def aclose(self) -> None:
        """Stop the authenticator."""
        if self._background is not None:
            await self._background.aclose()

    def principal_of(self, authorization: bytes | None) -> Principal | None:
        """Return the principal of a header, as the authenticator does."""
        return None if self._by_header is None else self._by_header.principal_of(authorization)

    def has_name(self, name: str) -> bool:
        """True if the authenticator knows a principal of this name."""
        return isinstance(self._auth, NamingAuthenticator) and self._auth.has_name(name)

    async def authenticate(self, request: HttpRequest) -> Principal:
        """Return the principal, as the authenticator does.

        Raises:
            HttpError: As the authenticator, after a while if there were failures before; 429 if
                too many failures wait.
        """
        try:
            return await self._auth.authenticate(request)
        except HttpError as error:
            credential = request.header(b"authorization")
            is_identity = request.identity is not None
            if error.status == _UNAUTHORIZED and (credential or is_identity):
                name = None if is_identity else claimed_name(credential or b"")
                shown = "with an identity" if is_identity else self._shown(name)
                await self._failed(request.client, name, shown)
            raise

    async def _failed(self, address: str | None, name: str | None, shown: str) -> None:
        now = self._clock()
        self._report(address or "an unknown address", shown, now)
        levels = [
            self._count(kind, key, now)
            for kind, key in (("address", address), ("name", name))
            if key is not None
        ]
        doublings = math.ceil(max(levels, default=0)) - _FREE - 1
        if doublings < 0:
            return
        if self._waiting >= _MAX_WAITING:
            raise HttpError(
                429,
                "too-many-failures",
                "too many failed sign-ins; a right credential is still accepted",
                headers=((b"retry-after", b"%d" % _LONGEST_DELAY),),
            )
        self._waiting += 1
        try:
            await self._sleep(min(_FIRST_DELAY * 2**doublings, _LONGEST_DELAY))
        finally:
            self._waiting -= 1

    def _count(self, kind: str, key: str, now: float) -> float:
        failures = self._failures.pop((kind, key), None) or _Failures()
        self._failures[kind, key] = failures
        if len(self._failures) > _MAX_KEYS:
            self._failures.popitem(last=False)
        return failures.add(now)

    def _shown(self, name: str | None) -> str:
        """Return how to call the sender. An unknown name may be a misplaced secret."""
        if name is None:
            return "with a token"
        return f"as {name!r}" if self.has_name(name) else "under an unknown name"

    def _report(self, address: str, shown: str, now: float) -> None:
        """Log a failure, the same one at most once in a minute."""
        before = self._reports.get((address, shown))
        if before is not None and now - before.at < _LOG_SECONDS:
            before.suppressed += 1
            return
        more = f" (and {before.suppressed} times before)" if before and before.suppressed else ""
        _LOG.warning("failed sign-in from %s %s%s", address, shown, more)
        self._reports.pop((address, shown), None)
        self._reports[address, shown] = _Reported(now)
        if len(self._reports) > _MAX_KEYS:
            self._reports.popitem(last=False)


def claimed_name(credential: bytes) -> str | None:
    """Return the user name of a Basic credential, cut; `None` for any other credential."""
    scheme, _, payload = credential.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    name = decode_basic(payload.strip()).partition(b":")[0]
    return name[:_LONGEST_NAME].decode("utf-8", "backslashreplace")
