"""`serve`: serves configuration over HTTP."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import click

from pyfly.config_cli._cli.command import PROGRAM, Command, sync_callback_of
from pyfly.config_cli._cli.parameters import StoreType, json_option, settings_option
from pyfly.config_cli._console.output import print_json
from pyfly.config_cli._console.tables import print_table
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._exit_codes import EXIT_FAILED, exit_code
from pyfly.config_core import ConfigError, JsonValue

_HELP: Final = """\
Serve configuration over HTTP, to Spring Boot and to every other client of its protocol.

A directory holds one directory per label, and in it <application>-<profile>.yaml (.yml, .json).
Of several stores the first has the highest precedence.
"""
_EXIT_CODES: Final = (
    "0 stopped by a signal, 1 the store failed, 2 an argument or a setting is wrong"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeArguments:
    """What to serve, and where. `None` and an empty tuple leave it to the other settings."""

    stores: tuple[str, ...]
    settings: str | None
    host: str | None
    port: str | None
    base_path: str | None
    workers: str | None
    tls_certificate_file: str | None
    tls_key_file: str | None
    allowed_hosts: str | None
    insecure: bool

    def values(self) -> Mapping[str, object]:
        """Return what was given, by the names of the settings."""
        options = {
            "settings": self.settings,
            "host": self.host,
            "port": self.port,
            "base_path": self.base_path,
            "workers": self.workers,
            "tls_certificate_file": self.tls_certificate_file,
            "tls_key_file": self.tls_key_file,
            "allowed_hosts": self.allowed_hosts,
        }
        values: dict[str, object] = {n: value for n, value in options.items() if value is not None}
        if self.stores:
            values["backend"] = self.stores
        if self.insecure:
            values["insecure"] = True
        return values


class SettingOption(click.Option):
    """An option that is a setting; its help is made from the model of the settings."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help."""
        from pyfly.config_cli._settings.reference import (  # noqa: PLC0415 - pydantic, for help only
            help_of,
        )

        text = help_of(str(self.name))
        self.help = f"{text[0].upper()}{text[1:]}"
        return super().get_help_record(ctx)


class ServeCommand(Command):
    """The command `serve`, whose help lists all settings."""

    def unknown_option_message(self, ctx: click.Context, option: str) -> str:
        """Return the message for an unknown option; for a setting it names the variable."""
        # pydantic, for this mistake only
        from pyfly.config_cli._settings.reference import variable_for_option  # noqa: PLC0415

        variable = variable_for_option(option)
        if variable is None:
            return super().unknown_option_message(ctx, option)
        return f"there is no option {option!r}; set {variable} in the environment"

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, the settings and the exit codes."""
        from pyfly.config_cli._settings.reference import (  # noqa: PLC0415 - pydantic, for help only
            file_variables,
            help_rows,
        )

        super().format_epilog(ctx, formatter)
        with formatter.section("Settings in the environment (an argument wins)"):
            for variable, meaning in help_rows():
                formatter.write(f"  {variable}\n")
                with formatter.indentation():
                    formatter.indent()
                    formatter.write_text(meaning)
                    formatter.dedent()
        formatter.write_paragraph()
        formatter.write_text(
            "For each of these, the same name with _FILE at its end names a file that holds the "
            f"value: {', '.join(file_variables())}."
        )
        formatter.write_paragraph()
        formatter.write_text(f"Exit codes: {_EXIT_CODES}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArguments(ServeArguments):
    """What to serve, or to check only."""

    check: bool
    as_json: bool


def run_server(arguments: RunArguments) -> int:
    """Serve until a signal, or check; return the exit code."""
    if arguments.as_json and not arguments.check:
        raise ArgumentError("--json belongs to --check")
    if arguments.check:
        return _check(arguments)
    # what serves is not imported to complete a command line
    from pyfly.config_cli._serving.startup import serve  # noqa: PLC0415
    from pyfly.config_cli._settings.loading import load_settings  # noqa: PLC0415

    return serve(partial(load_settings, arguments.values()))


def _check(arguments: RunArguments) -> int:
    from pyfly.config_cli._serving.checks import check_server, first_error  # noqa: PLC0415 - see above
    from pyfly.config_cli._settings.loading import load_settings  # noqa: PLC0415 - the same

    results = asyncio.run(check_server(load_settings(arguments.values())))
    error = first_error(results)
    rows = [
        (one.name, "ok" if one.error is None else "failed", _explained(one.error) or one.detail)
        for one in results
    ]
    if arguments.as_json:
        names = ("check", "result", "detail")
        checks: list[JsonValue] = [dict(zip(names, row, strict=True)) for row in rows]
        print_json({"ok": error is None, "checks": checks})
    else:
        print_table(("CHECK", "RESULT", "DETAIL"), rows)
    if error is None:
        return 0
    return exit_code(error) if isinstance(error, ConfigError) else EXIT_FAILED


def _explained(error: Exception | None) -> str:
    if error is None:
        return ""
    return str(error) if isinstance(error, ConfigError | OSError) else type(error).__name__


def setting_parameters() -> list[click.Parameter]:
    """Return the parameters of `ServeArguments`."""
    return [
        click.Argument(["stores"], nargs=-1, type=StoreType(), metavar="[DIRECTORY-OR-URL]..."),
        settings_option(),
        SettingOption(["--host"]),
        SettingOption(["--port"]),
        SettingOption(["--base-path"], metavar="PATH"),
        SettingOption(["--workers"], metavar="N"),
        SettingOption(["--tls-certificate-file"], metavar="FILE", type=click.Path()),
        SettingOption(["--tls-key-file"], metavar="FILE", type=click.Path()),
        SettingOption(["--allowed-hosts"], metavar="NAME,..."),
        SettingOption(["--insecure"], is_flag=True),
    ]


COMMAND: Final = ServeCommand(
    "serve",
    callback=sync_callback_of(run_server, RunArguments),
    params=[
        *setting_parameters(),
        click.Option(
            ["--check"],
            is_flag=True,
            help="Try the settings, the stores, the keys and the files of TLS; serve nothing.",
        ),
        json_option(),
    ],
    help=_HELP,
    examples=[
        f"{PROGRAM} serve ./config",
        f'{PROGRAM} serve file:///etc/pyfly --port 9000 --base-path ""',
        f"{PROGRAM} serve ./config --settings server.toml --check",
        f"PYFLY_CONFIG_SERVER_TOKEN=... {PROGRAM} serve ./config --host 0.0.0.0",
    ],
)
