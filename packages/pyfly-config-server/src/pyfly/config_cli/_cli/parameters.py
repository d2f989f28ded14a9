"""Parameters that several commands share, and what a shell completes for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click
from click.shell_completion import CompletionItem

from pyfly.config_cli._cli.command import Command
from pyfly.config_cli._cli.completion import complete_freezes, complete_names, complete_store
from pyfly.config_core import DEFAULT_LABEL, ConfigKey

MAX_ROWS: Final = 999_999_999
"""The largest number that `--limit` takes."""


class StoreType(click.ParamType[str]):
    """A directory, or the URL of a store; a shell completes directories and schemes."""

    name = "store"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Return what the beginning of a store may become."""
        del ctx, param
        return complete_store(incomplete)


class NameType(click.ParamType[str]):
    """An application, profile or label; a shell completes those of a directory."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Return the names in the store that begin with `incomplete`."""
        del param
        return complete_names(self.name, _given_values(ctx), incomplete)


class FreezeType(click.ParamType[str]):
    """The id of a freeze; a shell completes those of a directory."""

    name = "id"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Return the ids in the store that begin with `incomplete`."""
        del param
        return complete_freezes(_given_values(ctx), incomplete)


def _given_values(ctx: click.Context) -> dict[str, object]:
    """Return the values of a line that is being written, by the names of the parameters."""
    arguments = [one.name for one in ctx.command.params if isinstance(one, click.Argument)]
    # behind an option that still lacks its value, click has assigned no argument
    given: dict[str, object] = dict(zip(arguments, ctx.args, strict=False))
    return given | {name: value for name, value in ctx.params.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleArguments:
    """One bundle of one store."""

    store: str
    application: str
    profile: str
    label: str

    @property
    def key(self) -> ConfigKey:
        """The name of the bundle.

        Raises:
            InvalidConfigKeyError: A part of it is not acceptable.
        """
        return ConfigKey(application=self.application, profile=self.profile, label=self.label)


def store_argument(name: str = "store") -> click.Argument:
    """Return the argument that names a store."""
    return click.Argument([name], type=StoreType(), metavar=name.upper())


def bundle_parameters() -> list[click.Parameter]:
    """Return the parameters of `BundleArguments`."""
    return [
        store_argument(),
        click.Argument(["application"], type=NameType("application")),
        click.Argument(["profile"], type=NameType("profile")),
        click.Option(
            ["--label"],
            default=DEFAULT_LABEL,
            show_default=True,
            type=NameType("label"),
            help="The label of the bundle.",
        ),
    ]


def filter_options() -> list[click.Parameter]:
    """Return the options of `BundleFilter`."""
    return [
        click.Option([f"--{name}"], type=NameType(name), help=f"Only bundles of this {name}.")
        for name in ("application", "profile", "label")
    ]


def json_option() -> click.Option:
    """Return the option that asks for JSON."""
    return click.Option(["--json", "as_json"], is_flag=True, help="Print JSON, for programs.")


def show_secrets_option() -> click.Option:
    """Return the option that shows secrets on a terminal."""
    return click.Option(
        ["--show-secrets"],
        is_flag=True,
        help="Do not mask secrets. They are masked on a terminal only.",
    )


def expect_option(default: str | None) -> click.Option:
    """Return the option for the condition of a write.

    Args:
        default: Describes what holds without it; `None` if it must be given.
    """
    meaning = f" (default: {default})" if default else ""
    return click.Option(
        ["--expect"],
        metavar="VERSION|absent|any",
        required=default is None,
        help=f"What must be stored there now.{meaning}",
    )


def author_option() -> click.Option:
    """Return the option that names the author of a change."""
    return click.Option(
        ["--author"], help="The author of the change, for the history. (default: your user name)"
    )


def commit_options() -> Sequence[click.Parameter]:
    """Return the options of `CommitInfo`."""
    return [
        author_option(),
        click.Option(["--message"], help="Why the change is made, for the history."),
    ]


def settings_option() -> click.Option:
    """Return the option that names the settings file of the server."""
    return click.Option(
        ["--settings"],
        metavar="FILE",
        type=click.Path(),
        help="TOML file of settings.",
    )


class TextCommand(Command):
    """A command that takes one text."""

    def excess_message(self, count: int) -> str:
        """Return the message for `count` arguments too many."""
        del count
        return "TEXT is one argument: put it in quotes"


def text_argument() -> click.Argument:
    """Return the argument for a text that may also come from standard input."""
    return click.Argument(["text"], required=False)
