"""What the backend keeps of the files it has read is bounded, however many and large they are."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

import pytest

from pyfly.config_server import FilesystemConfigBackend, text
from pyfly.config_server._filesystem import bundles


async def count(backend: FilesystemConfigBackend) -> int:
    return len([entry async for entry in backend.keys() if entry.error is None])


def kept_after_listing(root: Path) -> int:
    """Return the bytes that are still in use after every file was read."""
    backend = FilesystemConfigBackend(root)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert asyncio.run(count(backend)) == len([*root.rglob("*.yaml")])
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_many_large_files_do_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "_SETTLED_NANOSECONDS", 0)
    monkeypatch.setattr(bundles, "_CACHED_BYTES", 100_000)
    content = "".join(f"key{number}: value{number}\n" for number in range(1000))
    (tmp_path / "main").mkdir()
    for number in range(4):
        (tmp_path / "main" / f"app{number}-prod.yaml").write_text(content, encoding="utf-8")
    few = kept_after_listing(tmp_path)
    for number in range(4, 40):
        (tmp_path / "main" / f"app{number}-prod.yaml").write_text(content, encoding="utf-8")
    many = kept_after_listing(tmp_path)
    assert 100_000 < few < many  # they are remembered at all
    assert many < 2 * few


def test_a_file_that_changed_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "_SETTLED_NANOSECONDS", 0)
    monkeypatch.setattr(bundles, "_CACHED_BYTES", 1000)
    path = tmp_path / "main" / "orders-prod.yaml"
    path.parent.mkdir()
    backend = FilesystemConfigBackend(tmp_path)

    async def parse_again_and_again() -> list[int]:
        calls: list[int] = []
        real = text.parse_documents

        def parse(data: bytes, *, suffix: str) -> object:
            calls.append(len(data))
            return real(data, suffix=suffix)

        monkeypatch.setattr(bundles, "parse_documents", parse)
        for number in range(20):
            path.write_text(f"a: {'x' * (100 + number)}\n", encoding="utf-8")
            for _ in range(3):
                await backend.fetch("orders", "prod")
        return calls

    assert len(asyncio.run(parse_again_and_again())) == 20
