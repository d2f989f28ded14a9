"""`edit`: a bundle in the user's editor."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyfly.config_cli._cli.command import Command, callback_of
from pyfly.config_cli._cli.parameters import BundleArguments, bundle_parameters, commit_options
from pyfly.config_cli._console.output import print_note, print_result
from pyfly.config_cli._errors import ArgumentError
from pyfly.config_cli._stores.lost_text import describe_lost_text
from pyfly.config_cli._stores.opening import open_store
from pyfly.config_cli._stores.writing import (
    describe_commit,
    describe_new_label,
    load_current,
    make_source,
    print_change,
    store_bundle,
)
from pyfly.config_core import ConfigFormatError, JsonValue
from pyfly.config_server.formats.text import dump_text, parse_mapping

_HELP: Final = """\
Open a bundle as YAML in $VISUAL, $EDITOR or vi, and store the result.

Nothing is stored if another writer has changed the bundle meanwhile, or if the text does not
parse; your text is kept. The editor shows the properties without the comments of a file. A text
store changes only the lines of the file that say something else now; its comments stay.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditArguments(BundleArguments):
    """What to edit."""

    author: str | None
    message: str | None


async def edit_bundle(arguments: EditArguments) -> int:
    """Open one bundle in an editor and store the result; return the exit code."""
    key = arguments.key
    async with open_store(arguments.store) as bundles:
        await bundles.check_not_frozen([key])  # told before the work, not after it
        source, expected = await load_current(bundles, key)
        before = b"" if source is None else dump_text(source.properties, suffix=".yaml")
        new_label = await describe_new_label(bundles, key.label)
        with _scratch_file(f"{key.application}-{key.profile}.yaml", before) as path:
            _open_editor(path)
            after = path.read_bytes()
            if after == before:
                print_result(f"{key}: nothing changed")
                return 0
            changed = make_source(key, _parse(after, path.name))
            if (remark := await describe_lost_text(bundles, key, changed.properties)) is not None:
                print_note(remark)
            info = describe_commit(arguments.author, arguments.message)
            version = await store_bundle(bundles, changed, expected=expected, info=info)
    print_change(key, version, what="stored", as_json=False)
    if new_label is not None:
        print_note(new_label)
    return 0


def _parse(text: bytes, name: str) -> dict[str, JsonValue]:
    try:
        return parse_mapping(text, suffix=".yaml")
    except ConfigFormatError as error:
        raise error.at(name) from error


@contextmanager
def _scratch_file(name: str, before: bytes) -> Generator[Path]:
    """Yield a private file; remove it at the end, unless it holds a text that was not stored."""
    path = Path(tempfile.mkdtemp(prefix="pyfly-config-"), name)
    path.touch(mode=0o600)
    path.write_bytes(before)
    stored = False
    try:
        yield path
        stored = True
    finally:
        if not stored and path.exists() and path.read_bytes() != before:
            print_note(f"Nothing was stored. Your text is kept: store it with put --file {path}")
        else:
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _open_editor(path: Path) -> None:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(command), str(path)], check=False)  # noqa: S603 - the user's
    except (OSError, ValueError) as error:  # the latter: a quote that is not closed
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ArgumentError(
            f"cannot start the editor {command!r}: {reason}; set EDITOR to another one"
        ) from error
    if done.returncode:
        raise ArgumentError(f"the editor {command!r} ended with exit code {done.returncode}")


COMMAND: Final = Command(
    "edit",
    callback=callback_of(edit_bundle, EditArguments),
    params=[*bundle_parameters(), *commit_options()],
    help=_HELP,
    examples=["pyfly-config edit ./config orders prod"],
)
