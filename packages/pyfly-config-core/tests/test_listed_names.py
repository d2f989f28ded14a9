"""Names without versions: the same as those of the entries, and no file is read for them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyfly.config_core import ConfigKey
from pyfly.config_server import (
    Bundles,
    ConfigBackend,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
)
from pyfly.config_server.files import directory_views, safe_io
from pyfly.config_server.storage import ConfigEntry, SupportsKeys, WrapperBackend

pytestmark = pytest.mark.anyio

FILES = ("orders-prod.yaml", "orders-prod.yml", "orders.json", "broken-prod.yaml", "a-b-c.yaml")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label in ("release", "main", "feature/x"):
        (tmp_path / label).mkdir(parents=True)
        for name in FILES:
            (tmp_path / label / name).write_text(
                "a: [" if "broken" in name else "a: 1\n", encoding="utf-8"
            )
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened, by their names."""
    names: list[str] = []

    def open_file(directory: int, name: str, *, root: Path, path: str) -> int | None:
        names.append(name)
        return safe_io.open_file(directory, name, root=root, path=path)

    monkeypatch.setattr(directory_views, "open_file", open_file)
    return names


async def listed(backend: ConfigBackend) -> tuple[list[ConfigKey], list[ConfigKey]]:
    """Return the names alone, and those of the entries."""
    bundles = Bundles(backend)
    return (
        [key async for key in bundles.names()],
        [entry.key async for entry in bundles.entries()],
    )


@pytest.mark.parametrize("layout", ["labels", "spring"])
async def test_no_file_is_read_for_the_names_of_files(
    root: Path, opened: list[str], layout: str
) -> None:
    place = root if layout == "labels" else root / "main"
    async with FilesystemConfigBackend.from_url(f"{place.as_uri()}?layout={layout}") as backend:
        names = [key async for key in Bundles(backend).names()]
        assert len(names) == (12 if layout == "labels" else 3)
        assert opened == []
        assert names == [entry.key async for entry in Bundles(backend).entries()]
        assert {"orders-prod.yaml", "broken-prod.yaml"} <= {*opened}


async def test_other_stores_name_what_they_list() -> None:
    class ThreeMethods:
        def __init__(self) -> None:
            self._store = InMemoryConfigBackend()
            self.fetch, self.save, self.list = (
                self._store.fetch,
                self._store.save,
                self._store.list,
            )

    for backend in (InMemoryConfigBackend(), ThreeMethods()):
        for application in ("orders", "billing"):
            await backend.save(ConfigSource(application=application, profile="prod", properties={}))
        names, entries = await listed(backend)
        assert [name.application for name in names] == ["billing", "orders"]
        assert names == entries


async def test_a_wrapper_with_its_own_keys_decides_which_names_there_are(root: Path) -> None:
    class OneLabel(WrapperBackend):
        async def keys(
            self, label: str | None = None, *, after: ConfigKey | None = None
        ) -> AsyncIterator[ConfigEntry]:
            async for entry in self.inner(SupportsKeys).keys(label, after=after):
                if entry.key.label == "main":
                    yield entry

    async with FilesystemConfigBackend(root) as backend:
        names, entries = await listed(OneLabel(backend))
        assert {name.label for name in names} == {"main"}
        assert names == entries
        assert await listed(WrapperBackend(backend)) == await listed(backend)
