"""Stores of text files: a tree of files, a layout of their names, and the store itself.

A package for another kind of tree, such as a bucket, implements `FileTree` and derives its store
from `TextStore`, which handles names, formats, precedence and conditions of writes.
"""

from pyfly.config_server.files.directory_tree import DirectoryTree
from pyfly.config_server.files.file_tree import (
    UNCHANGED,
    ChangeNote,
    FileChanges,
    FileCondition,
    FileContent,
    FilesChangedError,
    FileTree,
    FileView,
    FileWriter,
    IrregularFileError,
    Listing,
    Unchanged,
    UnsettledFileError,
)
from pyfly.config_server.files.layouts import (
    PROPERTIES_SUFFIX,
    LabelsLayout,
    Layout,
    ListedKey,
    SpringLayout,
    parse_layout,
)
from pyfly.config_server.files.store_threads import StoreLimits
from pyfly.config_server.files.text_reader import MAX_RESOURCE_BYTES
from pyfly.config_server.files.text_store import TextStore
from pyfly.config_server.files.threads import Threads

__all__ = [
    "MAX_RESOURCE_BYTES",
    "PROPERTIES_SUFFIX",
    "UNCHANGED",
    "ChangeNote",
    "DirectoryTree",
    "FileChanges",
    "FileCondition",
    "FileContent",
    "FileTree",
    "FileView",
    "FileWriter",
    "FilesChangedError",
    "IrregularFileError",
    "LabelsLayout",
    "Layout",
    "ListedKey",
    "Listing",
    "SpringLayout",
    "StoreLimits",
    "TextStore",
    "Threads",
    "Unchanged",
    "UnsettledFileError",
    "parse_layout",
]
