"""The command `pyfly-config-client`: its arguments, its help, and its exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib.metadata import version
from typing import Any, Final, get_args

from pyfly.config_client._actions import (
    EXIT_CODES,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_MISSING,
    EXIT_USAGE,
    doctor,
    env,
    get,
    print_note,
    run,
)
from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._config import ClientConfig, Policy
from pyfly.config_client._environ import PREFIX, VARIABLES
from pyfly.config_client.errors import MissingPropertyError
from pyfly.config_core import ConfigError

_NAME: Final = "pyfly-config-client"
_DESCRIPTION: Final = """\
Fetch the configuration of an application as its services do: from the server, or from the last
good snapshot when the server is down.
"""
_GET: Final = """\
Print properties. Without a KEY all of them, one 'key=value' per line; with a KEY only its value.

Any spelling of a key is found: db.pool-size, db.poolSize. A section prints the properties below
it, a list prints one element per line.
"""
_ENV: Final = """\
Print the configuration as environment variables for a shell.

The variable of db.pool-size is DB_POOL_SIZE. Values are quoted. Variables that are already set are
left out, because they take precedence over the server.
"""
_RUN: Final = """\
Start a command with the configuration in its environment. The command replaces this process, so
it receives signals, and its exit code is returned. Variables that are already set are not changed.
"""
_DOCTOR: Final = """\
Check a start step by step, and print what is wrong and how to fix it. Shows no values.
"""
_JSON: Final = "print JSON"
_ORDERS: Final = "--url http://config:8888 --application orders --profile prod"

_Action = Callable[[argparse.Namespace, SyncConfigClient], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = make_parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    if arguments.verbose:
        logging.getLogger("pyfly.config_client").setLevel(logging.INFO)
    try:
        code = int(arguments.run(arguments, make_client(arguments)))
        if sys.stdout is not None:
            sys.stdout.flush()  # reports a closed pipe here instead of at exit
    except (ValueError, ImportError, ConfigError) as error:
        print_note(f"{_NAME}: {error}")
        return _exit_code(error)
    except OSError as error:
        return _discard_output(error)
    except KeyboardInterrupt:
        print_note(f"{_NAME}: interrupted")
        return EXIT_INTERRUPTED
    return code


def _discard_output(error: OSError) -> int:
    """Discard the rest of the output, so that Python does not try to write it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not isinstance(error, BrokenPipeError):  # as after `| head`
        print_note(f"{_NAME}: cannot write the output: {error.strerror}")
    return EXIT_FAILED


def _exit_code(error: Exception) -> int:
    if isinstance(error, MissingPropertyError):
        return EXIT_MISSING
    return EXIT_FAILED if isinstance(error, ConfigError) else EXIT_USAGE


def make_client(arguments: argparse.Namespace) -> SyncConfigClient:
    """Return a client configured by the options, and otherwise by the environment.

    Raises:
        ValueError: An option or a variable is missing or cannot be used.
    """
    names = {one.name for one in fields(ClientConfig)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return SyncConfigClient.from_env(**given)


class _Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that never shows what follows an unknown option: it may be a secret.

    For the same reason options cannot be shortened: `--token` is not `--token-file`, whose
    argument may be shown.
    """

    def __init__(self, **options: Any) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, formatter_class=form, **options)

    # One signature for the overloads.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse arguments. Exits if one is unknown."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = next((one for one in unknown if one.startswith("-")), unknown[0])
            option = word.partition("=")[0]
            name = option.removeprefix("--").upper().replace("-", "_")
            hint = f"; set {PREFIX}{name} in the environment" if name in VARIABLES else ""
            self.error(f"unrecognized arguments: {option}{hint}")
        return found, unknown


def make_parser() -> argparse.ArgumentParser:
    """Return the parser. The attribute `run` of its result is the function to call."""
    parser = _Parser(prog=_NAME, description=_DESCRIPTION, epilog=_epilog())
    shown = f"%(prog)s {version('pyfly-config-client')}"
    parser.add_argument("--version", action="version", version=shown)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for action, text, add_options, examples in _COMMANDS:
        command = commands.add_parser(
            action.__name__,
            help=text.partition(".")[0].partition("\n")[0],
            description=text,
            epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]),
        )
        command.set_defaults(run=action)
        _add_client_options(command)
        add_options(command)
    return parser


def _add_get_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", nargs="?", help="a property, a section or a list")
    parser.add_argument("--json", action="store_true", help=_JSON)
    parser.add_argument(
        "--document",
        action="store_true",
        help="print the document as the server sent it, to be used as a baseline",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print where KEY comes from, or all keys below it; no values",
    )


def _add_env_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=_JSON)
    parser.add_argument("--prefix", default="", help="start of every name")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prefix", default="", help="start of every name")
    parser.add_argument("command", metavar="-- CMD", nargs="+", help="the command to start")


def _add_doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=_JSON)


def _add_client_options(parser: argparse.ArgumentParser) -> None:
    """Add the options whose names are those of arguments of `ClientConfig`."""
    add = parser.add_argument_group("what to fetch (instead of the variables of these names)")
    add.add_argument(
        "--url",
        dest="server_url",
        action="append",
        metavar="URL",
        help="address of the server; repeatable",
    )
    add.add_argument("--application", metavar="NAME")
    add.add_argument("--profile", metavar="NAMES")
    add.add_argument("--label", action="append", metavar="NAME", help="repeatable, in order")
    add.add_argument("--keys", metavar="KEYS", help="only these properties, with commas")
    add.add_argument("--base-path", metavar="PATH")
    add.add_argument("--token-file", metavar="FILE", help="arguments must not contain secrets")
    add.add_argument("--ca-file", metavar="FILE")
    add.add_argument("--timeout", type=float, metavar="SECONDS")
    add.add_argument("--policy", choices=get_args(Policy))
    add.add_argument("--snapshot-dir", metavar="DIRECTORY", help="'off' disables snapshots")
    add.add_argument("--baseline", metavar="FILE")
    add.add_argument("--allow-empty", action="store_true", default=None)
    add.add_argument("--allow-shrink", action="store_true", default=None)
    add.add_argument("--verbose", action="store_true", help="log where the configuration is from")


def _epilog() -> str:
    rows = "\n".join(f"  {PREFIX + name:<27} {one.help}" for name, one in VARIABLES.items())
    codes = "\n".join(f"  {code:<4} {text}" for code, text in EXIT_CODES.items())
    return f"""\
variables (an option takes precedence):
{rows}

exit codes ('run' returns that of its command):
{codes}

'{_NAME} COMMAND --help' shows examples.
"""


_COMMANDS: Final[
    tuple[tuple[_Action, str, Callable[[argparse.ArgumentParser], None], tuple[str, ...]], ...]
] = (
    (
        get,
        _GET,
        _add_get_options,
        (
            f"{_NAME} get {_ORDERS}",
            f"{_NAME} get {_ORDERS} db.url",
            f"{_NAME} get {_ORDERS} db.url --explain",
            f"{_NAME} get {_ORDERS} --document > baseline.json",
        ),
    ),
    (env, _ENV, _add_env_options, (f'eval "$({_NAME} env {_ORDERS})"',)),
    (run, _RUN, _add_run_options, (f"{_NAME} run {_ORDERS} -- python -m orders",)),
    (doctor, _DOCTOR, _add_doctor_options, (f"{_NAME} doctor {_ORDERS}",)),
)
"""The commands: functions, descriptions, options and examples."""
