"""Commands of click: help with examples, typed arguments, errors that show no secrets."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from typing import Final, NamedTuple, TypeVar

import click
from click.shell_completion import CompletionItem

from pyfly.config_cli._cli.suggestions import did_you_mean, nearest

PROGRAM: Final = "pyfly-config"

_Arguments = TypeVar("_Arguments")


class Command(click.Command):
    """A command whose help ends with examples.

    What is typed too much is counted and not shown, because it may be a secret.
    """

    def __init__(
        self,
        name: str,
        *,
        callback: Callable[..., int],
        params: Sequence[click.Parameter],
        help: str,  # noqa: A002 - as click names it
        examples: Sequence[str],
    ) -> None:
        super().__init__(
            name,
            callback=callback,
            params=[*params],
            help=help,
            context_settings={"allow_extra_args": True},
        )
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, all of which must be known.

        Raises:
            click.UsageError: They are not.
        """
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                self.unknown_option_message(ctx, error.option_name), ctx
            ) from None
        if rest and not ctx.resilient_parsing:
            raise click.UsageError(self.excess_message(len(rest)), ctx)
        return rest

    def unknown_option_message(self, ctx: click.Context, option: str) -> str:
        """Return the message for an option that does not exist."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        names = {name.lstrip("-"): name for one in options for name in one.opts}
        near = nearest(option.lstrip("-"), names)
        suggestion = "" if near is None else f"; did you mean {names[near]!r}?"
        return f"there is no option {option!r}{suggestion}"

    def excess_message(self, count: int) -> str:
        """Return the message for `count` arguments too many."""
        return f"{count} argument{'s' if count > 1 else ''} too many"

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are, without wrapping."""
        del ctx
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def callback_of(
    run: Callable[[_Arguments], Coroutine[object, object, int]],
    arguments: Callable[..., _Arguments],
) -> Callable[..., int]:
    """Return the callback of a command that runs in an event loop.

    Args:
        run: Carries the command out and returns its exit code.
        arguments: Makes its arguments from the values that click has parsed, by their names.
    """
    return sync_callback_of(lambda given: asyncio.run(run(given)), arguments)


def sync_callback_of(
    run: Callable[[_Arguments], int], arguments: Callable[..., _Arguments]
) -> Callable[..., int]:
    """Return the callback of a command; see `callback_of`."""

    def callback(**values: object) -> int:
        return run(arguments(**values))

    return callback


class CommandEntry(NamedTuple):
    """One row of a catalogue of commands."""

    name: str
    module: str
    """The module that has the command as `COMMAND`; imported when the command is used."""
    summary: str
    """The line in the list of commands."""
    other_names: tuple[str, ...] = ()
    """What people type who know other programs: suggested, not accepted."""


class CommandGroup(click.Group):
    """A group whose commands are imported when they are used.

    The help of the group and the completion of its commands import none of them.
    """

    def __init__(
        self,
        name: str,
        entries: Sequence[CommandEntry],
        *,
        help: str,  # noqa: A002 - as click names it
        params: Sequence[click.Parameter] = (),
        epilog: str = "",
    ) -> None:
        super().__init__(name, help=help, params=[*params], no_args_is_help=True)
        self.text_after_commands = epilog
        self._entries = {entry.name: entry for entry in entries}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the catalogue."""
        del ctx
        return [*self._entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; `None` if there is no such command."""
        del ctx
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        command: object = import_module(entry.module).COMMAND
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names.

        Raises:
            click.UsageError: There is none; suggests the one that was probably meant.
        """
        name = args[0]
        if name not in self._entries and not name.startswith("-") and not ctx.resilient_parsing:
            suggestion = self._suggestion(ctx, args)
            raise click.UsageError(f"there is no command {name!r}{suggestion}", ctx)
        return super().resolve_command(ctx, args)

    def _suggestion(self, ctx: click.Context, args: Sequence[str]) -> str:
        """Return a question to append to a message: which command was meant?"""
        name, following = args[0], args[1:2]
        meant = next((one.name for one in self._entries.values() if name in one.other_names), None)
        if meant is None:
            return did_you_mean(name, self._entries)
        group = self.get_command(ctx, meant)
        known = group.list_commands(ctx) if isinstance(group, CommandGroup) else []
        return f"; did you mean {' '.join([meant, *(one for one in following if one in known)])!r}?"

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the options or commands that begin with `incomplete`."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(entry.name, help=entry.summary)
            for entry in self._entries.values()
            if entry.name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        del ctx
        rows = [(entry.name, entry.summary) for entry in self._entries.values()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the text after the commands as it is, without wrapping."""
        del ctx
        if self.text_after_commands:
            formatter.write(f"\n{self.text_after_commands}\n")
