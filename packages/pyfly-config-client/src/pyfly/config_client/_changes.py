"""What a client tells its program: the configuration in use, its changes, and its status.

A `ConfigurationHolder` is the one place that replaces the configuration of a client, after a
fetch, a refresh or a request of a watcher. No input or output.
"""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple, TypeVar

from pyfly.config_client._disk import Snapshot
from pyfly.config_client._forks import forget_after_fork
from pyfly.config_client._properties import LoadedFrom, Properties
from pyfly.config_client.errors import ConfigClientError, InvalidPayloadError, printable
from pyfly.config_core.property_names import canonical

T = TypeVar("T")

_LOG: Final = logging.getLogger("pyfly.config_client")

_DAY: Final = 86_400
_UNITS: Final = ((_DAY, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class Loaded(NamedTuple):
    """An accepted configuration, and the response it was read from."""

    properties: Properties
    snapshot: Snapshot
    waited: bool = False
    """True if the server holds requests until something changes (RFC 7240)."""
    only_shared: bool = False
    """True if nothing is stored for the application itself."""

    def confirmed(self, by: Snapshot, stale: float | None, *, waited: bool) -> "Loaded":
        """Return the same configuration, as the server has confirmed it."""
        return Loaded(
            properties=self.properties.confirmed(by.url, stale),
            snapshot=by._replace(body=self.snapshot.body),
            waited=waited,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A new configuration, and which keys differ from the previous one. Shows no values."""

    properties: Properties
    previous: Properties = field(repr=False)
    added: frozenset[str]
    removed: frozenset[str]
    changed: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        """All keys that differ."""
        return self.added | self.removed | self.changed

    def touches(self, prefix: str) -> bool:
        """True if a key that differs is `prefix`, in any spelling, or lies below it."""
        start = canonical(prefix)
        return not start or any(f"{canonical(key)}.".startswith(f"{start}.") for key in self.keys)


def compare(previous: Properties, properties: Properties) -> Change:
    """Return the differences; `1`, `1.0`, `True` and `"1"` are different values.

    Keys are spelled as in the new configuration; a different spelling alone is no change. A value
    with placeholders that cannot be resolved differs from every value that can be read.
    """
    before, after = previous.entries(), properties.entries()
    return Change(
        properties=properties,
        previous=previous,
        added=frozenset(after[name][0] for name in after.keys() - before.keys()),
        removed=frozenset(before[name][0] for name in before.keys() - after.keys()),
        changed=frozenset(
            after[name][0]
            for name in before.keys() & after.keys()
            if _differ(before[name][1], after[name][1])
        ),
    )


def _differ(before: object, after: object) -> bool:
    return before != after or type(before) is not type(after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A failed request, or a response that was rejected. Shows no values."""

    text: str
    at: datetime
    """In UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatus:
    """What a client uses, and how its last requests went. Shows no values."""

    loaded_from: LoadedFrom | None = None
    """Where the configuration in use was loaded from; `None` before the first fetch."""
    version: str | None = None
    """The version of the configuration in use, if the server sends one."""
    etag: str | None = None
    """The entity tag of the configuration in use, if the server sends one."""
    last_contact: datetime | None = None
    """When the server last sent or confirmed the configuration in use, in UTC."""
    stale_for: float | None = None
    """Seconds since the server could last read its store; `None` if it can."""
    rejected: int = 0
    """How many responses were rejected: invalid, refused by `validate`, much smaller, or behind."""
    last_rejection: Problem | None = None
    """The latest of these."""
    last_error: Problem | None = None
    """The latest failed request, also after the server has responded again."""
    failing: bool = False
    """True if the latest request failed."""

    def differs(self, other: "ClientStatus") -> bool:
        """True if more differs than the time of the last contact and the seconds of staleness."""
        return _essence(self) != _essence(other)


def _essence(status: ClientStatus) -> tuple[ClientStatus, bool]:
    return replace(status, last_contact=None, stale_for=None), status.stale_for is not None


class ConfigurationHolder:
    """The configuration in use, and the functions to call when it changes.

    May be used from several threads. Functions are called one after the other, never at the same
    time, in the thread that brought the news; news that arrive meanwhile follow. What a function
    raises is logged without its text, which may show values.

    Args:
        on_use: Called before these functions, at once, for every configuration that the server
            did not only confirm.
    """

    def __init__(self, on_use: Callable[[], object]) -> None:
        self._on_use = on_use
        self.on_change: Final[list[Callable[[Change], object]]] = []
        self.on_status: Final[list[Callable[[ClientStatus], object]]] = []
        self._loaded: Loaded | None = None
        self._delivered: Loaded | None = None
        self._status = ClientStatus()
        self._delivered_status = self._status
        self.after_fork()
        _holders.add(self)

    def after_fork(self) -> None:
        """Forget what another thread was doing, because a forked process does not have it."""
        self._lock = threading.Lock()
        self._delivering = False

    @property
    def loaded(self) -> Loaded | None:
        """The configuration in use; `None` before the first fetch."""
        return self._loaded

    @property
    def status(self) -> ClientStatus:
        """The status at this moment."""
        with self._lock:
            loaded, status = self._loaded, self._status
        stale_for = None if loaded is None else loaded.properties.stale_for
        return replace(status, stale_for=stale_for)

    def use(self, loaded: Loaded, known: Loaded | None) -> bool:
        """Use a configuration, and tell the program what is new.

        False if another one came into use than the one that was known when it was requested. The
        other one may be newer, so it stays.
        """
        with self._lock:
            before = self._loaded
            if _is_superseded(before, known, loaded):
                return False
            self._loaded = loaded
            if loaded is not before:  # otherwise the server did not confirm it
                self._status = _with_contact(self._status, loaded)
        _log_staleness(before, loaded)
        if before is None or before.snapshot.body is not loaded.snapshot.body:
            self._on_use()
        self._deliver()
        return True

    def failed(self, error: ConfigClientError) -> None:
        """Note a request that failed, or whose response was rejected."""
        problem = Problem(text=str(error).partition("\n")[0], at=_now())
        with self._lock:
            status = replace(self._status, last_error=problem, failing=True)
            if isinstance(error, InvalidPayloadError):
                status = replace(status, last_rejection=problem, rejected=status.rejected + 1)
            self._status = status
        self._deliver()

    def _deliver(self) -> None:
        with self._lock:
            if self._delivering:
                return  # the thread that delivers goes on until there is no news
            self._delivering = True
        try:
            while (calls := self._next_calls()) is not None:
                for call in calls:
                    call()
        except BaseException:  # an interrupt, which may come at any moment
            with self._lock:
                self._delivering = False
            raise

    def _next_calls(self) -> list[Callable[[], object]] | None:
        """Return what to call now; `None` if there is no more news."""
        with self._lock:
            before, loaded = self._delivered, self._loaded
            told, status = self._delivered_status, self._status
            if before is loaded and told is status:
                self._delivering = False
                return None
            self._delivered, self._delivered_status = loaded, status
            on_change, on_status = tuple(self.on_change), tuple(self.on_status)
        calls: list[Callable[[], object]] = []
        change = difference(before, loaded)
        if change is not None:
            _LOG.info(
                "%s: new configuration, %d properties differ",
                change.properties.name,
                len(change.keys),
            )
            calls += [partial(_call, "on_change", function, change) for function in on_change]
        if status.differs(told):
            calls += [partial(_call, "on_status", function, status) for function in on_status]
        return calls


def difference(before: Loaded | None, loaded: Loaded | None) -> Change | None:
    """Return the change between two configurations; `None` if no property differs."""
    if before is None or loaded is None or before.snapshot.body is loaded.snapshot.body:
        return None  # it was only confirmed
    change = compare(before.properties, loaded.properties)
    return change if change.keys else None


def register(functions: list[T], function: T) -> Callable[[], None]:
    """Append a function to a list; return what removes it again."""
    functions.append(function)

    def remove() -> None:
        for place, one in enumerate(functions):
            if one is function:
                del functions[place]
                return

    return remove


def _is_superseded(before: Loaded | None, known: Loaded | None, loaded: Loaded) -> bool:
    """True if the configuration in use is neither the known one nor the one to use."""
    if before is None or before is known:
        return False
    bodies = [loaded.snapshot.body] + ([] if known is None else [known.snapshot.body])
    return before.snapshot.body not in bodies


def _with_contact(status: ClientStatus, loaded: Loaded) -> ClientStatus:
    found = loaded.properties
    return replace(
        status,
        loaded_from=found.loaded_from,
        version=found.version,
        etag=loaded.snapshot.etag,
        last_contact=status.last_contact if found.from_snapshot else _now(),
        stale_for=found.stale_for,
        failing=status.failing and found.from_snapshot,
    )


def _log_staleness(before: Loaded | None, loaded: Loaded) -> None:
    """Log when a server begins and ends to send its last good response."""
    was = None if before is None else before.properties.stale_for
    now = loaded.properties.stale_for
    name = loaded.properties.name
    if was is None and now is not None:
        _LOG.warning(
            "%s: the server cannot read its store; its configuration is %.0f s old", name, now
        )
    elif was is not None and now is None:
        _LOG.info("%s: the server can read its store again", name)


def described(stored: Loaded) -> str:
    """Return a name for a stored configuration: `the snapshot of 10:31 (2 minutes old)`."""
    if stored.properties.loaded_from == "baseline":
        return f"the baseline {printable(stored.properties.place)}"
    saved = stored.snapshot.saved_at
    seconds = max(time.time() - saved, 0.0)
    form = "%H:%M" if seconds < _DAY else "%Y-%m-%d %H:%M"
    unit, name = next((u, n) for u, n in _UNITS if seconds >= u or u == 1)
    count = int(seconds // unit)
    old = f"{count} {name}{'' if count == 1 else 's'} old"
    return f"the snapshot of {time.strftime(form, time.localtime(saved))} ({old})"


def announced(loaded: Loaded) -> Loaded:
    """Log what the service starts with, without values."""
    found = loaded.properties
    _LOG.info(
        "configuration of %s [%s]: %d properties from %s %s, version %s, age %.0f s",
        found.name,
        ",".join(found.profiles),
        len(found),
        found.loaded_from,
        found.place,
        printable(found.version or "unknown"),
        found.age.total_seconds(),
    )
    if loaded.only_shared:
        _LOG.warning("%s", only_shared_warning(found.name, found.profiles))
    return loaded


def only_shared_warning(application: str, profiles: Sequence[str]) -> str:
    """Return the warning that nothing is stored for the application itself."""
    return (
        f"nothing is stored for the application {application!r} with the profiles "
        f"{','.join(profiles)!r}; only properties shared by all applications were found; check "
        "the spelling of the names"
    )


def _call(name: str, function: Callable[[T], object], news: T) -> None:
    try:
        function(news)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the program's own code may raise anything
        # Also `SystemExit`, which would end only the thread of a watcher. The traceback and the
        # text are not logged, because they may show values.
        _LOG.error("%s raised %s; watching continues", name, type(error).__name__)


def _now() -> datetime:
    return datetime.now(UTC)


_holders: "weakref.WeakSet[ConfigurationHolder]" = weakref.WeakSet()


def _after_fork() -> None:
    for holder in list(_holders):
        holder.after_fork()


forget_after_fork(_after_fork)
