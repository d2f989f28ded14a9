"""`diff`: what differs between two versions, profiles, labels, applications or stores."""

import argparse
from collections.abc import Mapping
from typing import TypeAlias

from pyfly.config_cli import _stores as stores
from pyfly.config_cli._exit import EXIT_CONDITION
from pyfly.config_cli._known import SettingsError
from pyfly.config_cli._output import json_text, say, say_json
from pyfly.config_core import ConfigKey, FlatValue, JsonValue, flatten
from pyfly.config_server.formats.text import same_tree

_Change: TypeAlias = tuple[FlatValue | None, FlatValue | None]


async def diff(arguments: argparse.Namespace) -> int:
    """Print what has to change in the one bundle to make it the other."""
    one = stores.key_of(arguments)
    other = ConfigKey(
        application=arguments.to_application or one.application,
        profile=arguments.to_profile or one.profile,
        label=arguments.to_label or one.label,
    )
    if one == other and not (arguments.to_store or arguments.version or arguments.to_version):
        raise SettingsError(
            "that compares a bundle with itself; say --version, or --to-version, --to-profile, "
            "--to-label, --to-application or --to-store"
        )
    async with stores.opened(arguments.store) as bundles:
        before = await stores.load(bundles, one, version=arguments.version, store=arguments.store)
    store = arguments.to_store or arguments.store
    async with stores.opened(store) as bundles:
        after = await stores.load(bundles, other, version=arguments.to_version, store=store)
    changes = compare(flatten(dict(before.properties)), flatten(dict(after.properties)))
    if arguments.json:
        say_json(_document(changes))
    elif changes:
        say("\n".join(_lines(changes)))
    return EXIT_CONDITION if changes and arguments.exit_code else 0


def compare(before: Mapping[str, FlatValue], after: Mapping[str, FlatValue]) -> dict[str, _Change]:
    """Return what differs, by flat key: the value before and after, `None` where there is none.

    `1`, `1.0`, `True` and `"1"` are different values.
    """
    found: dict[str, _Change] = {}
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if not same_tree(one, other):
            found[key] = (one, other)
    return found


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


def _lines(changes: Mapping[str, _Change]) -> list[str]:
    return [
        f"{sign} {key}: {json_text(value)}"
        for key, (one, other) in changes.items()
        for sign, value in (("-", one), ("+", other))
        if value is not None
    ]
