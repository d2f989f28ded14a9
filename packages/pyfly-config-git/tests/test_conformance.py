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
    HistoryConformance,
    KeysConformance,
    LabelsConformance,
    RefetchConformance,
    ResourcesConformance,
    SnapshotsConformance,
)

NO_BRANCH_BELOW_A_BRANCH = "git has no branch 'feature/x' beside a branch 'feature'"
DIFFERENCES = {
    "test_a_label_goes_with_its_last_bundle": NO_BRANCH_BELOW_A_BRANCH,
    "test_keys_are_complete_and_in_order": NO_BRANCH_BELOW_A_BRANCH,
    "test_keys_of_one_label_are_those_of_that_label": NO_BRANCH_BELOW_A_BRANCH,
    "test_keys_go_on_after_a_name": NO_BRANCH_BELOW_A_BRANCH,
    "test_histories_of_labels_are_separate": NO_BRANCH_BELOW_A_BRANCH,
    "test_removing_leaves_the_others": NO_BRANCH_BELOW_A_BRANCH,
    "test_many_keys_give_what_single_fetches_give": NO_BRANCH_BELOW_A_BRANCH,
    "test_a_listing_is_complete_and_in_order": NO_BRANCH_BELOW_A_BRANCH,
    "test_concurrent_saves_of_many_bundles_are_all_kept": NO_BRANCH_BELOW_A_BRANCH,
    "test_bundles_of_similar_names_are_independent[label-parent]": NO_BRANCH_BELOW_A_BRANCH,
    "test_bundles_of_similar_names_are_independent[label-child]": NO_BRANCH_BELOW_A_BRANCH,
    "test_a_removal_is_a_row_with_its_author_and_message": (
        "equal bytes have an equal version; in a history the older row has its commit added"
    ),
    "test_what_was_never_stored_has_no_version": (
        "the version of a snapshot is the commit of its label, whoever is asked for"
    ),
    "test_every_change_of_a_part_gives_a_version_never_seen_before": (
        "a save of what is stored makes no commit"
    ),
}
"""What this store does in another way, and why; each test fails."""


@pytest.mark.slow
class TestGit(
    BackendConformance,
    BatchFetchConformance,
    SnapshotsConformance,
    KeysConformance,
    LabelsConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    HistoryConformance,
    ChangesConformance,
    BaseBundlesConformance,
    ResourcesConformance,
    RefetchConformance,
    CheckConformance,
    CloseConformance,
):
    layout: ClassVar = "labels"
    repository: Repository
    open: Callable[..., GitConfigBackend]

    @pytest.fixture(autouse=True)
    def expect_differences(self, request: pytest.FixtureRequest) -> None:
        reason = DIFFERENCES.get(request.node.name)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))

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
