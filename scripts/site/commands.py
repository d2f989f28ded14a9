"""The commands as Markdown: a section for each, with what its `--help` prints."""

import contextlib
import io
import os
from collections.abc import Iterator
from unittest import mock

import click

from pyfly.config_cli._cli.command_line import make_application
from pyfly.config_client._command import _COMMANDS as COMMANDS
from pyfly.config_client._command import _NAME as NAME
from pyfly.config_client._command import make_parser

_WIDTH = 100


def server_commands() -> str:
    """Return a section for `pyfly-config` and each of its commands."""
    return "\n".join(_section(context.command_path, context.get_help()) for context in _contexts())


def _contexts() -> Iterator[click.Context]:
    application = make_application()
    waiting = [click.Context(application, info_name=application.name, max_content_width=_WIDTH)]
    while waiting:
        context = waiting.pop(0)
        yield context
        group = context.command
        if isinstance(group, click.Group):
            names = group.list_commands(context)
            commands = ((name, group.get_command(context, name)) for name in names)
            waiting[:0] = [
                click.Context(command, parent=context, info_name=name)
                for name, command in commands
                if command is not None
            ]


def client_commands() -> str:
    """Return a section for `pyfly-config-client` and each of its commands."""
    lines = [(), *((action.__name__,) for action, *_ in COMMANDS)]
    return "\n".join(_section(" ".join((NAME, *line)), _client_help(*line)) for line in lines)


def _client_help(*words: str) -> str:
    with (
        mock.patch.dict(os.environ, {"COLUMNS": str(_WIDTH)}),
        contextlib.redirect_stdout(io.StringIO()) as printed,
        contextlib.suppress(SystemExit),
    ):
        make_parser().parse_args([*words, "--help"])
    return printed.getvalue()


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n```text\n{text.rstrip()}\n```\n"
