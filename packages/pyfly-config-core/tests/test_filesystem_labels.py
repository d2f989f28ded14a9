"""Labels as directories: made with their first bundle, removed with their last."""

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from blocking_files import SHARED

from pyfly.config_core import (
    BackendUnavailableError,
    ConfigConflictError,
    ConfigError,
    ConfigKey,
    ConfigObstructedError,
    InvalidConfigKeyError,
)
from pyfly.config_server import (
    Bundles,
    ConfigServer,
    ConfigSource,
    Controller,
    FilesystemConfigBackend,
    HttpRequest,
    SharedCredential,
)
from pyfly.config_server.files.emptied import EMPTIED_NAME
from pyfly.config_server.storage import ANY, PRESENT

ORDERS = ConfigKey(application="orders", profile="prod")

pytestmark = pytest.mark.anyio

Write = Callable[..., Path]


def source(label: str, **key: str) -> ConfigSource:
    names: Any = {"application": "orders", "profile": "prod"} | key
    return ConfigSource(**names, label=label, properties={"a": 1})


def everything(root: Path) -> list[str]:
    """Return all paths below the root, without the file that says that it was emptied."""
    paths = (str(path.relative_to(root)) for path in root.rglob("*"))
    return sorted(path for path in paths if path != EMPTIED_NAME)


@pytest.mark.parametrize("label", ["new", "feature/x/y"])
@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda b, n: b.commit(source(n), expected="0" * 64), ConfigConflictError),
        (lambda b, n: b.commit(source(n), expected=PRESENT), ConfigConflictError),
        (lambda b, n: b.save(source(n, profile="a-b")), InvalidConfigKeyError),
        (lambda b, n: b.save(source(n, application="a/b")), InvalidConfigKeyError),
        (lambda b, n: Bundles(b).save(source(n, application="monitor")), InvalidConfigKeyError),
        (
            lambda b, n: b.delete(
                ConfigKey(application="orders", profile="prod", label=n), expected=PRESENT
            ),
            ConfigConflictError,
        ),
    ],
    ids=["version", "present", "profile", "application", "reserved", "delete"],
)
async def test_a_refused_write_makes_no_directory(
    backend: FilesystemConfigBackend,
    tmp_path: Path,
    label: str,
    refused: Callable[[FilesystemConfigBackend, str], Awaitable[object]],
    error: type[ConfigError],
) -> None:
    with pytest.raises(error):
        await refused(backend, label)
    assert everything(tmp_path) == []
    assert not await backend.has_label(label)


async def test_a_label_that_only_a_refused_put_has_named_is_unknown(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    controller = Controller(ConfigServer(backend), auth=SharedCredential.bearer("token"))
    headers = ((b"authorization", b"Bearer token"), (b"content-type", b"application/json"))

    async def body() -> bytes:
        return b"{}"

    async def answered(method: str, path: bytes, *more: tuple[bytes, bytes]) -> int:
        request = HttpRequest(
            method=method, raw_path=path, headers=(*headers, *more), read_body=body
        )
        return (await controller.handle(request)).status

    for condition in (b'"x"', b"*"):
        path = b"/config/_bundles/orders/prod/release"
        assert await answered("PUT", path, (b"if-match", condition)) == 412
        assert await answered("GET", b"/config/orders/prod/release") == 404


async def test_a_label_that_holds_anything_else_stays_when_its_last_bundle_goes(
    backend: FilesystemConfigBackend, write: Write, tmp_path: Path
) -> None:
    for label, other in (("a", "logback.xml"), ("b", ".gitkeep"), ("c", "d/orders-prod.yaml")):
        write(f"{label}/orders-prod.yaml", "a: 1\n")
        write(f"{label}/{other}", "a: 1\n")
        await backend.delete(
            ConfigKey(application="orders", profile="prod", label=label), expected=ANY
        )
        assert await backend.has_label(label)
    assert everything(tmp_path) == [
        *("a", "a/logback.xml", "b", "b/.gitkeep", "c", "c/d", "c/d/orders-prod.yaml"),
    ]


async def test_parents_that_a_removal_empties_go_too_up_to_the_root(
    backend: FilesystemConfigBackend, write: Write, tmp_path: Path
) -> None:
    for label in ("feature/x/y", "feature/z"):
        write(f"{label}/orders-prod.yaml", "a: 1\n")
    await backend.delete(
        ConfigKey(application="orders", profile="prod", label="feature/x/y"), expected=ANY
    )
    assert everything(tmp_path) == ["feature", "feature/z", "feature/z/orders-prod.yaml"]
    await backend.delete(
        ConfigKey(application="orders", profile="prod", label="feature/z"), expected=ANY
    )
    assert everything(tmp_path) == []


async def test_a_label_that_was_empty_before_stays_when_nothing_is_removed(
    backend: FilesystemConfigBackend, tmp_path: Path
) -> None:
    (tmp_path / "main").mkdir()
    await backend.delete(ORDERS, expected=ANY)
    assert everything(tmp_path) == ["main"]


async def test_a_label_that_is_a_link_stays_and_is_written_through(
    backend: FilesystemConfigBackend, write: Write, tmp_path: Path
) -> None:
    write("real/orders-prod.yaml", "a: 1\n")
    (tmp_path / "main").symlink_to("real")
    await backend.delete(ORDERS, expected=ANY)
    assert everything(tmp_path) == ["main", "real"]
    await backend.save(source("main"))
    await backend.save(source("main/x"))
    assert everything(tmp_path) == [
        *("main", "real", "real/orders-prod.yaml", "real/x", "real/x/orders-prod.yaml"),
    ]


async def test_what_killed_writers_prepared_is_no_label_and_goes_with_the_next(
    backend: FilesystemConfigBackend, write: Write, tmp_path: Path
) -> None:
    write(".pyfly-config.new/x/orders-prod.yaml", "half: 1\n")
    write("main/.pyfly-config.new/orders-prod.yaml", "half: 1\n")
    write("main/.pyfly-config.tmp", "half: 1\n")
    write("main/orders-prod.yaml", "a: 1\n")
    assert await backend.labels() == ["main"]
    await backend.save(source("feature/x"))
    await backend.delete(ORDERS, expected=ANY)
    assert everything(tmp_path) == ["feature", "feature/x", "feature/x/orders-prod.yaml"]


async def test_a_file_in_the_place_of_a_label_stays(
    backend: FilesystemConfigBackend, write: Write, tmp_path: Path
) -> None:
    write("feature", "a: 1\n")
    for label in ("feature", "feature/x"):
        with pytest.raises(BackendUnavailableError, match="Not a directory"):
            await backend.save(source(label))
    assert everything(tmp_path) == ["feature"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("orders-prod.yaml", "a: 1\n---\nb: 2\n"),
        ("orders-prod.yml", "a: 1\n---\nb: [\n"),
    ],
)
@pytest.mark.parametrize("expected", [ANY, PRESENT, "its version"])
async def test_what_a_save_must_not_rewrite_is_not_removed(
    backend: FilesystemConfigBackend, write: Write, name: str, text: str, expected: Any
) -> None:
    path = write(f"main/{name}", text)
    if expected == "its version":
        (entry,) = [entry async for entry in backend.keys()]
        expected = entry.version
    with pytest.raises(ConfigObstructedError, match=name):
        await backend.delete(ORDERS, expected=expected)
    assert path.read_text(encoding="utf-8") == text


async def test_a_properties_file_beside_another_keeps_both_from_being_removed(
    backend: FilesystemConfigBackend, write: Write, tmp_path: Path
) -> None:
    write("main/orders-prod.yaml", "a: 1\n")
    write("main/orders-prod.properties", "a=1\n")
    with pytest.raises(ConfigObstructedError):
        await backend.delete(ORDERS, expected=ANY)
    assert len(everything(tmp_path)) == 3


WORKER = """
import sys, threading
from pathlib import Path
from pyfly.config_core import ConfigKey
from pyfly.config_server import ConfigSource
from blocking_files import BundleFiles
from pyfly.config_server.storage import ABSENT

root, process = Path(sys.argv[1]), sys.argv[2]
failures = []


def work(number):
    store = BundleFiles(root)
    name = f"app{process}{number}"
    for turn in range(40):
        label = ("feature/x", "feature", "feature/x/y")[turn % 3]
        key = ConfigKey(application=name, profile="prod", label=label)
        source = ConfigSource(
            application=name, profile="prod", label=label, properties={"turn": turn}
        )
        try:
            version = store.save(source, ABSENT)
            (found,) = store.fetch_many([key])
            assert found is not None and found.properties == {"turn": turn}, "acknowledged, gone"
            store.delete(key, version)
        except BaseException as error:
            failures.append(f"{type(error).__name__}: {error}")


threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("\\n".join(failures))
"""


@pytest.mark.slow
def test_no_acknowledged_save_is_lost_where_labels_come_and_go(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(number)],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": str(SHARED)},
        )
        for number in range(2)
    ]
    told = [worker.communicate(timeout=120)[0].strip() for worker in workers]
    assert told == ["", ""]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert everything(tmp_path) == []
