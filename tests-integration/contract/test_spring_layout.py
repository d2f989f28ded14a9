"""A repository of Spring Cloud Config as it lies: documents, listings, saves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spring_repository

from pyfly.config_core import BASE_PROFILE, ConfigKey, ConfigObstructedError, InvalidConfigKeyError
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server.files import SpringLayout
from pyfly.config_server.storage import ANY

pytestmark = pytest.mark.anyio

Write = Callable[[str, str], Path]


def source(application: str, profile: str, **properties: Any) -> ConfigSource:
    return ConfigSource(application=application, profile=profile, properties=properties)


@pytest.fixture
def backend(root: Path) -> FilesystemConfigBackend:
    return FilesystemConfigBackend(root, layout=SpringLayout())


async def test_every_document_is_made_of_the_files_that_the_rules_name(
    root: Path, write: Write, serve: Callable[..., Any], backend: FilesystemConfigBackend
) -> None:
    for name, text in spring_repository.contents():
        write(name, text)
    ask = serve(backend)
    compared = 0
    for applications, profiles in spring_repository.requests():
        answer = await ask(f"/config/{applications}/{profiles}")
        found = [
            (one["name"].removeprefix("main/"), one["source"])
            for one in answer.json["propertySources"]
        ]
        wanted = spring_repository.expected(applications, profiles)
        assert found == wanted, (applications, profiles)
        compared += len(wanted)
    assert compared > 500


async def test_the_documents_of_a_bundle_name_their_files_and_its_version_covers_all(
    write: Write, backend: FilesystemConfigBackend
) -> None:
    write("orders.yaml", "a: 1\n")
    one = await backend.fetch("orders", BASE_PROFILE)
    write("orders.properties", "a=2\n#---\na=3\n")
    several = await backend.fetch("orders", BASE_PROFILE)
    write("orders.properties", "a=2\n#---\na=4\n")
    changed = await backend.fetch("orders", BASE_PROFILE)
    assert one is not None
    assert several is not None
    assert changed is not None
    assert [(d.resource, dict(d.properties)) for d in several.documents] == [
        ("orders.yaml", {"a": 1}),
        ("orders.properties", {"a": "2"}),
        ("orders.properties", {"a": "3"}),
    ]
    assert len({one.version, several.version, changed.version}) == 3
    (entry,) = [entry async for entry in backend.keys()]
    assert entry.version == changed.version


@pytest.mark.parametrize(
    ("profiles", "files", "listed"),
    [
        ("", "customers-service", "customers-service/-?"),
        ("", "a a-b", "a/- a/b"),
        ("", "a a-b c-b", "a/- a/b c/b"),
        ("", "c-b", "c-b/-?"),
        ("b", "c-b", "c/b"),
        ("", "c-default application-eu d-eu", "application/eu c/default d/eu"),
        ("", "a a-b a-b-c", "a/- a/b a-b/c?"),
        ("", "a a-b-c", "a/- a/b-c"),
        ("b-c", "x-b-c", "x/b-c"),
        ("c,b-c", "x-b-c", "x-b/c?"),
    ],
)
async def test_a_listing_says_which_part_of_a_name_is_the_profile_and_what_was_guessed(
    root: Path, write: Write, profiles: str, files: str, listed: str
) -> None:
    for stem in files.split():
        write(f"{stem}.yml", "a: 1\n")
    names = frozenset(profiles.split(",")) if profiles else frozenset[str]()
    backend = FilesystemConfigBackend(root, layout=SpringLayout(profiles=names))
    rows = [
        f"{entry.key.application}/{entry.key.profile}{'?' if entry.is_guess else ''}"
        async for entry in backend.keys()
    ]
    assert rows == listed.split()
    assert len(await backend.list()) == len(rows)


async def test_a_new_bundle_is_a_yml_file_and_an_existing_one_keeps_its_file(
    root: Path, write: Write, backend: FilesystemConfigBackend
) -> None:
    write("orders.yaml", "a: 1\n")
    await backend.save(source("orders", BASE_PROFILE, a=2))
    await backend.save(source("orders", "prod", a=3))
    assert {path.name: path.read_text("utf-8") for path in root.iterdir()} == {
        "orders.yaml": "a: 2\n",
        "orders-prod.yml": "a: 3\n",
    }


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"orders.yaml": "a: 1\n", "orders.yml": "a: 1\nb: 2\n"}, r"orders\.yml.* orders\.yaml"),
        ({"orders.yml": "a: 1\n---\na: 2\n"}, r"orders\.yml"),
    ],
)
async def test_what_a_save_would_damage_is_refused_and_left_alone(
    root: Path, write: Write, backend: FilesystemConfigBackend, files: dict[str, str], told: str
) -> None:
    for name, text in files.items():
        write(name, text)
    with pytest.raises(ConfigObstructedError, match=told):
        await backend.save(source("orders", BASE_PROFILE, a=5))
    key = ConfigKey(application="orders", profile=BASE_PROFILE)
    with pytest.raises(ConfigObstructedError, match=told):
        await backend.delete(key, expected=ANY)
    assert {path.name: path.read_text("utf-8") for path in root.iterdir()} == files


async def test_a_change_of_properties_edits_their_file(
    root: Path, write: Write, backend: FilesystemConfigBackend
) -> None:
    write("orders.properties", "# ours\na : 1\nb=2\n")
    await backend.save(source("orders", BASE_PROFILE, a="3", b="2"))
    assert (root / "orders.properties").read_text("utf-8") == "# ours\na : 3\nb=2\n"


async def test_a_change_of_one_of_several_files_edits_that_file(
    root: Path, write: Write, backend: FilesystemConfigBackend
) -> None:
    write("orders.properties", "db.user=x\n")
    write("orders.yml", "db: {url: a}\nports: [1, 2]\n")
    write("orders.yaml", "db: {url: old, pool: 5}\nname: n\n")
    before = await backend.fetch("orders", BASE_PROFILE)
    assert before is not None
    wanted = {"db": {"user": "x", "url": "a", "pool": 6, "new": 1}, "ports": [1, 2]}
    changed = source("orders", BASE_PROFILE, **wanted)
    version = await backend.commit(changed, expected=str(before.version))
    assert {path.name: path.read_text("utf-8") for path in root.iterdir()} == {
        "orders.properties": "db.user=x\n",
        "orders.yml": "db: {url: a}\nports: [1, 2]\n",
        "orders.yaml": "db: {url: old, pool: 6, new: 1}\n",
    }
    after = await backend.fetch("orders", BASE_PROFILE)
    assert after is not None
    assert after.version == version
    for other in (wanted | {"db": {"user": "y"}}, wanted | {"only": "new"}):
        with pytest.raises(ConfigObstructedError, match=r"orders\.(properties|yml|yaml)"):
            await backend.save(source("orders", BASE_PROFILE, **other))
    assert await backend.fetch("orders", BASE_PROFILE) == after


async def test_a_base_bundle_that_would_be_listed_as_that_of_a_profile_is_refused(
    root: Path, write: Write, backend: FilesystemConfigBackend
) -> None:
    await backend.save(source("orders-api", BASE_PROFILE, a=1))
    assert [entry.key.application async for entry in backend.keys()] == ["orders-api"]
    write("orders.yml", "a: 1\n")
    for name in ("orders-web", "application-x"):
        with pytest.raises(InvalidConfigKeyError, match="would be read as a"):
            await backend.save(source(name, BASE_PROFILE, a=1))
    assert len([*root.iterdir()]) == 2


async def test_json_files_are_plain_files(write: Write, backend: FilesystemConfigBackend) -> None:
    write("orders.json", '{"a": 1}')
    write("orders.yml", "a: 1\n")
    listed = [entry.path async for entry in backend.resources("main")]
    assert listed == ["orders.json", "orders.yml"]
    assert len(await backend.list()) == 1
