"""Runs the command: arguments in, exit code out."""

import os
import sys
from collections.abc import Sequence

import click
from click.exceptions import Exit, NoArgsIsHelpError
from click.shell_completion import shell_complete

from pyfly.config_cli._cli.command import PROGRAM
from pyfly.config_cli._cli.command_line import make_application
from pyfly.config_cli._cli.completion import VARIABLE
from pyfly.config_cli._console.output import (
    discard_output,
    flush_output,
    prepare_output,
    print_error,
    print_note,
)
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, exit_code
from pyfly.config_cli._utf8 import as_utf8
from pyfly.config_core import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    prepare_output()
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except click.UsageError as error:
        _print_usage_error(error)
        return EXIT_USAGE
    except ConfigError as error:
        print_error("\n".join((str(error), *getattr(error, "__notes__", ()))))
        return exit_code(error)
    except BrokenPipeError:  # as after `| head`: nobody reads the rest
        discard_output()
        return EXIT_FAILED
    except OSError as error:
        discard_output()
        print_error(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        print_error("interrupted")
        return EXIT_INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    if (instruction := os.environ.get(VARIABLE)) is not None:
        return shell_complete(make_application(), {}, PROGRAM, VARIABLE, instruction)
    words = [as_utf8(word) for word in argv]
    if None in words:
        raise ArgumentError("an argument is not UTF-8")
    arguments = [word for word in words if word is not None]
    try:
        with make_application().make_context(PROGRAM, arguments, max_content_width=100) as context:
            code = int(context.command.invoke(context))
    except Exit as done:  # after --help and --version
        code = done.exit_code
    flush_output()  # so that a reader that has gone is noticed now
    return code


def _print_usage_error(error: click.UsageError) -> None:
    if isinstance(error, NoArgsIsHelpError):
        print_note(error.format_message())
        return
    path = PROGRAM if error.ctx is None else error.ctx.command_path
    if error.ctx is not None:
        print_note(f"{error.ctx.get_usage()}\nTry '{path} --help' for help.\n")
    print_error(error.format_message(), program=path)
