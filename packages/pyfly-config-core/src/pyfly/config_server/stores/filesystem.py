"""The store that keeps bundles in the files of a directory."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from pyfly.config_core import DEFAULT_LABEL, BackendLookupError, check_name
from pyfly.config_server.files.directory_tree import DirectoryTree
from pyfly.config_server.files.layouts import LabelsLayout, Layout, parse_layout
from pyfly.config_server.files.platforms import check_platform
from pyfly.config_server.files.text_store import TextStore
from pyfly.config_server.storage import SupportsChangeHints
from pyfly.config_server.stores.hints import DirectoryHints, can_watch

__all__ = ["FilesystemConfigBackend"]

_Ability = TypeVar("_Ability")

_FORM = "write a file: URL as file:///absolute/directory or file:relative/directory"


class FilesystemConfigBackend(TextStore):
    """Bundles in files: `<root>/<label>/<application>-<profile>.{yaml,yml,json,properties}`.

    A file without a profile, `<application>.yaml`, is a base bundle. A fetch opens the files of
    the requested bundles only and sees manual changes at once. A save writes the file that a
    fetch reads, in its format, or a new `.yaml` file; comments are not kept. The version of a
    bundle is the SHA-256 digest of its file. Writers of a label take turns, across processes, too.
    The root must exist. The directory of a label is made with its first bundle and removed with
    its last file.

    With `SpringLayout` the store reads a repository of Spring Cloud Config: the files are in the
    root itself, under one label, and each of `.properties`, `.yml` and `.yaml` counts.

    Args:
        root: The directory with all labels, or with the files of the only label.
        layout: The rules for file names.
        label: The only label of a layout without directories for labels; by default `main`.

    Raises:
        InvalidConfigKeyError: `label` is not acceptable.
        UnsupportedOperationError: The operating system lacks what this store needs, as Windows
            does.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        layout: Layout | None = None,
        label: str | None = None,
    ) -> None:
        check_platform()
        chosen = layout or LabelsLayout()
        only = None if chosen.has_label_directories else label or DEFAULT_LABEL
        if only is not None:
            check_name("label", only)
        self._root = Path(root)
        self._hints = DirectoryHints(self._root)
        tree = DirectoryTree(self._root, label=only, reported=self._hints.take_reported)
        super().__init__(tree, chosen)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open `file:///absolute/directory` or `file:relative/directory`.

        With `?layout=spring` the files are in the directory itself, under the label `main` or the
        label of `&label=`. `&profiles=` lists names that are profiles, and `&search=` the
        directories with files of bundles.

        Raises:
            BackendLookupError: The URL names a host, has no path or has another query.
            InvalidConfigKeyError: The label or a profile is not acceptable.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            layout, label = parse_layout(options)
        except BackendLookupError as error:
            raise BackendLookupError(f"{_FORM}; {error}") from error
        if parts.netloc not in {"", "localhost"} or not parts.path or options:
            raise BackendLookupError(
                f"{_FORM}, with ?layout=spring when it is a repository of Spring Cloud Config"
            )
        return cls(unquote(parts.path), layout=layout, label=label)

    def ability(self, kind: type[_Ability]) -> _Ability | None:
        """Return this store if it has an ability. Hints need `pyfly-config-core[watch]`."""
        if kind is SupportsChangeHints and not can_watch():
            return None
        return super().ability(kind)

    def hints(self) -> AsyncGenerator[None]:
        """Yield once the root is watched, and whenever the file system reports a change.

        Some file systems, such as NFS, do not report the changes of other machines.

        Raises:
            UnsupportedOperationError: `pyfly-config-core[watch]` is not installed.
        """
        return self._hints.read()

    async def aclose(self) -> None:
        """End all iterators of `hints`, wait for a running save, and refuse further calls."""
        await self._hints.aclose()
        await super().aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self._root)!r})"
