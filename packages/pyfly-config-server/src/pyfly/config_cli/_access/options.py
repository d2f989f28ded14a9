"""Parameters of the commands for the access file."""

from dataclasses import dataclass
from pathlib import Path

import click

from pyfly.config_cli._access.files import access_path
from pyfly.config_cli._cli.parameters import json_option, settings_option


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessArguments:
    """Which access file, and how to print the result."""

    file: str | None
    settings: str | None
    as_json: bool

    @property
    def path(self) -> Path:
        """The access file.

        Raises:
            ConfigError: No file is named, or a setting cannot be used.
        """
        return access_path(self.file, self.settings)


def access_options() -> list[click.Parameter]:
    """Return the options of `AccessArguments`."""
    return [
        click.Option(
            ["--file"],
            metavar="FILE",
            type=click.Path(),
            help="The access file. (default: that of the settings of the server)",
        ),
        settings_option(),
        json_option(),
    ]


def principal_argument() -> click.Argument:
    """Return the argument that names a principal."""
    return click.Argument(["principal"])


def expires_option() -> click.Option:
    """Return the option for the end of a token."""
    return click.Option(
        ["--expires"],
        metavar="WHEN",
        help="When the token ends: 90d, 2027-01-31, 2027-01-31T12:00:00Z. (default: never)",
    )
