"""The comments and the layout that a save of a text file loses, where its text cannot be edited."""

import re
import sys
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_cli._console.output import is_terminal, print_note
from pyfly.config_core import ConfigError, ConfigKey, JsonValue
from pyfly.config_server import Bundles
from pyfly.config_server.formats.editing.tree_editor import EditLevel
from pyfly.config_server.formats.edits import edit_text
from pyfly.config_server.storage import ConfigSource, SupportsResources, ability

_COMMENT: Final = re.compile(rb"(?:^|[ \t])#", re.MULTILINE)
_JSON: Final = ".json"


def has_comments(data: bytes, *, suffix: str) -> bool:
    """True if a text seems to hold comments; a `#` in a quoted text may look like one."""
    return suffix != _JSON and _COMMENT.search(data) is not None


async def describe_lost_text(
    bundles: Bundles, key: ConfigKey, properties: Mapping[str, JsonValue]
) -> str | None:
    """Return a remark if a save will write a part of a text anew, without its comments.

    Args:
        bundles: The store.
        key: The name of the bundle.
        properties: Its new properties.

    Returns:
        `None` if all lines that say the same will stay, or the store does not keep texts.
    """
    try:
        source = await bundles.load(key)
        data = await _load_text(bundles, source)
        if data is None or source.resource is None:
            return None
        suffix = PurePosixPath(source.resource).suffix
        edit = edit_text(data, properties, suffix=suffix)
    except ConfigError:  # nothing is stored, or the save will report the error
        return None
    if edit.level < EditLevel.MAPPING:
        return None
    lost = "comments and layout" if has_comments(data, suffix=suffix) else "layout"
    part = "a part of it is" if edit.level is EditLevel.MAPPING else "it is"
    return f"{key.label}/{source.resource}: {part} written anew and loses its {lost}"


def confirm(remark: str, *, agreed: bool) -> bool:
    """Print a remark; on a terminal ask whether to go on. True if the user agrees.

    Args:
        remark: What will be lost.
        agreed: True if the user has agreed already.
    """
    print_note(remark)
    if agreed or not all(is_terminal(stream) for stream in (sys.stdin, sys.stderr)):
        return True
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201 - a question
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


async def _load_text(bundles: Bundles, source: ConfigSource) -> bytes | None:
    store = ability(bundles.backend, SupportsResources)
    if source.resource is None or store is None:
        return None
    resource = await store.open_resource(source.label, source.resource)
    return None if resource is None else resource.content
