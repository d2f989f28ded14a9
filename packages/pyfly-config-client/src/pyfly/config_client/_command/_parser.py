"""What can be said on the command line, and the help that teaches it."""

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, get_args

from pyfly.config_client._client import SyncConfigClient
from pyfly.config_client._command import _doctor, _show
from pyfly.config_client._command._exit import MEANINGS
from pyfly.config_client._loading.accept import Policy
from pyfly.config_client._variables import KNOWN, PREFIX

_DESCRIPTION = """\
Fetch the configuration of an application as its services do: from the server, or from the last
good snapshot when the server is down.
"""
_GET = """\
Print properties. Without a KEY all of them, one 'key=value' in a line; with one its value alone.

Keys are found in every spelling: db.pool-size, db.poolSize. A key above others prints what lies
below it, a list one element in a line.
"""
_ENV = """\
Print the configuration as environment variables for a shell: db.pool-size becomes DB_POOL_SIZE.
Values are quoted. Variables that are set already are left out, because they outrank the server.
"""
_RUN = """\
Start a command with the configuration in its environment. The command takes the place of this
one: signals reach it, and its exit code is what the caller sees. Variables that are set already
stay as they are.
"""
_DOCTOR = """\
Walk through a start step by step, and say what is wrong and what to do about it. Shows no values.
"""

_Run = Callable[[argparse.Namespace, Any], int]


class _Parser(argparse.ArgumentParser):
    """As `ArgumentParser`, but what is typed behind an unknown option is not shown.

    It may be a secret. For the same reason options cannot be shortened: `--token` is not
    `--token-file`, whose argument may be shown.
    """

    def __init__(self, **options: Any) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, formatter_class=form, **options)

    # One signature for the overloads.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse arguments, all of which have to be known."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = next((one for one in unknown if one.startswith("-")), unknown[0])
            option = word.partition("=")[0]
            name = option.removeprefix("--").upper().replace("-", "_")
            hint = f"; set {PREFIX}{name} in the environment instead" if name in KNOWN else ""
            self.error(f"unrecognized arguments: {option}{hint}")
        return found, unknown


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; `run` of its result is the command, and takes that result."""
    parser = _Parser(prog="pyfly-config-client", description=_DESCRIPTION, epilog=_epilog())
    shown = f"%(prog)s {version('pyfly-config-client')}"
    parser.add_argument("--version", action="version", version=shown)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: _Run, text: str, *examples: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text.partition(".")[0].partition("\n")[0],
            description=text,
            epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]),
        )
        made.set_defaults(run=run, client=SyncConfigClient)
        _add_options(made)
        return made

    own = "pyfly-config-client"
    orders = "--url http://config:8888 --application orders --profile prod"
    get = add(
        "get",
        _show.get,
        _GET,
        f"{own} get {orders}",
        f"{own} get {orders} db.url",
        f"{own} get {orders} db.url --explain",
        f"{own} get {orders} --document > baseline.json",
    )
    get.add_argument("key", metavar="KEY", nargs="?", help="one property, or a key above several")
    get.add_argument("--json", action="store_true", help="print JSON, for machines")
    get.add_argument(
        "--document",
        action="store_true",
        help="print the document as the server sent it: a baseline for an image",
    )
    get.add_argument(
        "--explain",
        action="store_true",
        help="say where KEY comes from, or all keys below it; no values",
    )
    env = add("env", _show.env, _ENV, f'eval "$({own} env {orders})"')
    env.add_argument("--json", action="store_true", help="print JSON, for machines")
    env.add_argument("--prefix", default="", help="what every name begins with")
    run = add("run", _show.run, _RUN, f"{own} run {orders} -- python -m orders")
    run.add_argument("--prefix", default="", help="what every name begins with")
    run.add_argument("command", metavar="-- CMD", nargs="+", help="the command and its arguments")
    doctor = add("doctor", _doctor.doctor, _DOCTOR, f"{own} doctor {orders}")
    doctor.set_defaults(client=_doctor.Patient)
    doctor.add_argument("--json", action="store_true", help="print JSON, for machines")
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to fetch (instead of the variables of the same names)")
    group.add_argument("--url", action="append", help="address of the server; repeatable")
    group.add_argument("--application", metavar="NAME")
    group.add_argument("--profile", metavar="NAMES")
    group.add_argument("--label", action="append", metavar="NAME", help="repeatable, in order")
    group.add_argument("--base-path", metavar="PATH")
    group.add_argument("--token-file", metavar="FILE", help="secrets do not belong into arguments")
    group.add_argument("--ca-file", metavar="FILE")
    group.add_argument("--timeout", type=float, metavar="SECONDS")
    group.add_argument("--policy", choices=get_args(Policy))
    group.add_argument("--snapshot-dir", metavar="DIRECTORY", help="'off' for none")
    group.add_argument("--baseline", metavar="FILE")
    group.add_argument("--allow-empty", action="store_true")
    group.add_argument("--allow-shrink", action="store_true")
    group.add_argument("--verbose", action="store_true", help="say where it came from")


def _epilog() -> str:
    rows = "\n".join(f"  {PREFIX + name:<27} {one.text}" for name, one in KNOWN.items())
    codes = "\n".join(f"  {code:<4} {text}" for code, text in MEANINGS.items())
    return f"""\
variables (an option wins):
{rows}

exit codes ('run' ends with that of its command):
{codes}

'pyfly-config-client COMMAND --help' shows examples.
"""
