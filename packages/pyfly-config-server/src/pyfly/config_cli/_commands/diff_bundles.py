"""`diff`: what differs between two versions, profiles, labels, applications or stores."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import click

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import (
    BundleArguments,
    NameType,
    StoreType,
    bundle_parameters,
    json_option,
    show_secrets_option,
)
from pyfly.config_cli._console.masking import MASKED, ValuePrinter
from pyfly.config_cli._console.output import coloured, print_json, print_note, print_result
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._exit_codes import EXIT_CONDITION
from pyfly.config_cli._stores.opening import load_bundle, open_store
from pyfly.config_core import ConfigKey, FlatValue, JsonValue, flatten
from pyfly.config_server.formats.text import same_tree

_Change: TypeAlias = tuple[FlatValue | None, FlatValue | None]

_HELP: Final = """\
Show what has to change in one bundle to make it another: two versions, profiles, labels,
applications or stores. A line with '-' is the value before, a line with '+' the value after.
On a terminal, secrets are masked.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffArguments(BundleArguments):
    """Which bundles to compare."""

    version: str | None
    to_application: str | None
    to_profile: str | None
    to_label: str | None
    to_version: str | None
    to_store: str | None
    exit_code: bool
    show_secrets: bool
    as_json: bool

    @property
    def to_key(self) -> ConfigKey:
        """The name of the bundle to compare with."""
        return ConfigKey(
            application=self.to_application or self.application,
            profile=self.to_profile or self.profile,
            label=self.to_label or self.label,
        )


async def diff_bundles(arguments: DiffArguments) -> int:
    """Print the differences of two bundles; return the exit code."""
    one, other = arguments.key, arguments.to_key
    if one == other and not (arguments.to_store or arguments.version or arguments.to_version):
        raise ArgumentError(
            "that compares a bundle with itself; name another one with --version, --to-version, "
            "--to-profile, --to-label, --to-application or --to-store"
        )
    before = await _load_flat(arguments.store, one, arguments.version)
    to_store = arguments.to_store or arguments.store
    changes = compare(before, await _load_flat(to_store, other, arguments.to_version))
    if arguments.as_json:
        print_json(_document(changes))
    else:
        _print_changes(changes, ValuePrinter(show_secrets=arguments.show_secrets))
    return EXIT_CONDITION if changes and arguments.exit_code else 0


async def _load_flat(store: str, key: ConfigKey, version: str | None) -> dict[str, FlatValue]:
    async with open_store(store) as bundles:
        source = await load_bundle(bundles, key, version=version, store=store)
    return flatten(dict(source.properties))


def compare(before: Mapping[str, FlatValue], after: Mapping[str, FlatValue]) -> dict[str, _Change]:
    """Return the differences by flat key: the values before and after, `None` for no value.

    `1`, `1.0`, `True` and `"1"` are different values.
    """
    changes: dict[str, _Change] = {}
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if not same_tree(one, other):
            changes[key] = (one, other)
    return changes


def _document(changes: Mapping[str, _Change]) -> dict[str, JsonValue]:
    return {
        "removed": {key: one for key, (one, other) in changes.items() if other is None},
        "added": {key: other for key, (one, other) in changes.items() if one is None},
        "changed": {
            key: {"from": one, "to": other}
            for key, (one, other) in changes.items()
            if one is not None and other is not None
        },
    }


def _print_changes(changes: Mapping[str, _Change], values: ValuePrinter) -> None:
    for key, (one, other) in changes.items():
        if one is not None:
            print_result(coloured(f"- {key}: {values.text(key, one)}", "red", stream=sys.stdout))
        if other is not None:
            print_result(
                coloured(f"+ {key}: {values.text(key, other)}", "green", stream=sys.stdout)
            )
    if values.has_masked:
        print_note(MASKED)


def _to_options() -> list[click.Parameter]:
    types = {
        "application": NameType("application"),
        "profile": NameType("profile"),
        "label": NameType("label"),
        "version": click.STRING,
        "store": StoreType(),
    }
    return [
        click.Option([f"--to-{name}"], type=kind, help=f"The {name} of the bundle to compare with.")
        for name, kind in types.items()
    ]


COMMAND: Final = Command(
    "diff",
    callback=callback_of(diff_bundles, DiffArguments),
    params=[
        *bundle_parameters(),
        click.Option(["--version"], help="Compare this old version."),
        *_to_options(),
        show_secrets_option(),
        click.Option(["--exit-code"], is_flag=True, help="End with 3 if they differ."),
        json_option(),
    ],
    help=_HELP,
    examples=[
        "pyfly-config diff ./config orders dev --to-profile prod",
        "pyfly-config diff ./config orders prod --to-label release-1.4",
        "pyfly-config diff ./config orders prod --to-store file:///etc/pyfly --exit-code",
        "pyfly-config diff sqlite:///config.db orders prod --version 41",
    ],
)
