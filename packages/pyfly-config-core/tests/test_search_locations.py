"""Search locations: which are accepted, which directories they are, and what is found there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import (
    BASE_PROFILE,
    BackendLookupError,
    BackendUnavailableError,
    ConfigError,
    ConfigFormatError,
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
    UnsupportedOperationError,
)
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    FilesystemConfigBackend,
    StandbyBackend,
)
from pyfly.config_server.files.search_locations import SearchLocations, parse_search
from pyfly.config_server.storage import (
    ANY,
    BundleChange,
    RequestedNames,
    ResourceChange,
    SupportsSearchLocations,
    ability,
)
from pyfly.config_server.testing import SearchLocationsConformance

pytestmark = pytest.mark.anyio

SEARCH = "config,{application},{application}/{profile},common/*"
Write = Callable[[str, str], Path]
Open = Callable[..., FilesystemConfigBackend]


def names(applications: str, profiles: str) -> RequestedNames:
    return RequestedNames(
        applications=tuple(applications.split(",")), profiles=tuple(profiles.split(","))
    )


def key(application: str, profile: str) -> ConfigKey:
    return ConfigKey(application=application, profile=profile)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written = path.stat().st_mtime - 3
        os.utime(path, (written, written))
        return path

    return put


@pytest.fixture
def open_at(tmp_path: Path) -> Open:
    def make(search: str = SEARCH) -> FilesystemConfigBackend:
        url = f"{tmp_path.as_uri()}?layout=spring&search={search}"
        return FilesystemConfigBackend.from_url(url)

    return make


async def found_files(
    backend: FilesystemConfigBackend, application: str, profile: str = "default"
) -> list[str]:
    """Return the files in the document of a request, the highest first."""
    document: Any = await ConfigServer(backend).fetch(application, profile)
    return [source["name"].removeprefix("main/") for source in document["propertySources"]]


# --- the option -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "search",
    [
        *("..", "a/..", "a/../b", "x..y", "/a", "a//b", "./a", ".", "~", "a/./b"),
        *("?", "a?", "**", "a/**", "a**b", ".hidden", "a/.hidden", "*/.x"),
        *(" ", "a b", " a", "a ", "a\0", "a\nb", "a\\b", "a:b", "file:", "größe", "-a"),
        *("{label}", "a/{label}", "{name}", "{application", "profile}", "{}", "$x", "%41"),
        *("x" * 600, ",".join(f"a{number}" for number in range(33))),
    ],
)
def test_a_location_that_is_no_path_below_the_root_is_refused(search: str) -> None:
    with pytest.raises(BackendLookupError, match="search="):
        parse_search(search)


@pytest.mark.parametrize(
    ("search", "patterns"),
    [
        ("", ("",)),
        ("/", ("",)),
        (",{application}", ("", "{application}")),
        ("a/,b", ("a", "b")),
        ("a,b,a", ("a", "b")),
        ("bar*,*/eu,{application}-{profile}", ("bar*", "*/eu", "{application}-{profile}")),
    ],
)
def test_what_a_list_of_locations_means(search: str, patterns: tuple[str, ...]) -> None:
    assert parse_search(search).patterns == patterns


def test_in_git_the_root_is_first_and_the_label_has_a_place() -> None:
    search = parse_search("{label},config", in_git=True)
    assert search.patterns == ("", "{label}", "config")
    found = search.directories(names("orders", "prod"), "feature/x", lambda _: ())
    assert found == ("", "feature/x", "config")
    assert parse_search("/", in_git=True).patterns == ("",)


def test_the_option_belongs_to_the_layout_spring(tmp_path: Path) -> None:
    with pytest.raises(BackendLookupError, match="search= with layout=spring"):
        FilesystemConfigBackend.from_url(f"{tmp_path.as_uri()}?search=config")


# --- the directories ------------------------------------------------------------------


def test_names_are_put_in_by_location_then_profile_then_application() -> None:
    search = parse_search("{application}/{profile},{profile},config,{application}")
    found = search.directories(names("orders,billing", "prod,eu"), "main", lambda _: ())
    assert found == (
        *("orders/prod", "billing/prod", "orders/eu", "billing/eu", "prod", "eu", "config"),
        *("orders", "billing"),
    )


def test_a_pattern_matches_directories_with_acceptable_names_in_order() -> None:
    tree = {"common": ["b", "a", "a b", "größe", "x..y", "-c"], "": ["team-2", "team-1"]}
    search = parse_search("common/*,team-*,*/a")
    found = search.directories(names("orders", "prod"), "main", lambda path: tree.get(path, ()))
    assert found == ("common/a", "common/b", "team-1", "team-2", "team-1/a", "team-2/a")


def test_too_many_matches_are_an_error_that_names_the_location() -> None:
    search = SearchLocations(patterns=("common/*",))
    many = [f"d{number}" for number in range(65)]
    asked = names("orders", "prod")
    assert len(search.directories(asked, "main", lambda _: many[:64])) == 64
    with pytest.raises(ConfigFormatError, match=r"'common/\*' matches more than 64"):
        search.directories(asked, "main", lambda _: many)


@pytest.mark.parametrize(
    "name", ["..", "a/../b", "/etc", "*", "a*", "{profile}", ".git", "a b", ""]
)
def test_a_hostile_name_is_no_part_of_a_path(name: str) -> None:
    with pytest.raises(InvalidConfigKeyError):
        RequestedNames(applications=(name,), profiles=("prod",))
    with pytest.raises(InvalidConfigKeyError):
        RequestedNames(applications=("orders",), profiles=(name,))


async def test_a_path_that_would_be_too_long_is_refused(open_at: Open) -> None:
    backend = open_at("/".join(["{application}"] * 5))
    with pytest.raises(InvalidConfigKeyError, match="longer than 512"):
        await ConfigServer(backend).fetch("a" * 120, "prod")


async def test_locations_count_in_the_lookups_of_a_request(open_at: Open) -> None:
    server = ConfigServer(open_at())
    applications = ",".join(f"a{number}" for number in range(5))
    await server.fetch(applications, "p")
    with pytest.raises(InvalidConfigKeyError, match="lookups, more than 256"):
        await server.fetch(applications, "p,q,r")


# --- documents ------------------------------------------------------------------------


async def test_profiles_outrank_locations_and_the_last_location_wins(
    write: Write, open_at: Open
) -> None:
    for directory in ("config", "orders", "orders/prod", "common/b", "common/a", "elsewhere"):
        for stem in ("application", "orders", "orders-prod"):
            write(f"{directory}/{stem}.yml", f"from: {directory}\n")
    write("orders.yml", "from: root\n")
    backend = open_at()
    assert await found_files(backend, "orders", "prod") == [
        *("common/b/orders-prod.yml", "common/a/orders-prod.yml", "orders/prod/orders-prod.yml"),
        *("orders/orders-prod.yml", "config/orders-prod.yml"),
        *("common/b/orders.yml", "common/b/application.yml"),
        *("common/a/orders.yml", "common/a/application.yml"),
        *("orders/prod/orders.yml", "orders/prod/application.yml"),
        *("orders/orders.yml", "orders/application.yml"),
        *("config/orders.yml", "config/application.yml"),
    ]
    assert "orders.yml" in await found_files(open_at("config,"), "orders")


async def test_directories_that_appear_and_vanish_are_followed(write: Write, open_at: Open) -> None:
    backend = open_at()
    assert await found_files(backend, "orders") == []
    path = write("common/a/orders.yml", "a: 1\n")
    write("common/.hidden/orders.yml", "a: 2\n")
    assert await found_files(backend, "orders") == ["common/a/orders.yml"]
    path.parent.rename(path.parent.with_name("c"))
    write("common/b/orders.yml", "a: 3\n")
    assert await found_files(backend, "orders") == ["common/c/orders.yml", "common/b/orders.yml"]


async def test_a_link_counts_while_it_stays_inside_the_root(
    write: Write, open_at: Open, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "orders.yml").write_text("marker: 1\n", encoding="utf-8")
    write("shared/orders.yml", "a: 1\n")
    write("common/z/orders.yml", "a: 2\n")
    (tmp_path / "common" / "inside").symlink_to("../shared")
    (tmp_path / "common" / "out").symlink_to(outside)
    (tmp_path / "common" / "nowhere").symlink_to("gone")
    assert await found_files(open_at(), "orders") == [
        *("common/z/orders.yml", "common/inside/orders.yml"),
    ]
    (tmp_path / "config").symlink_to(outside)
    with pytest.raises(ConfigError) as refused:
        await found_files(open_at(), "orders")
    assert "marker" not in str(refused.value)


async def test_a_dash_in_a_directory_makes_no_profile_of_a_base_file(
    write: Write, open_at: Open
) -> None:
    write("team-prod/orders.yml", "a: 1\n")
    assert await found_files(open_at("team-*"), "orders", "prod") == ["team%2Dprod/orders.yml"]


# --- plain files ----------------------------------------------------------------------


async def test_the_first_location_wins_and_within_it_the_first_profile(
    write: Write, open_at: Open
) -> None:
    write("orders/app.conf", "orders")
    write("orders/app-prod.conf", "orders prod")
    write("common/a/app-eu.conf", "common eu")
    server = ConfigServer(open_at())
    found = await server.compose_resource("orders", "eu,prod", None, "app.conf")
    assert found.resource is not None
    assert (found.resource.content, found.resource.path) == (b"orders prod", "orders/app-prod.conf")
    missing = await server.compose_resource("orders", "prod", None, "other.conf")
    assert missing.resource is None
    assert [one.path for one in missing.inputs[0].resources] == ["other-prod.conf", "other.conf"]


async def test_bundles_are_plain_files(write: Write, open_at: Open) -> None:
    write("config/orders.yml", "secret: '{cipher}AQ'  # as it is\n")
    backend = open_at()
    server = ConfigServer(backend)
    found = await server.compose_resource("orders", "default", None, "orders.yml")
    assert found.resource is not None
    assert found.resource.content == b"secret: '{cipher}AQ'  # as it is\n"
    assert [one.path async for one in backend.resources("main")] == ["config/orders.yml"]


# --- listings, versions and changes ---------------------------------------------------


async def test_a_listing_has_what_a_fetch_finds(write: Write, open_at: Open) -> None:
    write("config/orders.yml", "a: 1\n")
    write("common/x/orders.yml", "a: 2\n")
    write("orders/orders-web.yml", "a: 3\n")
    write("orders-web/orders-web.yml", "a: 4\n")
    write("billing/prod/billing-prod.properties", "a=5\n")
    write("billing/prod/billing-eu.yml", "not: found\n")
    write("elsewhere/orders.yml", "not: found\n")
    write("orders/application.yml", "of: orders only\n")
    backend = open_at()
    listed = [entry async for entry in backend.keys()]
    assert {entry.key: entry.files for entry in listed} == {
        key("billing", "prod"): ("billing/prod/billing-prod.properties",),
        key("orders", BASE_PROFILE): ("common/x/orders.yml", "config/orders.yml"),
        key("orders", "web"): ("orders/orders-web.yml",),
        key("orders-web", BASE_PROFILE): ("orders-web/orders-web.yml",),
    }
    for entry in listed:
        found = await backend.fetch(entry.key.application, entry.key.profile)
        assert found is not None
        assert found.version == entry.version
    both = await backend.fetch("orders", BASE_PROFILE)
    assert both is not None
    assert [(one.resource, one.place) for one in both.documents] == [
        *(("config/orders.yml", 0), ("common/x/orders.yml", 2)),
    ]


async def test_a_change_anywhere_names_the_bundle_and_the_file(write: Write, open_at: Open) -> None:
    backend = open_at()
    start = await backend.changes_since(None)
    write("orders/prod/application-prod.yml", "a: 1\n")
    write("common/new/app.conf", "x")
    write("elsewhere/deep/er/app.conf", "x")
    found = (await backend.changes_since(start.cursor)).changes
    assert BundleChange(key=key("application", "prod")) in found
    assert ResourceChange(label="main", path="orders/prod/application-prod.yml") in found
    assert ResourceChange(label="main", path="app.conf") in found
    assert len(found) == len({*found})


async def test_a_standby_keeps_what_a_request_found_in_its_locations(
    write: Write, open_at: Open, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write("orders/application.yml", "a: 1\n")
    write("common/x/app.conf", "text")
    directory = tmp_path_factory.mktemp("standby")
    async with ConfigServer(StandbyBackend(open_at(), directory, store="one")) as server:
        document = await server.fetch("orders", "prod")
        found = await server.compose_resource("orders", "prod", None, "app.conf")
    tmp_path.rename(tmp_path.with_name("away"))
    async with ConfigServer(StandbyBackend(open_at(), directory, store="one")) as server:
        assert await server.fetch("orders", "prod") == document
        again = await server.compose_resource("orders", "prod", None, "app.conf")
        assert again.resource == found.resource
        with pytest.raises(BackendUnavailableError):
            await server.fetch("billing", "prod")


# --- saves ----------------------------------------------------------------------------


async def test_a_new_bundle_becomes_a_file_in_the_first_location(
    open_at: Open, tmp_path: Path
) -> None:
    backend = open_at("common/*,{application}/{profile},{application}")
    for profile, path in (("prod", "orders/prod/orders-prod.yml"), ("-", "orders/orders.yml")):
        source = ConfigSource(application="orders", profile=profile, properties={"a": 1})
        await backend.save(source)
        assert (tmp_path / path).read_text(encoding="utf-8") == "a: 1\n"
        await backend.save(ConfigSource(application="orders", profile=profile, properties={"a": 2}))
        found = await backend.fetch("orders", profile)
        assert found is not None
        assert (found.resource, dict(found.properties)) == (path, {"a": 2})
        await backend.delete(source.key, expected=ANY)
        assert await backend.fetch("orders", profile) is None
    with pytest.raises(UnsupportedOperationError, match="search location"):
        await open_at("common/*").save(source)


async def test_a_bundle_in_several_files_is_changed_where_the_keys_are(
    write: Write, open_at: Open
) -> None:
    write("config/orders.yml", "a: 1\nb: 1\n")
    high = write("common/x/orders.yml", "b: 2\n")
    backend = open_at()
    with pytest.raises(ConfigObstructedError, match=r"common/x/orders\.yml.*config/orders\.yml"):
        await backend.save(
            ConfigSource(application="orders", profile=BASE_PROFILE, properties={"a": 3, "b": 3})
        )
    await backend.save(
        ConfigSource(application="orders", profile=BASE_PROFILE, properties={"a": 3, "b": 2})
    )
    assert high.read_text(encoding="utf-8") == "b: 2\n"
    found = await backend.fetch("orders", BASE_PROFILE)
    assert found is not None
    assert [dict(one.properties) for one in found.documents] == [{"a": 3, "b": 1}, {"b": 2}]


async def test_a_save_does_not_follow_a_link_out_of_the_root(
    open_at: Open, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / "config").symlink_to(outside)
    with pytest.raises(ConfigError):
        await open_at().save(ConfigSource(application="a", profile="b", properties={"x": 1}))
    assert [*outside.iterdir()] == []


def test_a_store_with_the_root_alone_has_no_locations(open_at: Open) -> None:
    assert ability(open_at(""), SupportsSearchLocations) is None
    assert ability(open_at(), SupportsSearchLocations) is not None


class TestConformance(SearchLocationsConformance):
    """What holds for every store with search locations."""

    @pytest.fixture
    def backend(self, open_at: Open) -> FilesystemConfigBackend:
        return open_at()
