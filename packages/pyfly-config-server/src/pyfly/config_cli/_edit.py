"""`edit`: a bundle in the user's own editor, stored under the condition that nobody was faster."""

import argparse
import os
import shlex
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pyfly.config_cli import _stores as stores
from pyfly.config_cli._known import SettingsError
from pyfly.config_cli._output import note, say
from pyfly.config_cli._rewriting import check_editable, lost_text
from pyfly.config_core import ConfigFormatError
from pyfly.config_server.formats.text import dump_text, parse_mapping


async def edit(arguments: argparse.Namespace) -> int:
    """Open one bundle as YAML in `$VISUAL` or `$EDITOR`; store what comes back."""
    key = stores.key_of(arguments)
    async with stores.opened(arguments.store) as bundles:
        source, expected = await stores.current(bundles, key)
        check_editable(source)
        before = b"" if source is None else dump_text(source.properties, suffix=".yaml")
        if (remark := await lost_text(bundles, key)) is not None:
            note(remark)
        is_new = await stores.new_label(bundles, key.label)
        with _scratch(f"{key.application}-{key.profile}.yaml", before) as path:
            _open_editor(path)
            after = path.read_bytes()
            if after == before:
                say(f"{key}: nothing changed")
                return 0
            try:
                properties = parse_mapping(after, suffix=".yaml")
            except ConfigFormatError as error:
                raise error.at(path.name) from error
            version = await stores.store(bundles, stores.source_of(key, properties), expected)
    say(f"{key}: stored" + ("" if version is None else f", now at version {version}"))
    if is_new is not None:
        note(is_new)
    return 0


@contextmanager
def _scratch(name: str, before: bytes) -> Generator[Path]:
    """Lend a file of the user's own; remove it, unless that would lose what was written in it."""
    path = Path(tempfile.mkdtemp(prefix="pyfly-config-"), name)
    path.touch(mode=0o600)
    path.write_bytes(before)
    stored = False
    try:
        yield path
        stored = True
    finally:
        if not stored and path.exists() and path.read_bytes() != before:
            note(f"Nothing was stored. Your text is kept: store it with put --file {path}")
        else:
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _open_editor(path: Path) -> None:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(command), str(path)], check=False)  # noqa: S603 - theirs
    except (OSError, ValueError) as error:  # the latter: a quote that is not closed
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(
            f"cannot start the editor {command!r}: {reason}; set EDITOR to another one"
        ) from error
    if done.returncode:
        raise SettingsError(f"the editor {command!r} ended with exit code {done.returncode}")
