"""Arguments in, exit code out."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial

from pyfly.config_cli._exit import EXIT_FAILED, EXIT_INTERRUPTED, exit_code
from pyfly.config_cli._known import SettingsError
from pyfly.config_cli._output import drop_output, finish_output, note, prepare_output
from pyfly.config_cli._parser import make_parser
from pyfly.config_cli._sources import gather
from pyfly.config_cli._utf8 import as_utf8
from pyfly.config_core import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    prepare_output()
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except ConfigError as error:
        note("\n".join((f"pyfly-config: {error}", *getattr(error, "__notes__", ()))))
        return exit_code(error)
    except BrokenPipeError:  # as after `| head`; what is left to print has nowhere to go
        drop_output()
        return EXIT_FAILED
    except OSError as error:
        drop_output()
        note(f"pyfly-config: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        note("pyfly-config: interrupted")
        return EXIT_INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    words = [as_utf8(word) for word in argv]
    if None in words:
        raise SettingsError("an argument is not UTF-8")
    arguments = _parsed([word for word in words if word is not None])
    if arguments.run is None:
        from pyfly.config_cli import _serve  # noqa: PLC0415 - the others should not wait for it

        return _serve.run(partial(gather, arguments, os.environ))
    done = int(asyncio.run(arguments.run(arguments)))
    finish_output()  # or a reader that went away is noticed too late
    return done


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    try:
        return make_parser().parse_args(argv)
    except SystemExit:  # after --help, --version or a mistake
        finish_output()
        raise
