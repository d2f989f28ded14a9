"""`list`, `get`, `put`, `delete`, `history`, `rollback`: one store, one bundle at a time."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyfly.config_cli import _stores as stores
from pyfly.config_cli._assign import assigned, removed
from pyfly.config_cli._known import SettingsError
from pyfly.config_cli._output import note, say, say_json, table
from pyfly.config_core import ConfigFormatError, ConfigKey, JsonValue
from pyfly.config_server import Bundles
from pyfly.config_server.documents import (
    bundle_document,
    entry_document,
    name_document,
    version_document,
)
from pyfly.config_server.storage import ABSENT, Expected
from pyfly.config_server.text import dump_text, parse_mapping, parse_scalar

_SUFFIXES: Final = {"yaml": ".yaml", "json": ".json"}


async def show_list(arguments: argparse.Namespace) -> int:
    """Print the names of bundles, and what is wrong with those that cannot be read."""
    async with stores.opened(arguments.store) as bundles:
        entries = await stores.chosen(bundles, arguments)
    if arguments.json:
        say_json({"bundles": [entry_document(entry) for entry in entries]})
        return 0
    headings = ("LABEL", "APPLICATION", "PROFILE", "VERSION")
    names = [(entry.key.label, entry.key.application, entry.key.profile) for entry in entries]
    versions = [entry.version or "-" for entry in entries]
    say(table(headings, [(*name, version) for name, version in zip(names, versions, strict=True)]))
    for entry in entries:
        if entry.error is not None:
            note(f"unreadable: {entry.key}: {entry.error}")
    return 0


async def get(arguments: argparse.Namespace) -> int:
    """Print one bundle."""
    key = stores.key_of(arguments)
    async with stores.opened(arguments.store) as bundles:
        if arguments.version is None:
            source = await bundles.load(key)
        else:
            source = await bundles.load_version(key, arguments.version)
    if arguments.json:
        say_json(bundle_document(source))
    else:
        if source.version is not None:
            note(f"{key} at version {source.version}")
        say(dump_text(source.properties, suffix=".yaml").decode().rstrip("\n"))
    return 0


async def put(arguments: argparse.Namespace) -> int:
    """Store a whole bundle, or change some of its properties."""
    key = stores.key_of(arguments)
    changes = [_assignment(text) for text in arguments.assignments]
    if (arguments.file is None) == (not changes and not arguments.remove):
        raise SettingsError(
            "say either --file FILE (or --file - for standard input), or what to change: "
            "KEY=VALUE …, --remove KEY"
        )
    async with stores.opened(arguments.store) as bundles:
        expected: Expected = ABSENT
        if arguments.file is not None:
            properties = _read(arguments.file, arguments.format)
        else:
            properties, expected = await _changed(bundles, key, changes, arguments.remove)
        if arguments.expect is not None:
            expected = stores.expectation(arguments.expect)
        version = await stores.store(bundles, stores.source_of(key, properties), expected)
    _tell(arguments, key, version, "stored")
    return 0


async def delete(arguments: argparse.Namespace) -> int:
    """Remove one bundle."""
    key = stores.key_of(arguments)
    async with stores.opened(arguments.store) as bundles:
        await bundles.delete(key, expected=stores.expectation(arguments.expect))
    _tell(arguments, key, None, "removed")
    return 0


async def history(arguments: argparse.Namespace) -> int:
    """Print the changes of one bundle."""
    async with stores.opened(arguments.store) as bundles:
        versions = await bundles.history(stores.key_of(arguments))
    if arguments.json:
        say_json({"versions": [version_document(row) for row in versions]})
        return 0
    say(
        table(
            ("VERSION", "SAVED (UTC)", "AUTHOR", "MESSAGE"),
            [
                (
                    row.version,
                    f"{row.saved_at:%Y-%m-%d %H:%M:%S}",
                    row.author or "-",
                    "(removed)" if row.deleted else " ".join((row.message or "-").split()),
                )
                for row in versions
            ],
        )
    )
    return 0


async def rollback(arguments: argparse.Namespace) -> int:
    """Store an old version anew."""
    key = stores.key_of(arguments)
    async with stores.opened(arguments.store) as bundles:
        _, expected = await stores.current(bundles, key)
        if arguments.expect is not None:
            expected = stores.expectation(arguments.expect)
        version = await bundles.rollback(key, version=arguments.version, expected=expected)
    _tell(arguments, key, version, f"rolled back to {arguments.version}")
    return 0


async def _changed(
    bundles: Bundles,
    key: ConfigKey,
    changes: Sequence[tuple[str, JsonValue]],
    removals: Sequence[str],
) -> tuple[dict[str, JsonValue], Expected]:
    """Return what is stored with the changes made, and the expectation that it still is."""
    source, expected = await stores.current(bundles, key)
    properties = {} if source is None else dict(source.properties)
    try:
        for name, value in changes:
            properties = assigned(properties, name, value)
        for name in removals:
            properties = removed(properties, name)
    except ConfigFormatError as error:
        raise error.at(str(key)) from error
    return properties, expected


def _read(name: str, form: str | None) -> dict[str, JsonValue]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {name!r}: {error.strerror}") from error
    suffix = _SUFFIXES[form] if form else Path(name).suffix
    try:
        return parse_mapping(data, suffix=suffix if suffix == ".json" else ".yaml")
    except ConfigFormatError as error:
        raise error.at("standard input" if name == "-" else name) from error


def _assignment(text: str) -> tuple[str, JsonValue]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise SettingsError(f"{text[:60]!r} is no assignment; write KEY=VALUE")
    return key, parse_scalar(value)


def _tell(arguments: argparse.Namespace, key: ConfigKey, version: str | None, what: str) -> None:
    if arguments.json:
        say_json(name_document(key) | {"version": version})
    else:
        say(f"{key}: {what}" + ("" if version is None else f", now at version {version}"))
