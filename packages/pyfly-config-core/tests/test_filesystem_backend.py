"""Reading a tree of files: what is found, and what is refused."""

import asyncio
import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import (
    BASE_PROFILE,
    BackendAccessDeniedError,
    BackendLookupError,
    BackendUnavailableError,
    ConfigFormatError,
    InvalidConfigKeyError,
)
from pyfly.config_server import ConfigSource, FilesystemConfigBackend
from pyfly.config_server.files import LabelsLayout, Layout, SpringLayout, bundle_files, settling
from pyfly.config_server.storage import ConfigDocument

pytestmark = pytest.mark.anyio


def source(properties: Any, **key: str) -> ConfigSource:
    names: Any = {"application": "orders", "profile": "prod"} | key
    return ConfigSource(**names, properties=properties)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


async def properties(backend: FilesystemConfigBackend, *key: str) -> Any:
    found = await backend.fetch(*(key or ("orders", "prod")))
    return None if found is None else found.properties


async def test_the_first_existing_format_is_read(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    write("main/orders-prod.json", '{"from": "json"}')
    assert await properties(backend) == {"from": "json"}
    write("main/orders-prod.yml", "from: yml")
    assert await properties(backend) == {"from": "yml"}
    write("main/orders-prod.yaml", "from: yaml")
    assert await properties(backend) == {"from": "yaml"}


async def test_an_edit_by_hand_is_seen_at_once_even_of_equal_length(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    for value in range(200):
        write("main/orders-prod.yaml", f"a: {value:03}x\n")
        assert await properties(backend) == {"a": f"{value:03}x"}


async def test_an_old_file_is_parsed_once_and_again_when_it_changes(
    backend: FilesystemConfigBackend,
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write("main/orders-prod.yaml", "a: 1\n")
    monkeypatch.setattr(settling, "_OLD_NANOSECONDS", -(10**18))
    parsed = 0

    def count(data: bytes, *, suffix: str) -> Any:
        nonlocal parsed
        parsed += 1
        return (ConfigDocument(properties={"bytes": len(data), "suffix": suffix}),)

    monkeypatch.setattr(bundle_files, "parse_documents", count)
    first = await properties(backend)
    first["bytes"] = "changed by the caller"
    assert await properties(backend) == {"bytes": 5, "suffix": ".yaml"}
    assert parsed == 1
    path.write_text("a: 12\n", encoding="utf-8")
    assert await properties(backend) == {"bytes": 6, "suffix": ".yaml"}
    assert parsed == 2


async def test_the_version_is_the_digest_of_the_file(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    found = await backend.fetch("orders", "prod")
    assert found is not None
    expected = hashlib.sha256(b"a: 1\n").hexdigest()
    assert (found.version, found.resource) == (expected, "orders-prod.yaml")


async def test_names_with_dashes_are_read_by_their_exact_key_and_listed_by_the_last_dash(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    write("main/a-b-c.yaml", "x: 1\n")
    assert await properties(backend, "a", "b-c") == {"x": 1}
    assert await properties(backend, "a-b", "c") == {"x": 1}
    assert [str(s.key) for s in await backend.list()] == ["a-b/c/main"]


async def test_what_is_no_bundle_is_not_listed(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    for name in (
        "main/orders-prod.txt",
        "main/.orders-prod.yaml",
        "main/.pyfly-config.tmp",
        "main/orders-prod.yaml~",
        "main/ä-prod.yaml",
        ".git/orders-prod.yaml",
        "..data/orders-prod.yaml",
        "orders-prod.yaml",
    ):
        write(name, "a: 1\n")
    assert await backend.list() == []
    assert await backend.labels() == []
    write("feature/x/orders-prod.yaml", "a: 1\n")
    assert [str(s.key) for s in await backend.list()] == ["orders/prod/feature/x"]
    assert await backend.labels() == ["feature/x"]


async def test_base_bundles_are_listed(
    backend: FilesystemConfigBackend, write: Callable[..., Path]
) -> None:
    for name in ("base/orders.yaml", "main/orders.yml", "main/orders-prod.yaml"):
        write(name, "a: 1\n")
    names = ["orders/-/base", "orders/-/main", "orders/prod/main"]
    assert [str(source.key) for source in await backend.list()] == names
    assert [str(entry.key) async for entry in backend.keys()] == names
    assert await backend.labels() == ["base", "main"]


async def test_a_base_bundle_that_would_be_read_as_one_of_a_profile_is_refused(
    backend: FilesystemConfigBackend,
) -> None:
    source = ConfigSource(application="orders-api", profile=BASE_PROFILE, properties={"a": 1})
    with pytest.raises(InvalidConfigKeyError, match="application 'orders-api'"):
        await backend.save(source)
    assert await backend.list() == []


async def test_broken_bundles_are_left_out_of_the_listing_and_reported(
    backend: FilesystemConfigBackend,
    write: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    write("main/good-prod.yaml", "a: 1\n")
    write("main/bad-prod.yaml", "password: [marker\n")
    (tmp_path / "main" / "dir-prod.yaml").mkdir()
    assert [s.application for s in await backend.list()] == ["good"]
    assert "main/bad-prod.yaml, line" in caplog.text
    assert "marker" not in caplog.text
    entries = [entry async for entry in backend.keys()]
    assert [str(entry.key) for entry in entries] == ["bad/prod/main", "good/prod/main"]


@pytest.mark.parametrize("kind", ["directory", "fifo", "huge", "utf16"])
async def test_what_is_no_ordinary_text_is_an_error_that_names_it(
    backend: FilesystemConfigBackend, write: Callable[..., Path], kind: str
) -> None:
    path = write("main/orders-prod.yaml", "a: 1\n")
    if kind == "huge":
        path.write_bytes(b"#" * 1_048_577)
    elif kind == "utf16":
        path.write_bytes("a: 1\n".encode("utf-16"))
    else:
        path.unlink()
        path.mkdir() if kind == "directory" else os.mkfifo(path)
    with pytest.raises(ConfigFormatError, match=r"main/orders-prod\.yaml"):
        await asyncio.wait_for(backend.fetch("orders", "prod"), 10)


async def test_a_config_map_tree_is_followed_inside_the_root(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("main/..2026_01/orders-prod.yaml", "a: 1\n")
    (tmp_path / "main" / "..data").symlink_to("..2026_01")
    (tmp_path / "main" / "orders-prod.yaml").symlink_to("..data/orders-prod.yaml")
    (tmp_path / "current").symlink_to("main")
    assert await properties(backend) == {"a": 1}
    assert await properties(backend, "orders", "prod", "current") == {"a": 1}
    assert await backend.labels() == ["current", "main"]
    write("main/..2026_02/orders-prod.yaml", "a: 2\n")
    (tmp_path / "main" / "..tmp").symlink_to("..2026_02")
    (tmp_path / "main" / "..tmp").rename(tmp_path / "main" / "..data")
    assert await properties(backend) == {"a": 2}


async def test_plain_files_of_a_config_map_are_listed_and_hidden_ones_are_not(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("main/..1/app.conf", "x")
    write("main/.hidden", "x")
    write("main/etc/deep.txt", "xyz")
    (tmp_path / "main" / "..data").symlink_to("..1")
    (tmp_path / "main" / "app.conf").symlink_to("..data/app.conf")
    (tmp_path / "main" / "loop").symlink_to(".")
    (tmp_path / "main" / "outside.txt").symlink_to("/etc/passwd")
    (tmp_path / "main" / "gone.txt").symlink_to("nowhere")
    found = [(entry.path, entry.size) async for entry in backend.resources("main")]
    assert found == [("app.conf", 1), ("etc/deep.txt", 3)]


async def test_a_link_to_a_parent_does_not_make_the_listing_endless(
    backend: FilesystemConfigBackend, write: Callable[..., Path], tmp_path: Path
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    (tmp_path / "main" / "loop").symlink_to("..")
    assert await backend.labels() == ["main"]


@pytest.mark.parametrize("layout", [LabelsLayout(), SpringLayout(profiles=frozenset({"prod"}))])
async def test_links_that_lead_nowhere_do_not_keep_the_rest_from_being_listed(
    write: Callable[..., Path], tmp_path: Path, layout: Layout
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    for directory in (tmp_path, tmp_path / "main"):
        (directory / "circle").symlink_to("circle")
        (directory / "circle-prod.yaml").symlink_to("circle")
        (directory / "gone-prod.yaml").symlink_to("nowhere")
    backend = FilesystemConfigBackend(
        tmp_path if layout.has_label_directories else tmp_path / "main", layout=layout
    )
    assert await backend.labels() == ["main"]
    assert [str(entry.key) async for entry in backend.keys()] == ["orders/prod/main"]
    assert [str(source.key) for source in await backend.list()] == ["orders/prod/main"]


@pytest.mark.parametrize("link", ["main/orders-prod.yaml", "main"])
async def test_a_link_that_leaves_the_root_is_denied_and_not_listed(
    tmp_path: Path, link: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    outside = tmp_path / "root-outside"  # shares the root's name as a prefix
    outside.mkdir()
    (outside / "orders-prod.yaml").write_text("secret: marker\n", encoding="utf-8")
    target = outside if link == "main" else outside / "orders-prod.yaml"
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(target)
    backend = FilesystemConfigBackend(root)
    with pytest.raises(BackendAccessDeniedError, match="link out of the root"):
        await backend.fetch("orders", "prod")
    assert await backend.list() == []
    assert "marker" not in caplog.text


async def test_a_missing_root_is_unavailable_for_every_call(tmp_path: Path) -> None:
    backend = FilesystemConfigBackend(tmp_path / "nowhere")
    for call in (
        backend.fetch("orders", "prod"),
        backend.list(),
        backend.labels(),
        backend.has_label("main"),
        backend.check(),
        backend.save(source({})),
    ):
        with pytest.raises(BackendUnavailableError, match="root"):
            await call


@pytest.mark.slow
@pytest.mark.untraced
async def test_a_listing_of_10_000_bundles_leaves_the_event_loop_free(
    backend: FilesystemConfigBackend, tmp_path: Path
) -> None:
    directory = tmp_path / "main"
    directory.mkdir()
    for number in range(10_000):
        (directory / f"a{number:05}-prod.json").write_text('{"a": 1}', encoding="utf-8")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)  # without a pause the threads would wait for this one

    ticking = asyncio.create_task(tick())
    found = [entry async for entry in backend.keys()]
    during_keys, ticks = ticks, 0
    sources = await backend.list()
    ticking.cancel()
    assert (len(found), len(sources)) == (10_000, 10_000)
    assert during_keys > 50
    assert ticks > 50


async def test_a_fetch_opens_only_the_files_of_its_own_bundle(tmp_path: Path) -> None:
    directory = tmp_path / "main"
    directory.mkdir()
    for number in range(200):
        (directory / f"a{number}-prod.yaml").write_text("a: 1\n", encoding="utf-8")
    script = f"""
import asyncio, sys
from pyfly.config_server import FilesystemConfigBackend
backend = FilesystemConfigBackend({str(tmp_path)!r})
asyncio.run(backend.fetch("a0", "prod"))
touched = []
sys.addaudithook(lambda event, args: touched.append((event, str(args[0])))
    if event in ("open", "os.listdir", "os.scandir") else None)
assert asyncio.run(backend.fetch("a7", "prod")) is not None
print(*(f"{{event}} {{name}}" for event, name in touched), sep="\\n")
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    lines = [line for line in run.stdout.splitlines() if line]
    assert not [line for line in lines if line.startswith(("os.listdir", "os.scandir"))]
    assert [line for line in lines if "-prod" in line] == ["open a7-prod.yaml"]


async def test_a_closed_backend_refuses(backend: FilesystemConfigBackend) -> None:
    await backend.aclose()
    await backend.aclose()
    with pytest.raises(BackendUnavailableError, match="closed"):
        await backend.fetch("orders", "prod")
    with pytest.raises(BackendUnavailableError, match="closed"):
        await backend.save(source({}))


# --- opening ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///etc/pyfly", "/etc/pyfly"),
        ("file://localhost/etc/pyfly", "/etc/pyfly"),
        ("file:config", "config"),
        ("file:./config%20files", "./config files"),
    ],
)
def test_a_file_url_names_a_directory(url: str, path: str) -> None:
    assert (
        repr(FilesystemConfigBackend.from_url(url))
        == f"FilesystemConfigBackend({str(Path(path))!r})"
    )


@pytest.mark.parametrize(
    "url",
    ["file:", "file://host/x", "file:///x?layout=tree", "file:///x?other=1", "file:///x?label=x"],
)
def test_another_file_url_is_refused(url: str) -> None:
    with pytest.raises(BackendLookupError, match="file:///"):
        FilesystemConfigBackend.from_url(url)


async def test_the_log_is_quiet_about_good_bundles(
    backend: FilesystemConfigBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pyfly")
    await backend.save(source({"a": 1}))
    await backend.fetch("orders", "prod")
    await backend.list()
    assert [r for r in caplog.records if r.name.startswith("pyfly")] == []


async def test_a_file_whose_name_is_too_long_for_the_file_system_does_not_exist(
    tmp_path: Path,
) -> None:
    (tmp_path / "main").mkdir()
    backend = FilesystemConfigBackend(tmp_path)
    assert await backend.open_resource("main", "a" * 1_000) is None
    assert await backend.open_resource("main", f"{'a' * 500}/b.txt") is None
