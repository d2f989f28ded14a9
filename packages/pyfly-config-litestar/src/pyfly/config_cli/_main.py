"""Arguments in, exit code out."""

import asyncio
import os
import sys
from collections.abc import Sequence

from pyfly.config_cli._exit import EXIT_FAILED, EXIT_INTERRUPTED, exit_code
from pyfly.config_cli._output import note
from pyfly.config_cli._parser import make_parser
from pyfly.config_cli._sources import gather
from pyfly.config_core import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = make_parser().parse_args(argv)
    try:
        if arguments.run is None:
            from pyfly.config_cli import _serve  # noqa: PLC0415 - the others should not wait for it

            return _serve.run(gather(arguments, os.environ))
        done = asyncio.run(arguments.run(arguments))
        sys.stdout.flush()  # or a reader that went away is noticed too late
    except ConfigError as error:
        note(f"pyfly-config: {error}")
        return exit_code(error)
    except BrokenPipeError:  # as after `| head`; what is left to print has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:
        note(f"pyfly-config: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        note("pyfly-config: interrupted")
        return EXIT_INTERRUPTED
    return int(done)
