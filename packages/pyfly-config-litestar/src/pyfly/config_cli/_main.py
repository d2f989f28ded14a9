"""Arguments in, exit code out: 0 done, 1 the store failed, 2 something was said wrongly."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from pyfly.config_cli._settings import KNOWN, PREFIX, SettingsError
from pyfly.config_cli._sources import add_arguments, gather
from pyfly.config_core import BackendLookupError, ConfigError, InvalidConfigKeyError

_SERVE = """\
Serve configuration over HTTP, to Spring Boot and to every other client of its protocol.

A directory holds one directory per label, and in it <application>-<profile>.yaml (.yml, .json).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        from pyfly.config_cli import _serve  # noqa: PLC0415 - --help should not wait for it

        return _serve.run(gather(arguments, os.environ))
    except ConfigError as error:
        print(f"pyfly-config: {error}", file=sys.stderr)  # noqa: T201 - the command's output
        wrong = isinstance(error, SettingsError | BackendLookupError | InvalidConfigKeyError)
        return 2 if wrong else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyfly-config", description="A small server for configuration."
    )
    shown = f"%(prog)s {version('pyfly-config-litestar')}"
    parser.add_argument("--version", action="version", version=shown)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve configuration over HTTP",
        description=_SERVE,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(serve)
    return parser


def _epilog() -> str:
    rows = "\n".join(
        f"  {PREFIX + name}\n      {setting.text}"
        + (f" (default: {setting.default})" if setting.default else "")
        for name, setting in KNOWN.items()
    )
    return f"""\
examples:
  pyfly-config serve ./config
  pyfly-config serve file:///etc/pyfly --port 9000 --base-path ""
  {PREFIX}TOKEN=... pyfly-config serve ./config --host 0.0.0.0

settings in the environment (an argument wins):
{rows}

exit codes: 0 stopped by a signal, 1 the store failed, 2 an argument or a setting is wrong
"""
