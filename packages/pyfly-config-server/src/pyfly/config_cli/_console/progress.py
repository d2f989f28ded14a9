"""A progress bar on standard error, if that is a terminal."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pyfly.config_cli._console.output import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """Shows how far a long task has come, as a context manager that removes the bar at the end."""

    def __init__(self, title: str, *, total: int | None = None, after: int = 0) -> None:
        """Show nothing yet.

        Args:
            title: What is done.
            total: How many there are; `None` if that is not known.
            after: Show the bar when this many are done, because most tasks are shorter.
        """
        self._title = title
        self._total = total
        self._after = after
        self._enabled = is_terminal(sys.stderr)
        self._bars: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, done: int, name: str) -> None:
        """Show that `done` are done and `name` comes next."""
        if not self._enabled or done < self._after:
            return
        if self._bars is None:
            self._bars = _start_bars(self._title, self._total)
        for task in self._bars.task_ids:
            self._bars.update(task, completed=done, name=name)


def _start_bars(title: str, total: int | None) -> "Progress":
    from rich.console import Console  # noqa: PLC0415 - its import takes longer than most commands
    from rich.progress import (  # noqa: PLC0415 - the same
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[name]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    bars.add_task(title, total=total, name="")
    bars.start()
    return bars
