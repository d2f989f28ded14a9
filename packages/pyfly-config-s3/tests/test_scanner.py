"""From two listings of a bucket to what changed between them."""

from datetime import UTC, datetime, timedelta

import pytest

from pyfly.config_s3._objects import StoredName
from pyfly.config_s3._scanner import BucketScanner

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def row(name: str, *, etag: str = "a", size: int = 1, seconds: int = 0) -> StoredName:
    return StoredName(name=name, etag=etag, size=size, modified=NOON + timedelta(seconds=seconds))


def test_the_first_listing_names_nothing_and_equal_listings_have_one_cursor() -> None:
    scanner = BucketScanner()
    rows = [row("main/a.yaml"), row("main/b.yaml")]
    first = scanner.compare(rows)
    assert (first.paths, first.directories) == ((), ())
    again = scanner.compare(reversed(rows))
    assert ({*again.paths}, {*again.directories}) == (set(), set())
    assert again.cursor == first.cursor == BucketScanner().compare(rows).cursor


@pytest.mark.parametrize(
    "changed",
    [
        row("main/a.yaml", etag="b"),
        row("main/a.yaml", size=2),
        row("main/a.yaml", seconds=1),
    ],
)
def test_a_change_of_an_object_is_named(changed: StoredName) -> None:
    scanner = BucketScanner()
    first = scanner.compare([row("main/a.yaml"), row("main/b.yaml")])
    second = scanner.compare([changed, row("main/b.yaml")])
    assert {*second.paths} == {"main/a.yaml"}
    assert second.cursor != first.cursor


def test_objects_and_directories_that_appear_or_vanish_are_named() -> None:
    scanner = BucketScanner()
    scanner.compare([row("main/a.yaml"), row("feature/x/a.yaml")])
    found = scanner.compare([row("main/a.yaml"), row("next/a.yaml")])
    assert {*found.paths} == {"feature/x/a.yaml", "next/a.yaml"}
    assert {*found.directories} == {"feature", "feature/x", "next"}


@pytest.mark.parametrize("name", [".pyfly-config-probe-1", ".git/a.yaml", "main/.a.yaml.swp"])
def test_hidden_objects_do_not_count(name: str) -> None:
    scanner = BucketScanner()
    first = scanner.compare([row("main/a.yaml")])
    second = scanner.compare([row("main/a.yaml"), row(name)])
    assert {*second.paths} == set()
    assert second.cursor == first.cursor
