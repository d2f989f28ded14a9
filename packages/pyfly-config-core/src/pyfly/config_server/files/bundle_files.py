"""Building a bundle, its documents and its version from files. Pure functions."""

import copy
import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pyfly.config_core import ConfigFormatError, ConfigKey
from pyfly.config_server.files.file_tree import FileContent
from pyfly.config_server.formats.text import parse_documents
from pyfly.config_server.storage import ConfigDocument, ConfigSource

__all__ = ["ParsedFile", "bundle_of", "bundle_version", "parse_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """The content of a file."""

    name: str
    """The path below the label."""
    identity: Hashable
    """While the file has this identity, its content is the same; `None` if that is not sure yet."""
    version: str
    size: int
    """Bytes of text."""
    documents: tuple[ConfigDocument, ...] = field(repr=False)
    """The lowest precedence first."""
    error: ConfigFormatError | None = None
    """The reason why it does not parse. It is kept so that requests do not parse again."""

    def at_place(self, place: int) -> "ParsedFile":
        """Return this file in a directory of this rank."""
        if all(document.place == place for document in self.documents):
            return self
        return replace(self, documents=tuple(one.at_place(place) for one in self.documents))

    def checked(self) -> "ParsedFile":
        """Return this file if it parses.

        Raises:
            ConfigFormatError: The text does not parse.
        """
        if self.error is not None:
            raise copy.copy(self.error)
        return self


def parse_file(content: FileContent, *, name: str, where: str) -> ParsedFile:
    """Return the documents of a file, or the error of parsing it.

    Args:
        content: The file.
        name: The path below the label.
        where: The name of the file in errors.
    """
    documents: tuple[ConfigDocument, ...] = ()
    failure: ConfigFormatError | None = None
    try:
        parsed = parse_documents(content.data, suffix=PurePosixPath(name).suffix)
        documents = tuple(replace(document, resource=name) for document in parsed)
    except ConfigFormatError as error:
        failure = error.at(where)
    return ParsedFile(
        name=name,
        identity=content.identity if content.is_settled else None,
        version=content.version,
        size=len(content.data),
        documents=documents,
        error=failure,
    )


def bundle_of(key: ConfigKey, files: Sequence[ParsedFile]) -> ConfigSource:
    """Return the bundle in several files. The last file has the highest precedence.

    Raises:
        ConfigFormatError: The text of a file does not parse.
    """
    return ConfigSource.from_documents(
        key,
        tuple(one for file in files for one in file.checked().documents),
        version=bundle_version({file.name: file.version for file in files}),
        resource=files[-1].name,
        size=sum(file.size for file in files),
    )


def bundle_version(versions: Mapping[str, str]) -> str:
    """Return the version of a bundle: the version of its file, or a digest of several versions.

    Args:
        versions: The versions of its files by name; not empty.
    """
    if len(versions) == 1:
        return next(iter(versions.values()))
    return hashlib.sha256(repr(sorted(versions.items())).encode()).hexdigest()
