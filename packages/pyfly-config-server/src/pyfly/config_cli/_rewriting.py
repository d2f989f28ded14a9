"""What a save loses of a text that was written by hand: its comments and its layout."""

import re
import sys
from pathlib import PurePosixPath
from typing import Final

from pyfly.config_cli._output import note
from pyfly.config_core import ConfigError, ConfigKey, ConfigObstructedError
from pyfly.config_server import Bundles
from pyfly.config_server.files.layouts import PROPERTIES_SUFFIX
from pyfly.config_server.formats.text import dump_text
from pyfly.config_server.storage import ConfigSource, SupportsResources

_COMMENT: Final = re.compile(rb"(?:^|[ \t])#", re.MULTILINE)
_JSON: Final = ".json"


def has_comments(data: bytes, *, suffix: str) -> bool:
    """True if a text seems to hold comments; a `#` in a quoted text may look like one."""
    return suffix != _JSON and _COMMENT.search(data) is not None


async def lost_text(bundles: Bundles, key: ConfigKey) -> str | None:
    """Return a remark when a save of a stored bundle will lose how its text is written.

    Returns:
        `None` when nothing is lost, or the store does not keep texts.
    """
    try:
        source = await bundles.load(key)
        data = await _stored(bundles, source)
        suffix = PurePosixPath(source.resource or "").suffix
        if data is None or suffix == PROPERTIES_SUFFIX:
            return None
        if data == dump_text(source.properties, suffix=suffix):
            return None
    except ConfigError:  # nothing is stored, or the save will tell what is wrong with it
        return None
    what = "comments and layout" if has_comments(data, suffix=suffix) else "layout"
    return f"{key.label}/{source.resource} is written anew: its {what} will be lost"


def check_editable(source: ConfigSource | None) -> None:
    """Refuse to edit what no save rewrites, before somebody does it in vain.

    Raises:
        ConfigObstructedError: It is a `.properties` file.
    """
    name = "" if source is None else source.resource or ""
    if source is not None and name.endswith(PROPERTIES_SUFFIX):
        raise ConfigObstructedError(
            f"{source.label}/{name}", "a .properties file is never rewritten or removed"
        )


def may_go_on(remark: str, *, asks: bool) -> bool:
    """Print a remark; on a terminal ask whether to go on.

    Args:
        remark: What will be lost.
        asks: `False` when the user has agreed already.
    """
    note(remark)
    streams = (sys.stdin, sys.stderr)
    if not asks or not all(stream is not None and stream.isatty() for stream in streams):
        return True
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201 - a question
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


async def _stored(bundles: Bundles, source: ConfigSource) -> bytes | None:
    backend = bundles.backend
    if source.resource is None or not isinstance(backend, SupportsResources):
        return None
    found = await backend.open_resource(source.label, source.resource)
    return None if found is None else found.content
