"""The new text of the file that a save changes. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pyfly.config_core import ConfigFormatError, ConfigKey, ConfigObstructedError, JsonValue
from pyfly.config_server.files.bundle_edits import edit_one_file
from pyfly.config_server.files.bundle_files import parse_file
from pyfly.config_server.files.file_tree import FileContent
from pyfly.config_server.files.layouts import PROPERTIES_SUFFIX
from pyfly.config_server.formats.editing.tree_editor import EditLevel
from pyfly.config_server.formats.edits import edit_documents, edit_text
from pyfly.config_server.formats.text import holds_several_documents
from pyfly.config_server.storage import ConfigDocument

__all__ = ["NewText", "edited_file", "has_several_documents", "in_several_files"]

_REMARKS = {
    EditLevel.MAPPING: "a part of it was written anew, without comments",
    EditLevel.WHOLE: "it was written anew, without comments",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewText:
    """The new content of one file."""

    name: str
    data: bytes = field(repr=False)
    level: EditLevel

    def remark(self, label: str) -> str | None:
        """Return what the user must know about the save; `None` if all other lines stayed."""
        what = _REMARKS.get(self.level)
        return None if what is None else f"{label}/{self.name}: {what}"


def edited_file(
    key: ConfigKey, contents: Mapping[str, FileContent], wanted: Mapping[str, JsonValue]
) -> NewText:
    """Return the new text of the only file that must change.

    A file with one document gets exactly the wanted tree. In a bundle of several documents or
    files, nested and dotted keys are equal, and only the documents with changed keys change.

    Args:
        key: The name of the bundle.
        contents: Its files, the highest precedence first; not empty.
        wanted: Its new properties. If it has several documents, those of `merged_properties` with
            changes.

    Raises:
        ConfigFormatError: A file does not parse, or the format cannot hold the tree.
        ConfigObstructedError: It is not clear which document must change, or that document cannot
            be edited.
    """
    name = next(iter(contents))
    if len(contents) == 1 and not has_several_documents(name, contents[name]):
        edit = edit_text(contents[name].data, wanted, suffix=_suffix(name))
        return NewText(name=name, data=edit.data, level=edit.level)
    files = {one: _documents(key, one, content) for one, content in contents.items()}
    try:
        found = edit_one_file(files, wanted)
        if found is None:
            raise in_several_files(key, contents)
        name, trees = found
        edit = edit_documents(contents[name].data, trees, suffix=_suffix(name))
    except ConfigFormatError as error:
        raise ConfigObstructedError(f"{key.label}/{name}", error.reason) from error
    return NewText(name=name, data=edit.data, level=edit.level)


def in_several_files(key: ConfigKey, contents: Mapping[str, FileContent]) -> ConfigObstructedError:
    """Return the error for a change that is not in one file."""
    first, *others = contents
    where = f"the bundle is also in {', '.join(others)}, and " if others else ""
    return ConfigObstructedError(
        f"{key.label}/{first}", f"{where}the change is not in exactly one of these files"
    )


def has_several_documents(name: str, content: FileContent) -> bool:
    """True if a file holds more than one document.

    Raises:
        ConfigFormatError: It is a `.properties` file that does not parse.
    """
    suffix = _suffix(name)
    if suffix == PROPERTIES_SUFFIX:
        return len(parse_file(content, name=name, where=name).documents) > 1
    return holds_several_documents(content.data, suffix=suffix)


def _documents(key: ConfigKey, name: str, content: FileContent) -> tuple[ConfigDocument, ...]:
    where = f"{key.label}/{name}"
    file = parse_file(content, name=name, where=where)
    if file.error is not None and holds_several_documents(content.data, suffix=_suffix(name)):
        raise ConfigObstructedError(
            where, "it holds several documents, which would be lost, and does not parse"
        )
    return file.checked().documents


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix
