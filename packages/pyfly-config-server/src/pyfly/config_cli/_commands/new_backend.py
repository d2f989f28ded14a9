"""`new-backend`: the package of a new store."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from pyfly.config_cli._cli.command import Command, sync_callback_of
from pyfly.config_cli._console.output import print_result
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli.backend_template import NewBackend, create_backend, name_fault

_HELP: Final = """\
Make the Python package of a new store.

NAME is the scheme of its URLs and the end of its names: 'etcd' makes the distribution
pyfly-config-etcd with the class EtcdConfigBackend, opened by URLs such as etcd://host/prefix. Use
2 to 40 lower-case letters, digits and dashes, beginning with a letter. DIRECTORY is
pyfly-config-NAME unless it is given; it must not exist.

The package works at once: it keeps bundles in an SQLite database and passes the suite for stores.
Put your store in the place of the database; its README says what stands where.
"""
_STEPS: Final = """\
Made {directory}: {distribution}, imported as {package}.

1. Install it:
     cd {quoted}
     python3 -m venv .venv
     .venv/bin/pip install pyfly-config-server 'pyfly-config-core[testing]' -e .
2. Run its tests:
     .venv/bin/pytest
3. Serve it:
     .venv/bin/pyfly-config serve "{name}://$PWD/{name}.db"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBackendArguments:
    """What is made, and where."""

    name: str
    directory: str | None


def make_backend(arguments: NewBackendArguments) -> int:
    """Write the package and say what to do next; return the exit code."""
    if reason := name_fault(arguments.name):
        raise ArgumentError(reason)
    directory = Path(arguments.directory or f"pyfly-config-{arguments.name}")
    try:
        made = create_backend(arguments.name, directory)
    except FileExistsError:
        raise ArgumentError(
            f"{str(directory)!r} exists; name another directory, or move it away"
        ) from None
    except OSError as error:
        raise ArgumentError(
            f"cannot make {str(directory)!r}: {error.strerror}; name another directory"
        ) from error
    print_result(_next_steps(made).rstrip("\n"))
    return 0


def _next_steps(made: NewBackend) -> str:
    return _STEPS.format(
        directory=made.directory,
        distribution=made.distribution,
        package=made.package,
        quoted=shlex.quote(str(made.directory)),
        name=made.name,
    )


COMMAND: Final = Command(
    "new-backend",
    callback=sync_callback_of(make_backend, NewBackendArguments),
    params=[
        click.Argument(["name"]),
        click.Argument(["directory"], required=False, type=click.Path()),
    ],
    help=_HELP,
    examples=[
        "pyfly-config new-backend etcd",
        "pyfly-config new-backend etcd ~/src/pyfly-config-etcd",
    ],
)
