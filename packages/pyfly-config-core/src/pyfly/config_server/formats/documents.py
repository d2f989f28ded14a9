"""JSON documents of stored bundles, the same over HTTP and on the command line."""

import json
from collections.abc import Mapping

from pyfly.config_core import ConfigKey, JsonValue, finite
from pyfly.config_server.storage import ConfigEntry, ConfigSource, ConfigVersion

__all__ = [
    "bundle_document",
    "encode_json",
    "entry_document",
    "name_document",
    "version_document",
]


def name_document(key: ConfigKey) -> dict[str, JsonValue]:
    """Return `application`, `profile` and `label`."""
    return {"application": key.application, "profile": key.profile, "label": key.label}


def entry_document(entry: ConfigEntry) -> dict[str, JsonValue]:
    """Return one row of a listing: a name with its `version`, its `error` and its `guess`."""
    document = name_document(entry.key) | {"version": entry.version}
    if entry.error is not None:
        document["error"] = entry.error
    return document | {"guess": True} if entry.is_guess else document


def bundle_document(source: ConfigSource) -> dict[str, JsonValue]:
    """Return a bundle as it is stored. Infinities and NaN become texts, as Spring writes them."""
    properties = finite(dict(source.properties))
    return name_document(source.key) | {"version": source.version, "properties": properties}


def version_document(version: ConfigVersion) -> dict[str, JsonValue]:
    """Return one row of a history."""
    return {
        "version": version.version,
        "savedAt": version.saved_at.isoformat(),
        "author": version.author,
        "message": version.message,
        "deleted": version.deleted,
    }


def encode_json(document: Mapping[str, JsonValue] | list[JsonValue]) -> bytes:
    """Return compact JSON in UTF-8, without infinities and NaN."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
