"""The stores of this distribution pass the suite that it ships."""

import os
from pathlib import Path

import pytest

from pyfly.config_server import FilesystemConfigBackend, InMemoryConfigBackend
from pyfly.config_server.files import DirectoryTree, SpringLayout, TextStore, directory_scan
from pyfly.config_server.storage import SupportsResources
from pyfly.config_server.testing import (
    BackendConformance,
    BaseBundlesConformance,
    BatchFetchConformance,
    ChangeHintsConformance,
    ChangesConformance,
    CheckConformance,
    CloseConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    HistoryConformance,
    KeysConformance,
    LabelsConformance,
    ResourcesConformance,
)


@pytest.fixture(autouse=True)
def _files_are_soon_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is looked at twice until it is older than a tick of the clock: here 0.2 seconds."""
    monkeypatch.setattr(directory_scan, "YOUNG_NANOSECONDS", 200_000_000)


def put(file: Path, content: bytes) -> None:
    """Write a file that has been complete for long enough to be read at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    written = file.stat().st_mtime - 2
    os.utime(file, (written, written))


class TestMemory(
    BackendConformance,
    KeysConformance,
    LabelsConformance,
    BatchFetchConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    HistoryConformance,
    ChangesConformance,
    ChangeHintsConformance,
    BaseBundlesConformance,
    ResourcesConformance,
    CheckConformance,
    CloseConformance,
):
    @pytest.fixture
    def backend(self) -> InMemoryConfigBackend:
        return InMemoryConfigBackend()

    async def store_resource(
        self, backend: SupportsResources, label: str, path: str, content: bytes
    ) -> None:
        assert isinstance(backend, InMemoryConfigBackend)
        backend.put_resource(label, path, content)


@pytest.mark.untraced
class TestFilesystem(
    BackendConformance,
    KeysConformance,
    LabelsConformance,
    BatchFetchConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    ChangesConformance,
    ChangeHintsConformance,
    BaseBundlesConformance,
    ResourcesConformance,
    CheckConformance,
    CloseConformance,
):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> FilesystemConfigBackend:
        return FilesystemConfigBackend(tmp_path)

    @pytest.fixture(autouse=True)
    def keep_root(self, tmp_path: Path) -> None:
        self.root = tmp_path

    async def store_resource(
        self, backend: SupportsResources, label: str, path: str, content: bytes
    ) -> None:
        file = self.root / label / path
        put(file, content)

    async def open_another(self) -> FilesystemConfigBackend:
        return FilesystemConfigBackend(self.root)


@pytest.mark.slow  # the same store as above; other tests of the layout are quick
@pytest.mark.untraced
class TestSpringLayout(
    BackendConformance,
    KeysConformance,
    LabelsConformance,
    BatchFetchConformance,
    ConditionalSaveConformance,
    DeleteConformance,
    FreezesConformance,
    ChangesConformance,
    BaseBundlesConformance,
    ResourcesConformance,
    CheckConformance,
    CloseConformance,
):
    """Names as Spring has them under several labels, as a Git repository has branches."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> TextStore:
        self.root = tmp_path
        return self.open()

    def open(self) -> TextStore:
        layout = SpringLayout(profiles=frozenset({"prod", "dev", "eu", "x"}))
        return TextStore(DirectoryTree(self.root), layout)

    async def open_another(self) -> TextStore:
        return self.open()

    async def store_resource(
        self, backend: SupportsResources, label: str, path: str, content: bytes
    ) -> None:
        file = self.root / label / path
        put(file, content)
