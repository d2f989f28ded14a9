"""What the backend keeps of the files it has read: bounded, and never older than the files."""

import asyncio
import gc
import json
import os
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import BASE_PROFILE, ConfigFormatError
from pyfly.config_server import ConfigServer, FilesystemConfigBackend
from pyfly.config_server.files import bundle_files, parse_cache, settling, text_reader
from pyfly.config_server.files.threads import Threads
from pyfly.config_server.formats import text


def limit_cache(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(text_reader, "ParseCache", lambda: parse_cache.ParseCache(size=size))


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


@pytest.mark.slow
@pytest.mark.untraced
def test_many_large_files_do_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_OLD_NANOSECONDS", 0)
    limit_cache(monkeypatch, 1_000_000)
    content = "".join(f"key{number}: value{number}\n" for number in range(1000))
    (tmp_path / "main").mkdir()
    for number in range(4):
        (tmp_path / "main" / f"app{number}-prod.yaml").write_text(content, encoding="utf-8")
    assert kept_after_listing(tmp_path) > 100_000  # they are remembered at all
    for number in range(4, 40):
        (tmp_path / "main" / f"app{number}-prod.yaml").write_text(content, encoding="utf-8")
    assert kept_after_listing(tmp_path) < 2 * 1_000_000  # all together take 10 MB


@pytest.mark.slow
def test_small_files_with_large_flat_keys_do_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_OLD_NANOSECONDS", 0)
    limit_cache(monkeypatch, 4_000_000)
    (tmp_path / "main").mkdir()
    above = [f"{' ' * depth}{'x' * 1_000}:\n" for depth in range(4)]
    content = "".join(above) + "".join(f"    k{number}: 1\n" for number in range(200))
    for number in range(20):  # 6 kB of text each, and twice 800 kB of flat keys
        (tmp_path / "main" / f"app{number}-prod.yaml").write_text(content, encoding="utf-8")
    assert 1_000_000 < kept_after_listing(tmp_path) < 2 * 4_000_000


@pytest.mark.slow
def test_a_file_that_changed_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_OLD_NANOSECONDS", 0)
    limit_cache(monkeypatch, 1000)
    path = tmp_path / "main" / "orders-prod.yaml"
    path.parent.mkdir()
    backend = FilesystemConfigBackend(tmp_path)

    async def parse_again_and_again() -> list[int]:
        calls: list[int] = []
        real = text.parse_documents

        def parse(data: bytes, *, suffix: str) -> object:
            calls.append(len(data))
            return real(data, suffix=suffix)

        monkeypatch.setattr(bundle_files, "parse_documents", parse)
        for number in range(20):
            path.write_text(f"a: {'x' * (100 + number)}\n", encoding="utf-8")
            for _ in range(3):
                await backend.fetch("orders", "prod")
        return calls

    assert len(asyncio.run(parse_again_and_again())) == 20


def test_a_young_file_is_read_again_and_parsed_only_if_its_bytes_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its identity is made to stay the same: two writes within one tick of a coarse clock."""
    parsed: list[bytes] = []
    real = text.parse_documents

    def parse(data: bytes, *, suffix: str) -> object:
        parsed.append(data)
        return real(data, suffix=suffix)

    monkeypatch.setattr(bundle_files, "parse_documents", parse)
    path = tmp_path / "main" / "orders-prod.json"
    path.parent.mkdir()

    def write(content: str) -> None:
        path.write_text(content, encoding="utf-8")
        half = time.time() - 0.5
        os.utime(path, (half, half))

    async def story() -> list[object]:
        backend = FilesystemConfigBackend(tmp_path)
        seen: list[object] = []
        for content in ('{"n": 1}', '{"n": 1}', '{"n": 2}', '{"n": 2}', '{"n": 1}'):
            write(content)
            for _ in range(3):
                found = await backend.fetch("orders", "prod")
                seen.append(found and found.properties["n"])
        await backend.aclose()
        return seen

    monkeypatch.setattr(settling.FileIdentity, "__eq__", lambda *_: True)
    monkeypatch.setattr(settling, "SETTLING_NANOSECONDS", 0)
    assert asyncio.run(story()) == [1] * 6 + [2] * 6 + [1] * 3
    assert [json.loads(data)["n"] for data in parsed] == [1, 2, 1]


def test_what_is_remembered_of_a_directory_is_never_older_than_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_OLD_NANOSECONDS", -(10**18))
    label = tmp_path / "main"
    label.mkdir()
    backend = FilesystemConfigBackend(tmp_path)

    async def story() -> list[object]:
        async def seen() -> object:
            await asyncio.sleep(0.02)  # a clock of files ticks slowly
            found = await backend.fetch("orders", "prod")
            base = await backend.fetch("orders", BASE_PROFILE, "main")
            await asyncio.sleep(0.02)
            return [one and one.properties for one in (found, base)]

        rows = [await seen()]
        (label / "orders-prod.yml").write_text("a: 1", encoding="utf-8")
        rows.append(await seen())
        (label / "orders-prod.yaml").write_text("a: 2", encoding="utf-8")
        rows.append(await seen())
        (label / "orders-prod.yaml").write_text("a: 3", encoding="utf-8")
        rows.append(await seen())
        (label / "orders-prod.yaml").unlink()
        (label / "new").write_text("a: 4", encoding="utf-8")
        (label / "new").rename(label / "orders.yaml")
        rows.append(await seen())
        (label / "orders-prod.yml").unlink()
        (label / "orders-prod.yml").symlink_to("orders.yaml")
        rows.append(await seen())
        label.rename(tmp_path / "away")
        rows.append(await seen())
        label.mkdir()
        rows.append(await seen())
        return rows

    assert asyncio.run(story()) == [
        [None, None],
        [{"a": 1}, None],
        [{"a": 2}, None],
        [{"a": 3}, None],
        [{"a": 1}, {"a": 4}],
        [{"a": 4}, {"a": 4}],
        [None, None],
        [None, None],
    ]


def test_an_application_with_a_slash_is_found_in_a_remembered_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_OLD_NANOSECONDS", -(10**18))
    team = tmp_path / "main" / "team"
    team.mkdir(parents=True)
    (team / "orders-prod.yaml").write_text("a: 1", encoding="utf-8")
    backend = FilesystemConfigBackend(tmp_path)

    async def story() -> list[object]:
        found = [await backend.fetch("team/orders", "prod") for _ in range(2)]
        team.rename(tmp_path / "away")
        team.write_text("no directory", encoding="utf-8")
        return [
            one and one.properties for one in (*found, await backend.fetch("team/orders", "prod"))
        ]

    assert asyncio.run(story()) == [{"a": 1}, {"a": 1}, None]


def test_many_reads_at_once_are_each_answered(tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    for number in range(40):
        text = "a: [" if number == 7 else f"a: {number}"
        (tmp_path / "main" / f"app{number}-prod.yaml").write_text(text, encoding="utf-8")

    async def story() -> list[object]:
        backend = FilesystemConfigBackend(tmp_path)
        reads = [asyncio.create_task(backend.fetch(f"app{n}", "prod")) for n in range(41)]
        await asyncio.sleep(0)
        reads[3].cancel()
        found = await asyncio.gather(*reads, return_exceptions=True)
        return [getattr(one, "properties", one) for one in found]

    found = asyncio.run(story())
    assert isinstance(found[3], asyncio.CancelledError)
    assert isinstance(found[7], ConfigFormatError)
    assert found[40] is None
    assert [n for n in range(40) if found[n] == {"a": n}] == [
        n for n in range(40) if n not in {3, 7}
    ]


def test_a_request_is_handed_to_a_thread_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main").mkdir()
    for name in ("orders-prod", "orders", "application-eu", "application"):
        path = tmp_path / "main" / f"{name}.yaml"
        path.write_text(f"{name}: 1\n", encoding="utf-8")
        os.utime(path, (0, 0))  # complete for long: no read has to be repeated
    handed_over: list[object] = []
    run = Threads.run

    async def count_and_run(threads: Threads, function: Any, *, deadline: float) -> Any:
        handed_over.append(function)
        return await run(threads, function, deadline=deadline)

    monkeypatch.setattr(Threads, "run", count_and_run)
    server = ConfigServer(FilesystemConfigBackend(tmp_path))
    found = asyncio.run(server.compose("orders", "prod,eu", "main")).environment
    assert (len(found.property_sources), len(handed_over)) == (4, 1)


def test_a_backend_is_used_by_one_event_loop_after_another(tmp_path: Path) -> None:
    backend = FilesystemConfigBackend(tmp_path)
    (tmp_path / "main").mkdir()
    for _ in range(3):
        assert asyncio.run(backend.fetch("orders", "prod")) is None


def test_a_backend_is_used_by_two_event_loops_at_once(tmp_path: Path) -> None:
    """Each fetch is asked for in one turn of its loop, between two of the other's."""
    backend = FilesystemConfigBackend(tmp_path)
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "orders-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    turns = threading.Barrier(2, timeout=60)

    async def fetch_often() -> int:
        found = 0
        for _ in range(50):
            fetch = asyncio.ensure_future(backend.fetch("orders", "prod"))
            asyncio.get_running_loop().call_soon(turns.wait)  # both are asked before either runs
            found += (await asyncio.wait_for(fetch, 60)) is not None
        return found

    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(asyncio.run, fetch_often()) for _ in range(2)]
        assert [run.result() for run in runs] == [50, 50]


def test_what_waited_for_a_loop_that_was_closed_is_forgotten(tmp_path: Path) -> None:
    backend = FilesystemConfigBackend(tmp_path)
    (tmp_path / "main").mkdir()
    closed = asyncio.new_event_loop()
    closed.set_exception_handler(lambda *_: None)  # that a task is left undone is meant
    task = closed.create_task(backend.fetch("orders", "prod"))
    closed.call_soon(closed.stop)
    closed.run_forever()
    closed.close()
    assert not task.done()
    assert [*backend._threads.batches._waiting] == [closed]
    assert asyncio.run(backend.fetch("orders", "prod")) is None
    assert backend._threads.batches._waiting == {}


def test_a_broken_file_is_parsed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_OLD_NANOSECONDS", 0)
    parsed: list[str] = []

    def parse(data: bytes, *, suffix: str) -> Any:
        parsed.append(suffix)
        return text.parse_documents(data, suffix=suffix)

    monkeypatch.setattr(bundle_files, "parse_documents", parse)
    path = tmp_path / "main" / "orders-prod.yaml"
    path.parent.mkdir()
    path.write_text("a: 1\nb: [\n", encoding="utf-8")
    backend = FilesystemConfigBackend(tmp_path)

    async def messages() -> set[str]:
        found: set[str] = set()
        for _ in range(3):
            with pytest.raises(ConfigFormatError) as caught:
                await backend.fetch("orders", "prod")
            found.add(str(caught.value))
        return found

    (message,) = asyncio.run(messages())
    assert message.startswith("main/orders-prod.yaml, line 3, column 1: ")
    assert len(parsed) == 1
    path.write_text("a: 1\nb: []\n", encoding="utf-8")
    source = asyncio.run(backend.fetch("orders", "prod"))
    assert source is not None
    assert source.properties == {"a": 1, "b": []}
