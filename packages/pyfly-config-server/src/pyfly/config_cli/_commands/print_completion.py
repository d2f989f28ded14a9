"""`completion`: the script that lets a shell complete the command."""

from typing import Final

import click
from click.shell_completion import get_completion_class

from pyfly.config_cli._cli.command import PROGRAM, Command
from pyfly.config_cli._cli.completion import SHELLS, VARIABLE
from pyfly.config_cli._console.output import print_result
from pyfly.config_cli._errors import ArgumentError

_HELP: Final = """\
Print the script that lets a shell complete commands, options, stores and names of bundles.

Run it at the start of the shell, as the examples show: add the line to ~/.bashrc or ~/.zshrc, or
store the script where fish looks for it.
"""


def print_script(shell: str) -> int:
    """Print the script for a shell; return the exit code."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ArgumentError(f"there is no completion for {shell!r}")
    group = click.Group(PROGRAM)  # the script depends on the name only
    print_result(kind(group, {}, PROGRAM, VARIABLE).source().rstrip("\n"))
    return 0


COMMAND: Final = Command(
    "completion",
    callback=print_script,
    params=[click.Argument(["shell"], type=click.Choice(SHELLS))],
    help=_HELP,
    examples=[
        'eval "$(pyfly-config completion bash)"',
        'eval "$(pyfly-config completion zsh)"',
        "pyfly-config completion fish > ~/.config/fish/completions/pyfly-config.fish",
    ],
)
