"""The results of a store as the payloads of records, and back."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Literal, TypeAlias

from pyfly.config_core import ConfigKey, JsonValue
from pyfly.config_server.live.standby_records import Record, State, guarded
from pyfly.config_server.storage import (
    ConfigDocument,
    ConfigResource,
    ConfigSnapshot,
    ConfigSource,
)

__all__ = [
    "Forgotten",
    "Kept",
    "decode_resource",
    "decode_snapshot",
    "decode_source",
    "encode_result",
]


class Forgotten(Enum):
    """The result of a store is not known, because it was changed after it was read."""

    FORGOTTEN = "unknown"


Kept: TypeAlias = (
    ConfigSource | ConfigResource | ConfigSnapshot | bool | Literal[Forgotten.FORGOTTEN] | None
)
"""The result of a store. `None` and `False` are absent."""


def encode_result(value: Kept) -> tuple[State, bytes]:
    """Return the state and the payload of a record for a result."""
    if value is None or value is False:
        return "absent", b""
    if value is True:
        return "present", b""
    if isinstance(value, Forgotten):
        return "unknown", b""
    if isinstance(value, ConfigResource):
        modified = None if value.modified is None else value.modified.isoformat()
        head = modified if value.path is None else [modified, value.path]
        return "present", json.dumps(head).encode() + b"\n" + value.content
    if isinstance(value, ConfigSource):
        return "present", json.dumps(_fields(value)).encode()
    sources = [None if source is None else _fields(source) for source in value.sources]
    return "present", json.dumps({"version": value.version, "sources": sources}).encode()


def decode_source(record: Record, key: ConfigKey) -> ConfigSource | None:
    """Return the bundle, or `None` if it was absent.

    Raises:
        ConfigFormatError: Another version has written the record.
    """
    if record.state == "absent":
        return None
    return guarded(lambda: _source(key, json.loads(record.payload)))


def decode_snapshot(record: Record, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
    """Return the snapshot of these bundles.

    Raises:
        ConfigFormatError: Another version has written the record.
    """

    def read() -> ConfigSnapshot:
        content = json.loads(record.payload)
        sources = zip(keys, content["sources"], strict=True)
        return ConfigSnapshot(
            sources=tuple(None if one is None else _source(key, one) for key, one in sources),
            version=content["version"],
        )

    return guarded(read)


def decode_resource(record: Record) -> ConfigResource | None:
    """Return the plain file, or `None` if it was absent.

    Raises:
        ConfigFormatError: Another version has written the record.
    """
    if record.state == "absent":
        return None

    def read() -> ConfigResource:
        line, _, content = record.payload.partition(b"\n")
        head: Any = json.loads(line)
        is_found = not isinstance(head, str | None)
        modified, path = head if is_found else (head, None)
        return ConfigResource(
            content=content,
            modified=None if modified is None else datetime.fromisoformat(modified),
            path=path,
        )

    return guarded(read)


def _fields(source: ConfigSource) -> dict[str, object]:
    """Return a bundle without its name, as a JSON object."""
    repeats = bool(source.documents) and source.properties == _shown(source.documents)
    return {
        "version": source.version,
        "resource": source.resource,
        "size": source.size,
        "properties": None if repeats else source.properties,
        "documents": [*map(_document_fields, source.documents)],
    }


def _document_fields(document: ConfigDocument) -> dict[str, object]:
    return {
        "properties": document.properties,
        "origins": dict(document.origins),
        "resource": document.resource,
        "place": document.place,
    }


def _source(key: ConfigKey, fields: Mapping[str, Any]) -> ConfigSource:
    documents = tuple(_documents(fields["documents"]))
    properties = fields["properties"]
    return ConfigSource(
        application=key.application,
        profile=key.profile,
        label=key.label,
        properties=_shown(documents) if properties is None else properties,
        version=fields["version"],
        resource=fields["resource"],
        documents=documents,
        size=fields["size"],
    )


def _shown(documents: Sequence[ConfigDocument]) -> Mapping[str, JsonValue]:
    """Return the properties of a bundle of a text store with these documents."""
    return documents[0].properties if len(documents) == 1 else {}


def _documents(rows: Sequence[Mapping[str, Any]]) -> Iterator[ConfigDocument]:
    for row in rows:
        yield ConfigDocument(
            properties=row["properties"],
            origins=row["origins"],
            resource=row["resource"],
            place=row["place"],
        )
