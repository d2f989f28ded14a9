"""The plan of a copy against a model of what stores serve, for every small repository."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations, permutations, product

import pytest

from pyfly.config_cli._copying.plan import StoreSemantics, plan_copies
from pyfly.config_core import ConfigKey

STORES = {
    "labels": StoreSemantics(has_base_bundles=True, default_is_base=True, names_files=True),
    "spring": StoreSemantics(has_base_bundles=True, default_is_base=False, names_files=True),
    "tables": StoreSemantics(has_base_bundles=True, default_is_base=True),
    "three methods": StoreSemantics(has_base_bundles=False, default_is_base=True),
}
PROFILES = ("-", "default", "x")
PAIRS = [*product(STORES, STORES)]


@cache
def bundle(application: str, profile: str) -> ConfigKey:
    """Return a key; the same names give the same one."""
    return ConfigKey(application=application, profile=profile)


@cache
def place(key: ConfigKey, store: StoreSemantics) -> str:
    """Return where a store looks for a bundle."""
    return key.stem if store.names_files else str(key)


def document(
    stored: dict[str, ConfigKey],
    store: StoreSemantics,
    applications: Sequence[str],
    profiles: Sequence[str],
) -> list[ConfigKey]:
    """Return the bundles of a document, the highest first; a file counts in its lowest role."""
    names = [*reversed(dict.fromkeys(("application", *applications)))]
    levels = [*reversed(dict.fromkeys(profiles))]
    if store.default_is_base:
        levels = [*(one for one in levels if one != "default"), "default"]
    if store.has_base_bundles:
        levels.append("-")
    keys = [bundle(a, p) for p in levels for a in names]
    places = [one for key in keys if (one := place(key, store)) in stored]
    return [stored[one] for n, one in enumerate(places) if one not in places[n + 1 :]]


def requests(keys: Sequence[ConfigKey]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield every request of one or two names that occur, or that no bundle has."""
    applications = sorted({key.application for key in keys} | {"application", "unknown"})
    profiles = sorted({key.profile for key in keys} - {"-"} | {"default", "other"})
    yield from product(
        [*((one,) for one in applications), *permutations(applications, 2)],
        [*((one,) for one in profiles), *permutations(profiles, 2)],
    )


def check_plans(applications: Sequence[str], pair: tuple[str, str], most: int) -> int:
    """Check the plans for all repositories; return how many of them left nothing behind."""
    source, target = STORES[pair[0]], STORES[pair[1]]
    keys = [bundle(a, p) for a in applications for p in PROFILES]
    whole = 0
    for chosen in (c for size in range(1, most + 1) for c in combinations(keys, size)):
        before = {place(key, source): key for key in chosen}
        if len(before) < len(chosen) or (
            not source.has_base_bundles and any(key.is_base for key in chosen)
        ):
            continue  # no such store can hold these
        plan = plan_copies(chosen, source=source, target=target)
        assert [one.source for one in plan] == [*chosen]
        made = [one for one in plan if one.target is not None]
        after = {place(one.target, target): one.source for one in made if one.target is not None}
        assert len(after) == len(made), (chosen, "one would overwrite the other")
        assert target.has_base_bundles or not any(one.target.is_base for one in made if one.target)
        if len(made) < len(plan):
            assert all(one.reason for one in plan if one.target is None)
            continue
        whole += 1
        for asked in requests(chosen):
            mine, theirs = document(before, source, *asked), document(after, target, *asked)
            assert mine == theirs, (chosen, asked)
    return whole


@pytest.mark.parametrize("pair", PAIRS, ids="->".join)
def test_a_copy_that_leaves_nothing_behind_changes_no_document(pair: tuple[str, str]) -> None:
    assert check_plans(("a", "b", "application"), pair, most=2) > 10


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids="->".join)
def test_a_copy_of_any_repository_that_leaves_nothing_behind_changes_no_document(
    pair: tuple[str, str],
) -> None:
    assert check_plans(("a", "b", "application"), pair, most=9) > 20


@pytest.mark.parametrize("most", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pair", PAIRS, ids="->".join)
def test_a_file_that_two_requests_find_is_not_copied_for_one_of_them(
    pair: tuple[str, str], most: int
) -> None:
    assert check_plans(("a", "a-x", "application-x"), pair, most=most) > 10
