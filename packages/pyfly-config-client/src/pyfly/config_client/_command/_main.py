"""Arguments in, exit code out."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._command._exit import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_MISSING,
    EXIT_USAGE,
    note,
)
from pyfly.config_client._command._parser import make_parser
from pyfly.config_client.errors import MissingPropertyError
from pyfly.config_core import ConfigError

_OPTIONS = (
    "application",
    "profile",
    "label",
    "base_path",
    "token_file",
    "timeout",
    "policy",
    "snapshot_dir",
    "baseline",
    "ca_file",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = make_parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    if arguments.verbose:
        logging.getLogger("pyfly.config_client").setLevel(logging.INFO)
    try:
        code = int(arguments.run(arguments, make_client(arguments)))
        sys.stdout.flush()  # or a reader that went away is noticed too late
    except MissingPropertyError as error:
        note(f"pyfly-config-client: {error}")
        return EXIT_MISSING
    except (ValueError, ImportError) as error:
        note(f"pyfly-config-client: {error}")
        return EXIT_FAILED if isinstance(error, ConfigError) else EXIT_USAGE
    except ConfigError as error:
        note(f"pyfly-config-client: {error}")
        return EXIT_FAILED
    except BrokenPipeError:  # as after `| head`; what is left to print has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        note("pyfly-config-client: interrupted")
        return EXIT_INTERRUPTED
    return code


def make_client(arguments: argparse.Namespace) -> SyncConfigClient:
    """Return a client told by options, and for the rest by the environment.

    Raises:
        ValueError: Something is missing or cannot be used.
    """
    given: dict[str, Any] = {name: getattr(arguments, name) for name in _OPTIONS}
    given |= {name: True for name in ("allow_empty", "allow_shrink") if getattr(arguments, name)}
    given["server_url"] = arguments.url or None
    given["label"] = arguments.label or None
    made: SyncConfigClient = arguments.client.from_env(**given)
    return made
