"""The suite of the storage interface, with a push for each save."""

from collections.abc import Callable
from typing import ClassVar

import pytest

from git_repositories import Repository, until_fetched
from pyfly.config_git import GitConfigBackend
from pyfly.config_server.storage import SupportsResources
from pyfly.config_server.testing import (
    BackendConformance,
    BaseBundlesConformance,
    BatchFetchConformance,
    ChangesConformance,
    CheckConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    HistoryConformance,
    KeysConformance,
    LabelsConformance,
    RefetchConformance,
    ResourcesConformance,
    SnapshotsConformance,
)


@pytest.mark.slow
class TestGit(
    BackendConformance,
    BatchFetchConformance,
    SnapshotsConformance,
    KeysConformance,
    LabelsConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    HistoryConformance,
    ChangesConformance,
    BaseBundlesConformance,
    ResourcesConformance,
    RefetchConformance,
    CheckConformance,
    CloseConformance,
):
    labels_without_children = "git has no branch 'feature/x' beside a branch 'feature'"
    labels_without_bundles = "a branch stays when its last file is removed"
    versions_of_labels = "the version of a snapshot is the commit of its label"
    equal_saves_make_no_version = "a save of what is stored makes no commit"
    equal_content_has_one_version = "the version of a bundle is the object id of its file"
    layout: ClassVar = "labels"
    repository: Repository
    open: Callable[..., GitConfigBackend]

    @pytest.fixture
    def backend(
        self, repository: Repository, open_store: Callable[..., GitConfigBackend]
    ) -> GitConfigBackend:
        self.repository, self.open = repository, open_store
        return self._store()

    def _store(self) -> GitConfigBackend:
        return self.open(write="true", layout=self.layout)

    async def open_another(self) -> GitConfigBackend:
        return self._store()

    async def store_resource(
        self, backend: SupportsResources, label: str, path: str, content: bytes
    ) -> None:
        commit = self.repository.commit({path: content}, label)
        assert isinstance(backend, GitConfigBackend)
        await until_fetched(backend, label, commit)
