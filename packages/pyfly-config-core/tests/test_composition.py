"""What an answer says it was made of, the order of its sources, and what composing costs."""

import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import (
    BASE_PROFILE,
    BackendUnavailableError,
    ConfigFormatError,
    ConfigKey,
    ConfigNotFoundError,
    InvalidConfigKeyError,
    encode_environment,
)
from pyfly.config_server import (
    ConfigServer,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    ServerOptions,
)
from pyfly.config_server.composition import BundleInput, LabelInput, ResourceInput, StoreInputs
from pyfly.config_server.files import settling
from pyfly.config_server.formats.text import parse_documents
from pyfly.config_server.storage import ConfigDocument, ConfigSnapshot

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "config"


def bundle(application: str, profile: str = "prod", label: str = "main", **values: Any) -> Any:
    return ConfigSource(application=application, profile=profile, label=label, properties=values)


async def memory(*sources: ConfigSource) -> InMemoryConfigBackend:
    backend = InMemoryConfigBackend()
    for source in sources:
        await backend.save(source)
    return backend


def present(inputs: StoreInputs) -> list[str]:
    return [str(one.key) for one in inputs.bundles if one.is_present]


def write(path: Path, text: str) -> None:
    """Put a file in place as if it had been there for a minute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    old = time.time() - 60
    for one in (path, path.parent):
        os.utime(one, (old, old))


# --- what it was made of ------------------------------------------------------------------


async def test_it_names_every_bundle_that_was_asked_for_with_its_version() -> None:
    backend = await memory(bundle("orders", a=1), bundle("application", "default", b=2))
    composition = await ConfigServer(backend).compose("orders", "prod")
    (inputs,) = composition.inputs
    assert [str(one.key) for one in inputs.bundles] == [
        "orders/prod/main",
        "application/prod/main",
        "orders/default/main",
        "application/default/main",
        "orders/-/main",
        "application/-/main",
    ]
    stored = {one.key: one.version for one in await backend.list()}
    assert inputs.bundles[0].key.label == "main"
    assert [(one.is_present, one.version) for one in inputs.bundles] == [
        (one.key in stored, stored.get(one.key)) for one in inputs.bundles
    ]
    assert inputs.labels == (LabelInput(label="main", is_present=True),)
    assert (inputs.store, inputs.is_available, inputs.resources) == (0, True, ())


async def test_storing_what_was_absent_changes_what_it_was_made_of() -> None:
    backend = await memory(bundle("orders", a=1))
    server = ConfigServer(backend)
    before = await server.compose("orders", "prod")
    await backend.save(bundle("orders", BASE_PROFILE, c=3))
    after = await server.compose("orders", "prod")
    (old,), (new,) = before.inputs, after.inputs
    changed = {*new.bundles} - {*old.bundles}
    assert {str(one.key) for one in changed} == {"orders/-/main"}


async def test_a_file_counts_with_the_version_of_a_fetch(tmp_path: Path) -> None:
    write(tmp_path / "main" / "orders-prod.yaml", "a: 1\n")
    backend = FilesystemConfigBackend(tmp_path)
    (inputs,) = (await ConfigServer(backend).compose("orders", "prod")).inputs
    source = await backend.fetch("orders", "prod")
    assert source is not None
    assert inputs.bundles[0] == BundleInput(key=source.key, is_present=True, version=source.version)
    assert present(inputs) == ["orders/prod/main"]
    await backend.aclose()


async def test_labels_that_do_not_exist_are_named() -> None:
    backend = await memory(bundle("orders", label="v1", a=1))
    server = ConfigServer(backend, options=ServerOptions(continue_on_label_failure=True))
    composition = await server.compose("orders", "prod", "v1,v2")
    assert composition.environment.label == "v1,v2"
    assert composition.inputs[0].labels == (
        LabelInput(label="v2", is_present=False),
        LabelInput(label="v1", is_present=True),
    )
    assert {one.key.label for one in composition.inputs[0].bundles} == {"v1", "v2"}
    with pytest.raises(ConfigNotFoundError):
        await ConfigServer(backend).compose("orders", "prod", "v1,v2")


class LabelsLater(InMemoryConfigBackend):
    """A store in which a label may come into being right after bundles were read."""

    def __init__(self, *, saves: bool) -> None:
        super().__init__()
        self.saves = saves

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> list[ConfigSource | None]:
        found = [*await super().fetch_many(keys)]
        if self.saves:
            await self.save(bundle("orders", label="v1", a=1))
        return found


async def test_a_label_that_comes_while_it_is_read_is_read_with_its_bundles() -> None:
    composition = await ConfigServer(LabelsLater(saves=True)).compose("orders", "prod", "v1")
    assert [source.source for source in composition.environment.property_sources] == [{"a": 1}]


async def test_a_label_without_the_application_has_an_empty_document() -> None:
    backend = LabelsLater(saves=False)
    await backend.save(bundle("billing", label="v1", a=1))
    composition = await ConfigServer(backend).compose("orders", "prod", "v1")
    assert composition.environment.property_sources == ()
    with pytest.raises(ConfigNotFoundError):
        await ConfigServer(backend).compose("orders", "prod", "v2")


class Snapshots(InMemoryConfigBackend):
    """A store whose labels have versions."""

    async def fetch_snapshot(self, keys: Sequence[ConfigKey]) -> ConfigSnapshot:
        sources = [await self.fetch(key.application, key.profile, key.label) for key in keys]
        return ConfigSnapshot(sources=tuple(sources), version=f"of-{keys[0].label}")


async def test_a_snapshot_gives_its_version_to_the_label_and_to_the_document() -> None:
    backend = Snapshots()
    await backend.save(bundle("orders", label="v1", a=2))
    composition = await ConfigServer(backend).compose("orders", "prod", "main,v1")
    assert [one.version for one in composition.inputs[0].labels] == ["of-v1", "of-main"]
    assert composition.environment.version == "of-main,of-v1"


class Failing(InMemoryConfigBackend):
    async def fetch_many(self, keys: Sequence[ConfigKey]) -> list[ConfigSource | None]:
        raise BackendUnavailableError("gone")


async def test_a_store_that_was_left_out_is_marked() -> None:
    good = await memory(bundle("orders", a=1))
    lenient = ServerOptions(fail_on_composite_error=False)
    server = ConfigServer(Failing(), good, options=lenient)
    composition = await server.compose("orders", "prod")
    assert composition.inputs[0] == StoreInputs(store=0, is_available=False)
    assert composition.inputs[1].is_available
    assert (composition.inputs[1].store, present(composition.inputs[1])) == (
        1,
        ["orders/prod/main"],
    )


async def test_a_plain_file_names_the_paths_that_were_tried_and_the_bundles() -> None:
    first, second = await memory(bundle("orders", a=1)), InMemoryConfigBackend()
    second.put_resource("main", "nginx.conf", b"x")
    server = ConfigServer(first, second)
    found = await server.compose_resource("orders", "prod", None, "nginx.conf")
    assert found.resource is not None
    assert found.resource.content == b"x"
    tried = [ResourceInput(label="main", path="nginx-prod.conf", is_present=False)]
    missing = ResourceInput(label="main", path="nginx.conf", is_present=False)
    assert [[*one.resources] for one in found.inputs] == [
        [*tried, missing],
        [*tried, replace(missing, is_present=True)],
    ]
    assert present(found.inputs[0]) == ["orders/prod/main"]
    assert found.environment == (await server.compose("orders", "prod")).environment
    nothing = await server.compose_resource("orders", "prod", None, "other.conf")
    assert nothing.resource is None
    assert not any(one.is_present for store in nothing.inputs for one in store.resources)
    assert len(nothing.inputs[1].resources) == 2


async def test_a_fetch_is_the_composed_document() -> None:
    backend = await memory(bundle("orders", a={"b": [1, None]}), bundle("application", c="x"))
    server = ConfigServer(backend)
    composition = await server.compose("orders", "prod", "main")
    assert await server.fetch("orders", "prod") == encode_environment(composition.environment)


# --- order and names ----------------------------------------------------------------------


class Files(InMemoryConfigBackend):
    """A store whose bundles lie in several files at several places."""

    default_is_base = False

    def __init__(self, **files: Sequence[tuple[str, int]]) -> None:
        super().__init__()
        self._files = files

    async def fetch_many(self, keys: Sequence[ConfigKey]) -> list[ConfigSource | None]:
        return [self._source(key) for key in keys]

    def _source(self, key: ConfigKey) -> ConfigSource | None:
        files = self._files.get(key.stem.replace("-", "_"))
        if files is None:
            return None
        documents = [
            ConfigDocument(properties={"in": name}, resource=name, place=place)
            for name, place in files
        ]
        return ConfigSource.from_documents(key, tuple(documents), version="1")

    async def has_label(self, label: str) -> bool:
        return label == "main"


async def names(server: ConfigServer, *request: str) -> list[str]:
    environment = (await server.compose(*request)).environment
    return [one.name.removeprefix("main/") for one in environment.property_sources]


async def test_profile_ranks_before_place_and_place_before_application() -> None:
    backend = Files(
        orders_prod=[("orders-prod.yml", 0), ("x/orders-prod.yml", 1)],
        application_prod=[("application-prod.yml", 0), ("x/application-prod.yml", 1)],
        orders=[("orders.yaml", 0), ("orders.yml", 0), ("x/orders.yml", 1)],
        application=[("y/application.yml", 2)],
    )
    assert await names(ConfigServer(backend), "orders", "prod") == [
        "x/orders-prod.yml",
        "x/application-prod.yml",
        "orders-prod.yml",
        "application-prod.yml",
        "y/application.yml",
        "x/orders.yml",
        "orders.yml",
        "orders.yaml",
    ]


async def test_documents_are_numbered_within_their_file() -> None:
    backend = Files(orders_prod=[("a.yaml", 0), ("b.yml", 0), ("b.yml", 0), ("b.yml", 0)])
    assert await names(ConfigServer(backend), "orders", "prod") == [
        "b.yml (document #2)",
        "b.yml (document #1)",
        "b.yml (document #0)",
        "a.yaml",
    ]


async def test_a_file_in_two_roles_counts_once_at_the_lowest() -> None:
    backend = Files(
        a_x=[("a-x.yml", 0), ("only.yml", 0)], application=[("a-x.yml", 0), ("application.yml", 0)]
    )
    assert await names(ConfigServer(backend), "a", "x") == [
        "only.yml",
        "application.yml",
        "a-x.yml",
    ]


# --- what is kept and what is copied ------------------------------------------------------


async def stores(tmp_path: Path) -> list[Any]:
    write(tmp_path / "main" / "orders-prod.yaml", "a:\n  b: [x]\n")
    return [await memory(bundle("orders", a={"b": ["x"]})), FilesystemConfigBackend(tmp_path)]


async def test_nothing_that_a_caller_changes_is_seen_by_the_next(tmp_path: Path) -> None:
    for backend in await stores(tmp_path):
        server = ConfigServer(backend)
        expected = {"a.b[0]": "x"}
        for _ in range(3):
            source = await backend.fetch("orders", "prod")
            assert source is not None
            assert source.properties == {"a": {"b": ["x"]}}
            composition = await server.compose("orders", "prod")
            values: Any = composition.environment.property_sources[0].source
            assert values == expected
            values["a.b[0]"] = "changed"
            origins: Any = composition.environment.property_sources[0].origins
            assert origins.get("a.b[0]") in {None, "2:7"}
            origins["a.b[0]"] = "9:9"
            tree: Any = source.properties
            tree["a"]["b"].append("changed")
            tree["more"] = 1


async def test_flat_keys_are_made_once_for_a_version(tmp_path: Path) -> None:
    for backend in await stores(tmp_path):
        server = ConfigServer(backend)
        await server.compose("orders", "prod")
        one, two = [await backend.fetch("orders", "prod") for _ in range(2)]
        if isinstance(backend, InMemoryConfigBackend):
            assert one is not two
            assert one.content[0].is_flattened
            assert one.content[0].flat is two.content[0].flat
            await backend.save(bundle("orders", z=1))
            changed = await backend.fetch("orders", "prod")
            assert changed is not None
            assert not changed.content[0].is_flattened
        assert one.content[0].flat.values == {"a.b[0]": "x"}


async def test_kept_flat_keys_count_in_every_answer() -> None:
    backend = InMemoryConfigBackend()
    server = ConfigServer(backend)
    profiles = [f"p{number}" for number in range(6)]
    for profile in profiles:
        await server.save("a", profile, {profile: "x" * 800_000})
        await server.fetch("a", profile)  # from now on its flat keys are kept
    for _ in range(2):
        assert await server.fetch("a", "p0,p1,p2,p3,p4")
        with pytest.raises(ConfigFormatError, match="flat keys and values in one answer"):
            await server.fetch("a", ",".join(profiles))


async def test_kept_documents_that_are_not_active_count_too() -> None:
    backend = InMemoryConfigBackend()
    server = ConfigServer(backend)
    condition = {"spring.config.activate.on-profile": "never"}
    for profile in ("p0", "p1"):
        values = {f"{profile}.k{number}": 1 for number in range(10_001)}
        await server.save("a", profile, condition | values)
    for _ in range(2):
        with pytest.raises(ConfigFormatError, match="20,000 properties in one answer"):
            await server.fetch("a", "p0,p1")


async def test_retired_keys_are_logged_for_every_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    server = ConfigServer(
        await memory(
            ConfigSource(
                application="orders", profile="prod", properties={"spring.profiles": "x", "a": 1}
            )
        )
    )
    for count in (1, 2):
        document = await server.fetch("orders", "prod")
        assert document["propertySources"] == [{"name": "main/orders-prod", "source": {"a": 1}}]
        assert caplog.text.count("main/orders-prod: left out: spring.profiles") == count


def test_threads_that_flatten_one_document_get_the_same() -> None:
    for _ in range(20):
        document = ConfigDocument(properties={f"k{number}": {"v": number} for number in range(50)})
        with ThreadPoolExecutor(4) as pool:
            flats = [*pool.map(lambda _: document.flat, range(8), timeout=60)]  # noqa: B023
        assert all(flat == flats[0] for flat in flats)
        assert document.flat is document.flat


def test_a_source_of_kept_documents_is_a_value_like_any_other() -> None:
    given = bundle("orders", a={"b": 1})
    kept = ConfigSource.from_documents(given.key, given.content)
    assert (kept == given, kept.documents, kept.key) == (True, (), given.key)
    assert replace(kept, properties={"c": 2}).content[0].properties == {"c": 2}
    assert "b" not in repr(kept).replace("label", "")
    shared = kept.content[0].properties
    assert kept.properties == shared
    assert kept.properties is not shared
    assert kept.properties is kept.properties
    with pytest.raises(FrozenInstanceError):
        kept.label = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="no attribute 'propertes'"):
        kept.propertes  # type: ignore[attr-defined]  # noqa: B018
    several = ConfigSource.from_documents(given.key, given.content * 2, resource="a.yaml")
    assert (several.properties, len(several.documents)) == ({}, 2)
    assert ConfigSource.from_documents(given.key, (), resource="a.yaml").properties == {}


def test_every_document_of_a_file_is_checked_when_it_is_parsed() -> None:
    deepest = "[" * 64 + "]" * 64
    parse_documents(f"a: 1\n---\n{deepest[1:-1]}\n".encode(), suffix=".yaml")
    with pytest.raises(ConfigFormatError, match="deeper than 64 levels"):  # below `document`
        parse_documents(f"a: 1\n---\n{deepest}\n".encode(), suffix=".yaml")


# --- options ------------------------------------------------------------------------------


def test_options_are_checked_and_cannot_be_changed() -> None:
    options: Mapping[str, Any] = {"default_application_name": "a b", "default_profile": "-"}
    for name, value in options.items():
        with pytest.raises(InvalidConfigKeyError):
            ServerOptions(**{name: value})
    assert "secret" not in repr(ServerOptions(overrides={"k": "secret"}))
    with pytest.raises(FrozenInstanceError):
        ServerOptions().accept_empty = False  # type: ignore[misc]


async def test_a_server_closes_its_stores_at_the_end_of_a_with_statement() -> None:
    backends = [await memory(bundle("orders", a=1)), InMemoryConfigBackend()]
    async with ConfigServer(*backends) as server:
        assert await server.fetch("orders", "prod")
    for backend in backends:
        with pytest.raises(BackendUnavailableError):
            await backend.list()


# --- what it costs ------------------------------------------------------------------------


async def cheapest(work: Callable[[], Awaitable[Any]], *, rounds: int) -> float:
    """Return the least CPU time that one of several rounds takes, in seconds."""
    spent: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        await work()
        spent.append(time.process_time() - began)
    return min(spent)


@pytest.mark.measured
async def test_5000_properties_of_a_warm_file_take_milliseconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = {f"s{one}": {f"k{two}": "some text" for two in range(10)} for one in range(500)}
    write(tmp_path / "main" / "orders-prod.json", json.dumps(tree))
    monkeypatch.setattr(settling, "_OLD_NANOSECONDS", 0)  # younger files are read again
    server = ConfigServer(FilesystemConfigBackend(tmp_path))
    composition = await server.compose("orders", "prod")
    assert composition.is_large
    assert len(composition.environment.property_sources[0].source) == 5_000
    spent = await cheapest(lambda: server.compose("orders", "prod"), rounds=10)
    assert spent < 3 * 0.003, spent  # measured: below 0.001


@pytest.mark.measured
async def test_the_example_of_the_readme_takes_microseconds_from_memory() -> None:
    backend = InMemoryConfigBackend()
    for source in await FilesystemConfigBackend(EXAMPLES).list():
        await backend.save(source)
    server = ConfigServer(backend)
    assert len((await server.compose("orders", "prod", "release-1.4")).environment.property_sources)
    spent = await cheapest(lambda: server.compose("orders", "prod", "release-1.4"), rounds=50)
    assert spent < 3 * 0.000_120, spent  # measured: 0.00006
