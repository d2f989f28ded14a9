"""Writing the changes of one process in batches.

A commit waits for the disk, and the changes of a store are made one after the other. Therefore
changes that arrive during a transaction are written together by the next transaction. The
condition of each change is checked separately, and each caller gets its result after the commit.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigConflictError,
    ConfigKey,
)
from pyfly.config_server.storage import Expected, check_expected
from pyfly.config_sql import _statements as statements
from pyfly.config_sql._database import Database
from pyfly.config_sql._listener import notify

QUEUE_SECONDS: Final = 10.0
"""The wait of a change for earlier changes."""
_MOST_CHANGES: Final = 100
_MOST_TEXT: Final = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PendingChange:
    """A bundle to store or to remove."""

    key: ConfigKey
    expected: Expected
    properties: str | None = field(repr=False)
    """`None` to remove it."""
    author: str | None = None
    message: str | None = None
    asked_at: float = field(default_factory=time.monotonic)
    outcome: "asyncio.Future[int | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future(), repr=False
    )
    """Its version, `None` if there was nothing to do."""


class Writer:
    """Makes the changes of one process, in order of arrival."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[PendingChange] = []
        self._task: asyncio.Task[None] | None = None

    async def make(self, change: PendingChange) -> int | None:
        """Make a change and return its version, `None` if there was nothing to do.

        If the caller is cancelled, the change is made completely or not at all.

        Raises:
            ConfigConflictError: The condition does not hold.
            BackendError: The transaction failed, or this is another event loop than the first.
        """
        self._database.check_open()
        self._database.check_loop()
        self._waiting.append(change)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await change.outcome

    async def _work(self) -> None:
        while changes := self._take():
            try:
                await self._write(changes)
            except Exception as error:  # noqa: BLE001 - raised where the changes were asked for
                for change in changes:
                    _answer(change, error)
            except BaseException:  # the end of the event loop
                for change in [*changes, *self._waiting]:
                    change.outcome.cancel()
                raise

    def _take(self) -> list[PendingChange]:
        """Return the changes to write next, without late and cancelled changes."""
        taken: list[PendingChange] = []
        length = 0
        while self._waiting and len(taken) < _MOST_CHANGES and length < _MOST_TEXT:
            change = self._waiting.pop(0)
            if change.outcome.done():
                continue
            if time.monotonic() - change.asked_at > QUEUE_SECONDS:
                _answer(change, BackendUnavailableError("too many writers; nothing was written"))
                continue
            taken.append(change)
            length += len(change.properties or "")
        return taken

    async def _write(self, changes: Sequence[PendingChange]) -> None:
        async with self._database.writing() as connection:
            last = (await connection.execute(statements.lock_sequence())).scalar_one()
            rows = await connection.execute(statements.current_versions([c.key for c in changes]))
            plan = WritePlan(
                last, {statements.key_of(row): (row.version, row.removed) for row in rows}
            )
            answers = [plan.add(change) for change in changes]
            if plan.revisions:
                await write_plan(connection, plan)
                await notify(connection)
                await connection.commit()
        for change, answer in zip(changes, answers, strict=True):
            _answer(change, answer)


class WritePlan:
    """The rows for several changes, in order. Uses no database.

    Args:
        last: The version of the last change.
        places: For each bundle, its current version, and true if that version removed it.
    """

    def __init__(self, last: int, places: dict[ConfigKey, tuple[int, bool]]) -> None:
        self.before: Final = last
        self.last = last
        self.revisions: Final[list[dict[str, Any]]] = []
        self.moved: Final[dict[ConfigKey, tuple[int, bool]]] = {}
        self.places: Final = places

    def add(self, change: PendingChange) -> int | ConfigConflictError | None:
        """Add a change if its condition holds; return the result for its caller."""
        version, removed = self.moved.get(change.key) or self.places.get(change.key) or (None, True)
        current = None if removed else str(version)
        try:
            check_expected(change.key, expected=change.expected, current=current)
        except ConfigConflictError as conflict:
            return conflict
        if change.properties is None and current is None:
            return None
        self.last += 1
        self.moved[change.key] = (self.last, change.properties is None)
        self.revisions.append(
            {
                **statements.columns_of(change.key),
                "version": self.last,
                "saved_at": datetime.now(UTC).replace(tzinfo=None),
                "author": change.author,
                "message": change.message,
                "properties": change.properties,
            }
        )
        return self.last


async def write_plan(connection: AsyncConnection, plan: WritePlan) -> None:
    """Write a plan.

    Raises:
        BackendUnavailableError: A writer that did not lock the sequence wrote in the meantime.
    """
    new = [
        {**statements.columns_of(key), "version": version, "removed": removed}
        for key, (version, removed) in plan.moved.items()
        if key not in plan.places
    ]
    if new:
        await connection.execute(statements.first_versions(), new)
    updates = [statements.move_sequence(plan.before, plan.last)]
    updates += [
        statements.next_version(key, plan.places[key][0], version, removed=removed)
        for key, (version, removed) in plan.moved.items()
        if key in plan.places
    ]
    for update in updates:
        if (await connection.execute(update)).rowcount != 1:
            raise BackendUnavailableError("there was a concurrent write; nothing was written")
    await connection.execute(statements.record(), plan.revisions)


def _answer(change: PendingChange, answer: int | Exception | None) -> None:
    if change.outcome.done():
        return
    if isinstance(answer, Exception):
        change.outcome.set_exception(answer)
    else:
        change.outcome.set_result(answer)
