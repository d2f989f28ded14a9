"""`list`, `get`, `put`, `delete`, `history`, `rollback`: one store, one bundle at a time."""

import argparse
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from pyfly.config_cli import _stores as stores
from pyfly.config_cli._assign import assigned, removed
from pyfly.config_cli._exit import EXIT_FAILED, EXIT_NOT_FOUND
from pyfly.config_cli._known import SettingsError
from pyfly.config_cli._output import note, say, say_exactly, say_json, table
from pyfly.config_cli._rewriting import has_comments, lost_text, may_go_on
from pyfly.config_core import (
    ConfigConflictError,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    JsonValue,
)
from pyfly.config_server import Bundles
from pyfly.config_server.files.layouts import PROPERTIES_SUFFIX
from pyfly.config_server.formats.documents import (
    bundle_document,
    entry_document,
    name_document,
    version_document,
)
from pyfly.config_server.formats.text import dump_text, parse_mapping, parse_scalar
from pyfly.config_server.storage import (
    ABSENT,
    ANY,
    PRESENT,
    ConfigEntry,
    ConfigVersion,
    Expected,
    SupportsHistory,
)

_MAX_DIGITS: Final = 9
_SUFFIXES: Final = {"yaml": ".yaml", "json": ".json"}


async def show_list(arguments: argparse.Namespace) -> int:
    """Print the names of bundles, and what is wrong with those that cannot be read."""
    async with stores.opened(arguments.store) as bundles:
        entries = await stores.chosen(bundles, arguments)
    if arguments.json:
        say_json({"bundles": [entry_document(entry) for entry in entries]})
        return _listed(entries)
    headings = ("LABEL", "APPLICATION", "PROFILE", "VERSION")
    names = [(entry.key.label, entry.key.application, entry.key.profile) for entry in entries]
    versions = [entry.version or "-" for entry in entries]
    say(table(headings, [(*name, version) for name, version in zip(names, versions, strict=True)]))
    for entry in entries:
        if entry.error is not None:
            note(f"unreadable: {entry.key}: {entry.error}")
    return _listed(entries)


def _listed(entries: Sequence[ConfigEntry]) -> int:
    return EXIT_FAILED if any(entry.error is not None for entry in entries) else 0


async def get(arguments: argparse.Namespace) -> int:
    """Print one bundle."""
    key = stores.key_of(arguments)
    async with stores.opened(arguments.store) as bundles:
        source = await stores.load(bundles, key, version=arguments.version, store=arguments.store)
    if arguments.json:
        say_json(bundle_document(source))
    else:
        if source.version is not None:
            note(f"{key} at version {source.version}")
        say_exactly(dump_text(source.properties, suffix=".yaml").decode().rstrip("\n"))
    return 0


async def put(arguments: argparse.Namespace) -> int:
    """Store a whole bundle, or change some of its properties."""
    key = stores.key_of(arguments)
    changes = [*map(_assignment, arguments.assignments, count(1))]
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
        remark = await lost_text(bundles, key)
        if remark is not None and not may_go_on(remark, asks=not arguments.yes):
            note("nothing was stored")
            return EXIT_FAILED
        is_new = await stores.new_label(bundles, key.label)
        version = await stores.store(bundles, stores.source_of(key, properties), expected)
    _tell(arguments, key, version, "stored")
    if is_new is not None:
        note(is_new)
    return 0


async def delete(arguments: argparse.Namespace) -> int:
    """Remove one bundle."""
    key = stores.key_of(arguments)
    expected = stores.expectation(arguments.expect)
    async with stores.opened(arguments.store) as bundles:
        try:
            await bundles.delete(key, expected=PRESENT if expected is ANY else expected)
        except ConfigConflictError as error:
            if error.current is not None:
                raise
            expected = ABSENT
    if expected is ABSENT:
        note(f"{key}: was not there")
        return EXIT_NOT_FOUND
    _tell(arguments, key, None, "removed")
    return 0


async def history(arguments: argparse.Namespace) -> int:
    """Print the newest changes of one bundle."""
    key = stores.key_of(arguments)
    limit = _limit(arguments.limit)
    async with stores.opened(arguments.store) as bundles:
        try:
            found = [row async for row in bundles.versions(key, most=limit + 1)]
        except ConfigNotFoundError as error:
            await stores.note_meant(error, bundles, key, store=arguments.store)
            raise
    _show_versions(found[:limit], as_json=arguments.json)
    if len(found) > limit:
        note(f"there are older versions; show more with --limit, such as --limit {10 * limit}")
    return 0


def _show_versions(versions: Sequence[ConfigVersion], *, as_json: bool) -> None:
    if as_json:
        say_json({"versions": [version_document(row) for row in versions]})
        return
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


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS and int(text)):
        raise SettingsError("--limit is a number of versions, such as 50")
    return int(text)


async def rollback(arguments: argparse.Namespace) -> int:
    """Store an old version anew."""
    key = stores.key_of(arguments)
    async with stores.opened(arguments.store) as bundles:
        _, expected = await stores.current(bundles, key)
        if arguments.expect is not None:
            expected = stores.expectation(arguments.expect)
        if isinstance(bundles.backend, SupportsHistory) and (
            remark := await lost_text(bundles, key)
        ):
            note(remark)
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
    if name == "-" and sys.stdin is None:  # it was closed before the start
        raise SettingsError("standard input is closed")
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {name!r}: {error.strerror}") from error
    suffix = _SUFFIXES[form] if form else Path(name).suffix.lower()
    if suffix == PROPERTIES_SUFFIX:
        raise SettingsError(f"{name!r} is a .properties file; give the bundle as YAML or JSON")
    suffix = suffix if suffix == ".json" else ".yaml"
    try:
        properties = parse_mapping(data, suffix=suffix)
    except ConfigFormatError as error:
        raise error.at("standard input" if name == "-" else name) from error
    if has_comments(data, suffix=suffix):
        note("comments of the file are not stored")
    return properties


def _assignment(text: str, number: int) -> tuple[str, JsonValue]:
    key, equals, value = text.partition("=")
    if not equals or not key:  # not shown, because it may be a secret
        raise SettingsError(f"assignment {number} has no key or no '='; write KEY=VALUE")
    return key, parse_scalar(value)


def _tell(arguments: argparse.Namespace, key: ConfigKey, version: str | None, what: str) -> None:
    if arguments.json:
        say_json(name_document(key) | {"version": version})
    else:
        say(f"{key}: {what}" + ("" if version is None else f", now at version {version}"))
