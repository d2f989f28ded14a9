"""Which bundle a file belongs to: what a listing names for it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pyfly.config_core import BackendUnavailableError, ConfigKey
from pyfly.config_server import FilesystemConfigBackend
from pyfly.config_server.files.layouts import SpringLayout
from pyfly.config_server.files.search_locations import parse_search

Keys = Callable[..., list[str]]


def key(text: str, label: str = "main") -> ConfigKey:
    application, _, profile = text.rpartition("/")
    return ConfigKey(application=application, profile=profile, label=label)


def store_of(root: Path, *files: str, search: str | None = None) -> FilesystemConfigBackend:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a: 1\n", encoding="utf-8")
    if search is None:
        return FilesystemConfigBackend(root)
    return FilesystemConfigBackend(root, layout=SpringLayout(search=parse_search(search)))


def owners(store: FilesystemConfigBackend, name: str, label: str = "main") -> list[str]:
    async def ask() -> list[str]:
        async with store:
            (found,) = await store.owners([key(name, label)])
            return [f"{one.application}/{one.profile}/{one.label}" for one in found]

    return asyncio.run(ask())


def of_file(store: FilesystemConfigBackend, path: str, label: str = "main") -> list[str]:
    async def ask() -> list[str]:
        async with store:
            found = await store.owners_of_file(label, path)
            return [f"{one.application}/{one.profile}/{one.label}" for one in found]

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("orders/prod", ["orders/prod/main"]),
        ("orders/-", ["orders/-/main"]),
        ("orders-service/prod", ["orders-service/prod/main"]),
        ("orders/service-prod", ["orders-service/prod/main"]),
        ("orders-service/-", ["orders/service/main"]),
        ("team/orders/prod", ["orders/prod/main/team"]),
        ("team/absent/prod", ["team/absent/prod/main"]),
    ],
)
def test_a_name_is_split_at_its_last_dash(tmp_path: Path, asked: str, expected: list[str]) -> None:
    store = store_of(tmp_path, "main/orders-prod.yml", "main/team/orders-prod.yml")
    assert store.has_fixed_owners
    assert owners(store, asked) == expected


@pytest.mark.parametrize(
    ("files", "asked", "expected"),
    [
        (["orders.yml", "orders-prod.yml"], "orders/prod", ["orders/prod/main"]),
        (["orders.yml"], "orders/prod", ["orders/prod/main"]),  # as if it were stored
        (["orders-service.yml"], "orders/service", ["orders-service/-/main"]),
        (["orders-service.yml", "orders.yml"], "orders/service", ["orders/service/main"]),
        (
            ["orders.yml", "orders-prod.yml", "orders-service.yml", "orders-service-prod.yml"],
            "orders/service",
            ["orders/service/main", "orders-service/-/main"],
        ),
        (
            ["orders.yml", "orders-prod.yml", "orders-service.yml", "orders-service-prod.yml"],
            "orders-service/-",
            ["orders/service/main", "orders-service/-/main"],
        ),
        (
            ["orders.yml", "orders-service.yml", "orders-service-prod.yml"],
            "orders/service-prod",
            ["orders-service/prod/main"],
        ),
        (["application-prod.yml"], "application/prod", ["application/prod/main"]),
        (
            ["application-x.yml", "application-x-prod.yml", "application-prod.yml"],
            "application/x-prod",
            ["application-x/prod/main"],
        ),
    ],
)
def test_in_a_repository_of_spring_other_files_decide(
    tmp_path: Path, files: list[str], asked: str, expected: list[str]
) -> None:
    store = store_of(tmp_path, *files, search="")
    assert not store.has_fixed_owners
    assert owners(store, asked) == expected


def test_search_locations(tmp_path: Path) -> None:
    files = ["config/orders.yml", "config/orders-prod.yml", "orders/orders-eu.yml"]
    for path, expected in {
        "config/orders-prod.yml": ["orders/prod/main"],
        "orders/orders-eu.yml": ["orders/eu/main"],
        "other/orders-eu.yml": [],
    }.items():
        store = store_of(tmp_path, *files, search="config,{application}")
        assert of_file(store, path) == expected
    store = store_of(tmp_path, *files, search="config,{application}")
    assert owners(store, "orders/prod") == ["orders/prod/main"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("orders-prod.yml", ["orders/prod/main"]),
        (
            "orders-prod.json",
            ["orders/prod/main"],
        ),  # hidden by the other, and a bundle all the same
        (
            "my-orders-prod.yml",
            ["my-orders/prod/main", "my-orders-prod/-/main", "my/orders-prod/main"],
        ),
        ("team/orders-prod.yml", ["orders/prod/main/team"]),
        ("nginx.conf", []),
        ("team/nginx.conf", []),
        ("absent-prod.yml", ["absent/prod/main"]),
    ],
)
def test_a_plain_file_that_is_a_bundle(tmp_path: Path, path: str, expected: list[str]) -> None:
    names = ["orders-prod.yml", "orders-prod.json", "my-orders-prod.yml", "nginx.conf"]
    store = store_of(tmp_path, *(f"main/{one}" for one in (*names, "team/orders-prod.yml")))
    assert of_file(store, path) == expected


def test_a_listing_is_used_again_while_it_is_young_enough(tmp_path: Path) -> None:
    store = store_of(tmp_path, "orders-service.yml", search="")

    async def ask(age: float) -> list[tuple[str, str]]:
        (found,) = await store.owners([key("orders/service")], max_age=age)
        return [(one.application, one.profile) for one in found]

    async def run() -> None:
        async with store:
            assert await ask(0) == [("orders-service", "-")]
            (tmp_path / "orders.yml").write_text("a: 1\n", encoding="utf-8")
            assert await ask(60) == [("orders-service", "-")]
            assert await ask(0) == [("orders", "service")]
            # a file that is newer than the listing is looked for again
            (tmp_path / "billing-prod.yml").write_text("a: 1\n", encoding="utf-8")
            assert await store.owners_of_file("main", "billing-prod.yml", max_age=60)

    asyncio.run(run())


@pytest.mark.parametrize("search", ["", "config"])
def test_an_empty_directory_in_place_of_the_store_changes_no_owner(
    tmp_path: Path, search: str
) -> None:
    root, place = tmp_path / "root", f"{search}/" if search else ""
    store = store_of(root, f"{place}orders.yml", f"{place}orders-service.yml", search=search)

    async def run() -> None:
        async with store:
            (before,) = await store.owners([key("orders-service/-")])
            assert [(one.application, one.profile) for one in before] == [("orders", "service")]
            of_file = await store.owners_of_file("main", f"{place}orders-service.yml")
            root.rename(tmp_path / "away")  # a volume is unmounted
            root.mkdir()
            assert await store.owners([key("orders-service/-")]) == [before]
            path = f"{place}orders-service.yml"
            assert await store.owners_of_file("main", path) == of_file == before

    asyncio.run(run())


def test_while_the_store_is_away_the_last_listing_decides(tmp_path: Path) -> None:
    root = tmp_path / "root"
    store = store_of(root, "orders-service.yml", search="")

    async def run() -> None:
        async with store:
            before = await store.owners([key("orders/service")])
            root.rename(tmp_path / "away")
            assert await store.owners([key("orders/service")]) == before

    asyncio.run(run())
    fresh = FilesystemConfigBackend(root, layout=SpringLayout())
    with pytest.raises(BackendUnavailableError):
        owners(fresh, "orders/service")
