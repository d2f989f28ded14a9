"""Plain files beside the bundles (contract §5), one call at a time, blocking."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from pyfly.config_core import ConfigFormatError
from pyfly.config_server.files import safe_io
from pyfly.config_server.files.layouts import MAX_RESOURCE_BYTES
from pyfly.config_server.storage import ConfigResource


def read_resource(root: Path, path: str) -> ConfigResource | None:
    """Read the file at `path` below the root; `None` when there is no regular file.

    Args:
        root: What the file must not lie outside of, links resolved.
        path: With `/` between its parts; every part is already known to be harmless.

    Raises:
        ConfigFormatError: It is larger than 10 MiB.
        BackendAccessDeniedError: A link leads out of the root, or permissions are missing.
        UnsettledFileError: It is being written; try again.
        BackendUnavailableError: It cannot be read.
    """
    with safe_io.translated(f"read '{path}'"):
        descriptor = safe_io.open_inside(root, path, safe_io.REGULAR)
        if descriptor is None:
            return None
        with safe_io.opened(descriptor):
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            try:
                content = safe_io.read_file(descriptor, limit=MAX_RESOURCE_BYTES, where=path)
            except ConfigFormatError as error:
                raise error.at(path) from error
    modified = datetime.fromtimestamp(content.identity.modified // 10**9, UTC)
    return ConfigResource(content=content.data, modified=modified)
