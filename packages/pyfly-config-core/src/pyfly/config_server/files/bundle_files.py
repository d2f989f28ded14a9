"""From the contents of files to a bundle, its documents and its version. Pure functions."""

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
    """What a file held when it had `identity`."""

    name: str
    """Below its label."""
    identity: Hashable
    version: str
    size: int
    """Bytes of text."""
    documents: tuple[ConfigDocument, ...] = field(repr=False)
    """The lowest precedence first."""
    error: ConfigFormatError | None = None
    """Why it does not parse: a broken text is not parsed again for every request."""

    def checked(self) -> "ParsedFile":
        """Return this.

        Raises:
            ConfigFormatError: The text does not parse.
        """
        if self.error is not None:
            raise copy.copy(self.error)
        return self


def parse_file(content: FileContent, *, name: str, where: str) -> ParsedFile:
    """Return what a file holds, or why it does not parse.

    Args:
        content: The file.
        name: Below its label.
        where: The file as errors name it.
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
        identity=content.identity,
        version=content.version,
        size=len(content.data),
        documents=documents,
        error=failure,
    )


def bundle_of(key: ConfigKey, files: Sequence[ParsedFile]) -> ConfigSource:
    """Return the bundle that lies in files, of which the last has the highest precedence.

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
    """Return the version of a bundle: that of its file, or a digest over those of several.

    Args:
        versions: The versions of its files by name; not empty.
    """
    if len(versions) == 1:
        return next(iter(versions.values()))
    return hashlib.sha256(repr(sorted(versions.items())).encode()).hexdigest()
