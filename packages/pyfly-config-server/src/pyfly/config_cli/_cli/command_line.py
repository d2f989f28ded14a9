"""The command line as a whole: `pyfly-config`, its commands, its exit codes."""

from importlib.metadata import version
from typing import Final

import click

from pyfly.config_cli._cli.command import PROGRAM, CommandGroup
from pyfly.config_cli._commands.catalogue import COMMANDS
from pyfly.config_cli._exit_codes import MEANINGS

_HELP: Final = """\
Keep configuration in a store, and serve it.

A STORE is a directory, or the URL of any installed store, such as file:///etc/pyfly. A bundle is
named by an APPLICATION, a PROFILE and a label. Its VERSION names its content.
"""


def make_application() -> CommandGroup:
    """Return the command `pyfly-config`."""
    codes = "\n".join(f"  {code:<4} {text}" for code, text in MEANINGS.items())
    return CommandGroup(
        PROGRAM,
        COMMANDS,
        help=_HELP,
        params=[_version_option()],
        epilog=f"Exit codes:\n{codes}\n\n'{PROGRAM} COMMAND --help' shows examples.",
    )


def _version_option() -> click.Option:
    def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
        del param
        if value and not ctx.resilient_parsing:
            click.echo(f"{PROGRAM} {version('pyfly-config-server')}")
            ctx.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version and exit.",
    )
