"""The suite itself: it fails for stores that are wrong, and cannot be made to pass."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from suite_changes import CHANGES
from suite_stores import ALIASED, FORGOTTEN, GOOD, HEAD, LOST_TYPE, REPLACED, SHAPES
from suite_wrappers import WRAPPERS


def run(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(HEAD + code, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nstrict = true\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "--no-header", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"CI": "true"},  # where pytest shows every difference whole
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_three_right_methods_pass(tmp_path: Path) -> None:
    done = run(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (FORGOTTEN, "SupportsKeys: add KeysConformance to the bases of TestForgotten"),
        (REPLACED, "replaces"),
        (ALIASED, "alias"),
        (LOST_TYPE, "comes_back_exactly"),
    ],
)
def test_a_wrong_store_or_class_fails(tmp_path: Path, code: str, said: str) -> None:
    if code is REPLACED:
        code = code.replace("test_an_empty_store_lists_nothing", name_of_some_test())
    done = run(tmp_path, code)
    assert done.returncode in {1, 2}, done.stdout
    assert said in done.stdout


def name_of_some_test() -> str:
    from pyfly.config_server.testing import BackendConformance  # noqa: PLC0415

    return next(name for name in vars(BackendConformance) if name.startswith("test"))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, dict[str, str]]]:
    """Run a module of test classes once; return the failed tests of each, with their messages."""

    @cache
    def failed(code: str) -> dict[str, dict[str, str]]:
        done = run(tmp_path_factory.mktemp("suite"), code)
        classes = dict.fromkeys(re.findall(r"^(?:class )?(Test\w+)(?:\(| =)", code, re.MULTILINE))
        found: dict[str, dict[str, str]] = {name: {} for name in classes}
        assert done.returncode == 1, done.stdout
        assert "ERROR" not in done.stdout, done.stdout
        # From the heading of each failure to the next one.
        parts = re.split(r"^_+ (Test\w+)\.(test_\w+)\S* _+$", done.stdout, flags=re.MULTILINE)
        for name, test, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            found[name][test] = text
        return found

    return failed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SyncList", "`list` must be async: async def list(self)"),
        (
            "NoLabelName",
            "`fetch` must accept (self, application, profile, label='main'); it has "
            "(application, profile, branch='main')",
        ),
        ("OldCommit", "`commit` must accept (self, source, *, expected, author=None, message=None"),
        ("KeysNotYielded", "`keys` is `async def` without `yield`"),
        ("KeysOfAGenerator", "`keys` must return an async iterator"),
        ("AsyncAbility", "`ability` must be a method that is not async"),
        ("EmptyAbility", "EmptyAbility has no method `delete` of SupportsDelete"),
        ("Flag", "`has_base_bundles` must be True or False"),
        ("Class", "the fixture `backend` returns the class Kept"),
        ("AsyncFixture", "AsyncFixture has no method `save` of ConfigBackend"),
    ],
)
def test_a_wrong_shape_fails_one_test_that_says_why(
    failed: Callable[[str], dict[str, dict[str, str]]], name: str, said: str
) -> None:
    tests = failed(SHAPES)
    assert [*tests[f"Test{name}"]] == ["test_the_store_has_the_shape_of_the_interface"]
    assert said in tests[f"Test{name}"]["test_the_store_has_the_shape_of_the_interface"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("Lost", "test_no_change_is_missed_while_several_write"),
        ("Costly", "test_an_idle_look_costs_the_same_for_large_bundles"),
        ("CursorBefore", "test_every_save_is_named_and_moves_the_cursor"),
        ("CursorLate", "test_every_save_is_named_and_moves_the_cursor"),
        ("ForgetsRemovals", "test_a_removal_is_named"),
        ("UnknownIsNothing", "test_an_unknown_cursor_gives_everything"),
        ("OldIsForgotten", "test_changes_add_up_from_an_older_cursor"),
        ("FirstTakesAll", "test_a_change_is_named_until_the_new_cursor_is_used"),
        ("ContentOnly", "test_every_save_is_named_and_moves_the_cursor"),
        ("SaveOnly", "test_a_conditional_save_and_a_base_bundle_are_named"),
        ("Shared", "test_a_write_through_another_object_is_named"),
        ("Restless", "test_nothing_changed_while_nothing_was_written"),
    ],
)
def test_a_store_that_loses_changes_fails(
    failed: Callable[[str], dict[str, dict[str, str]]], name: str, test: str
) -> None:
    tests = failed(CHANGES)
    assert test in tests[f"Test{name}"]
    assert not tests["TestRight"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("Prefix", "test_a_batch_holds_what_fetches_return"),
        ("Prefix", "test_a_snapshot_holds_what_fetches_return"),
        ("Prefix", "test_keys_are_those_of_a_listing"),
        ("Prefix", "test_labels_are_those_of_a_listing"),
        ("Prefix", "test_the_newest_version_is_what_a_fetch_returns"),
        ("Prefix", "test_a_commit_is_returned_by_the_next_fetch"),
        ("Prefix", "test_a_removed_bundle_is_fetched_no_more"),
        ("Prefix", "test_a_change_has_the_name_that_a_fetch_needs"),
        ("ClaimsAll", "test_an_ability_that_the_store_below_lacks_is_not_claimed"),
        ("HalfHistory", "test_a_method_of_an_ability_does_not_stand_alone"),
        ("StaysOpen", "test_closing_closes_the_store_below"),
        ("NoBase", "test_the_wrapper_has_the_base_bundles_of_the_store_below"),
        ("ReadOnlyThatWrites", "test_a_save_is_returned_by_the_next_fetch"),
        ("LosesAuthors", "test_a_commit_is_returned_by_the_next_fetch"),
        ("LosesAuthors", "test_a_removed_bundle_is_fetched_no_more"),
        ("SmallKeys", "test_keys_are_those_of_a_listing"),
    ],
)
def test_a_wrong_wrapper_fails(
    failed: Callable[[str], dict[str, dict[str, str]]], name: str, test: str
) -> None:
    assert test in failed(WRAPPERS)[f"Test{name}"]
