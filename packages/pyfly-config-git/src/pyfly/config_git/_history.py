"""The history of a bundle: the commits that changed one of its files. Blocking."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyfly.config_core import ConfigFormatError, ConfigKey, ConfigNotFoundError
from pyfly.config_core.limits import MAX_DOCUMENT_BYTES
from pyfly.config_git._commits import parse_commit
from pyfly.config_git._mirror import Snapshot
from pyfly.config_git._tree import GitTree
from pyfly.config_git._views import CommitView
from pyfly.config_git._writer import subject_of
from pyfly.config_server.files import FileContent, Layout
from pyfly.config_server.files.bundle_files import bundle_of, bundle_version, parse_file
from pyfly.config_server.files.bundle_paths import BundlePaths
from pyfly.config_server.storage import ConfigSource, ConfigVersion

_MAX_COMMIT_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    commit: str
    version: str
    files: Mapping[str, str]
    """The files that a reader used, with their object ids, the highest precedence first."""


class BundleHistory:
    """Reads histories.

    The version of a bundle is made of its content, so that a version may come back. In a history
    the newest row with it has it; older ones have the commit added.

    Args:
        tree: The tree of files.
        layout: The rules for file names.
    """

    def __init__(self, tree: GitTree, layout: Layout) -> None:
        self._tree = tree
        self._layout = layout

    def page(
        self, key: ConfigKey, *, limit: int, before: str | None, deadline: float
    ) -> list[ConfigVersion]:
        """Return at most `limit` changes, newest first, older than `before`.

        Raises:
            ConfigNotFoundError: `before` is not a version of the bundle.
        """
        with self._tree.reading(deadline) as snapshot:
            rows = self._rows(snapshot, key, deadline)
            if before is not None and all(row.version != before for row in rows):
                raise ConfigNotFoundError("version", before)
            page = [row for row, _ in zip(rows, range(limit), strict=False)]
            return [self._shown(snapshot, key, row, deadline) for row in page]

    def load(self, key: ConfigKey, version: str, *, deadline: float) -> ConfigSource | None:
        """Return the bundle at a version; `None` for a removal, or if there is none."""
        with self._tree.reading(deadline) as snapshot:
            for row in self._rows(snapshot, key, deadline):
                if row.version == version:
                    return self._source(snapshot, key, row, deadline) if row.files else None
        return None

    def _rows(self, snapshot: Snapshot, key: ConfigKey, deadline: float) -> Iterator[_Row]:
        """Yield the changes of a bundle, newest first."""
        commit = self._tree.commit_in(snapshot, key.label, deadline=deadline)
        if commit is None:
            return
        now = CommitView(objects=snapshot.objects, commit=commit, deadline=deadline)
        names = [*BundlePaths(now, self._layout).of(key)]
        seen: set[str] = set()
        for changed in _commits(snapshot, commit, names, deadline):
            view = CommitView(objects=snapshot.objects, commit=changed, deadline=deadline)
            files = {name: blob for name in names if (blob := view.blob(name)) is not None}
            if not self._layout.reads_all:
                files = dict([*files.items()][:1])
            version = bundle_version(files) if files else changed
            shown = f"{version}@{changed}" if version in seen else version
            seen.add(version)
            yield _Row(commit=changed, version=shown, files=files)

    def _shown(
        self, snapshot: Snapshot, key: ConfigKey, row: _Row, deadline: float
    ) -> ConfigVersion:
        found = snapshot.objects.cat_file.read(
            row.commit, limit=_MAX_COMMIT_BYTES, deadline=deadline
        )
        commit = parse_commit(found.data, subject=subject_of(key, removed=not row.files))
        return ConfigVersion(
            version=row.version,
            saved_at=commit.saved_at,
            author=commit.author,
            message=commit.message,
            deleted=not row.files,
        )

    def _source(
        self, snapshot: Snapshot, key: ConfigKey, row: _Row, deadline: float
    ) -> ConfigSource:
        view = CommitView(objects=snapshot.objects, commit=row.commit, deadline=deadline)
        files: list[tuple[str, FileContent]] = []
        for name in reversed([*row.files]):
            try:
                content = view.read(name, limit=MAX_DOCUMENT_BYTES)
            except ConfigFormatError as error:
                raise error.at(f"{key.label}/{name}") from error.__cause__
            if isinstance(content, FileContent):
                files.append((name, content))
        source = bundle_of(
            key,
            [
                parse_file(content, name=name, where=f"{key.label}/{name}")
                for name, content in files
            ],
        )
        return ConfigSource.from_documents(
            key,
            source.documents,
            version=row.version,
            resource=source.resource,
            size=source.size,
        )


def _commits(snapshot: Snapshot, commit: str, names: Sequence[str], deadline: float) -> list[str]:
    """Return the commits that changed one of these files, newest first.

    The index of changed paths serves one path at a time, and in most cases the bundle has had only
    one of the names.
    """
    found = [ids for name in names if (ids := _listed(snapshot, commit, [name], deadline))]
    if len(found) > 1:
        return _listed(snapshot, commit, names, deadline)
    return found[0] if found else []


def _listed(snapshot: Snapshot, commit: str, names: Sequence[str], deadline: float) -> list[str]:
    paths = [f":(literal){name}" for name in names]
    output = snapshot.objects.run("rev-list", commit, "--", *paths, deadline=deadline)
    return output.decode().split()
