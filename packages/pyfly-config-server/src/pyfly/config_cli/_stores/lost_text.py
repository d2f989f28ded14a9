"""The comments and the layout that a save of a text file loses."""

import re
import sys
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_cli._console.output import is_terminal, print_note
from pyfly.config_core import ConfigError, ConfigKey, ConfigObstructedError
from pyfly.config_server import Bundles
from pyfly.config_server.files.layouts import PROPERTIES_SUFFIX
from pyfly.config_server.formats.text import dump_text
from pyfly.config_server.storage import ConfigSource, SupportsResources, ability

_COMMENT: Final = re.compile(rb"(?:^|[ \t])#", re.MULTILINE)
_JSON: Final = ".json"


def has_comments(data: bytes, *, suffix: str) -> bool:
    """True if a text seems to hold comments; a `#` in a quoted text may look like one."""
    return suffix != _JSON and _COMMENT.search(data) is not None


async def describe_lost_text(bundles: Bundles, key: ConfigKey) -> str | None:
    """Return a remark if a save of a stored bundle will lose comments or layout.

    Returns:
        `None` if nothing is lost, or the store does not keep texts.
    """
    try:
        source = await bundles.load(key)
        data = await _load_text(bundles, source)
        suffix = PurePosixPath(source.resource or "").suffix
        if data is None or suffix == PROPERTIES_SUFFIX:
            return None
        if data == dump_text(source.properties, suffix=suffix):
            return None
    except ConfigError:  # nothing is stored, or the save will report the error
        return None
    what = "comments and layout" if has_comments(data, suffix=suffix) else "layout"
    return f"{key.label}/{source.resource} is written anew: its {what} will be lost"


def check_editable(source: ConfigSource | None) -> None:
    """Check that a bundle can be rewritten, before a person edits it.

    Raises:
        ConfigObstructedError: It is a `.properties` file.
    """
    name = "" if source is None else source.resource or ""
    if source is not None and name.endswith(PROPERTIES_SUFFIX):
        raise ConfigObstructedError(
            f"{source.label}/{name}", "a .properties file is never rewritten or removed"
        )


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
