"""Freezes in a store: read before each write, and changed by one writer at a time."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pyfly.config_core import (
    BackendError,
    ConfigConflictError,
    ConfigFormatError,
    ConfigFrozenError,
    ConfigKey,
    UnsupportedOperationError,
)
from pyfly.config_server.freezes.freeze import Freeze, encode_freezes, freeze_of, parse_freezes
from pyfly.config_server.storage import (
    ConfigBackend,
    RoutingBackend,
    SupportsFileOwners,
    SupportsFreezes,
    ability,
)

__all__ = ["change_freezes", "check_not_frozen", "clear_freezes", "load_freezes"]

_Change: TypeAlias = Callable[[Sequence[Freeze]], Sequence[Freeze]]

_TRIES: Final = 10


async def check_not_frozen(
    backend: ConfigBackend, keys: Iterable[ConfigKey], *, now: datetime | None = None
) -> None:
    """Return if bundles may be written. A store without freezes is not asked.

    The freezes of each store are read once. Those of a `RoutingBackend` are the freezes of the
    store that has the application. Where the name of a file can be read as several bundles, the
    bundle that a listing names for it counts, too, so that no other name leads past a freeze.

    Args:
        backend: The store.
        keys: The bundles to write.
        now: The time; by default that of the clock.

    Raises:
        ConfigFrozenError: A freeze covers one of them.
        BackendError: The freezes cannot be read, so that nothing must be written.
    """
    moment = now or datetime.now(UTC)
    read: dict[int, Sequence[Freeze]] = {}
    for key in keys:
        store = _store_of(backend, key)
        if id(store) not in read:
            keeper = ability(store, SupportsFreezes)
            read[id(store)] = () if keeper is None else await _load(keeper)
        found = await _covering(store, key, read[id(store)], now=moment)
        if found is not None:
            raise ConfigFrozenError(
                str(key), freeze=found.id, reason=found.reason, until=found.until
            )


async def load_freezes(backend: ConfigBackend) -> Sequence[Freeze]:
    """Return the freezes of a store, also those that have ended, in the order they were made.

    Raises:
        UnsupportedOperationError: The store cannot keep freezes.
        BackendError: They cannot be read.
    """
    return await _load(_keeper(backend))


async def change_freezes(
    backend: ConfigBackend,
    change: _Change,
    *,
    author: str | None = None,
    message: str | None = None,
) -> None:
    """Change the freezes of a store; again if another writer changes them meanwhile.

    Args:
        backend: The store.
        change: Returns the freezes after the change, and may be called several times. If it
            returns what it was given, nothing is stored.
        author: The author of the change, for stores with a history.
        message: The reason for the change, for stores with a history.

    Raises:
        ConfigError: As `change`.
        ConfigConflictError: Others keep changing the freezes.
        UnsupportedOperationError: The store cannot keep freezes.
        BackendError: They cannot be read or stored.
    """
    keeper = _keeper(backend)
    for left in reversed(range(_TRIES)):
        text = await _load_text(keeper)
        before = _parsed(text)
        after = [*change(before)]
        if after == [*before]:
            return
        try:
            await keeper.store_freezes(
                encode_freezes(after), expected=text, author=author, message=message
            )
        except ConfigConflictError:
            if not left:
                raise
        else:
            return


async def clear_freezes(
    backend: ConfigBackend, *, author: str | None = None, message: str | None = None
) -> None:
    """Remove all freezes of a store, also those of a text that cannot be read.

    Raises:
        ConfigError: As `change_freezes`.
    """
    keeper = _keeper(backend)
    text = await keeper.load_freezes()
    if text is not None:
        await keeper.store_freezes(
            encode_freezes(()), expected=text, author=author, message=message
        )


async def _covering(
    store: ConfigBackend, key: ConfigKey, freezes: Sequence[Freeze], *, now: datetime
) -> Freeze | None:
    """Return the freeze that covers a bundle, or the one that a listing names for its file."""
    in_force = [one for one in freezes if one.is_in_force(now)]
    found = freeze_of(in_force, key, now=now)
    files = ability(store, SupportsFileOwners) if in_force and found is None else None
    if files is None:
        return found
    [owners] = await files.owners([key])
    covering = (freeze_of(in_force, owner, now=now) for owner in owners)
    return next((one for one in covering if one is not None), None)


def _store_of(backend: ConfigBackend, key: ConfigKey) -> ConfigBackend:
    return backend.store_of(key.application) if isinstance(backend, RoutingBackend) else backend


def _keeper(backend: ConfigBackend) -> SupportsFreezes:
    found = ability(backend, SupportsFreezes)
    if found is None:
        raise UnsupportedOperationError(type(backend).__name__, "freezes, or is read-only")
    return found


async def _load(keeper: SupportsFreezes) -> Sequence[Freeze]:
    return _parsed(await _load_text(keeper))


async def _load_text(keeper: SupportsFreezes) -> str | None:
    try:
        return await keeper.load_freezes()
    except ConfigFormatError as error:
        raise _unreadable(error) from error


def _parsed(text: str | None) -> Sequence[Freeze]:
    try:
        return parse_freezes(text)
    except ConfigFormatError as error:
        raise _unreadable(error) from error


def _unreadable(error: ConfigFormatError) -> BackendError:
    return BackendError(
        f"the freezes of the store cannot be read, so nothing is written: {error}; mend the text, "
        "or remove all freezes: pyfly-config unfreeze STORE --all"
    )
