"""Saves of existing files: their text is edited, and the caller hears what was written anew."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyfly.config_core import (
    ConfigConflictError,
    ConfigFormatError,
    ConfigObstructedError,
    JsonValue,
)
from pyfly.config_server import ConfigServer, ConfigSource, FilesystemConfigBackend, open_backend
from pyfly.config_server.formats.merged_documents import merged_properties
from pyfly.config_server.storage import ABSENT, ANY, save_remarks

pytestmark = pytest.mark.anyio

Write = Callable[..., Path]


def bundle(properties: dict[str, JsonValue]) -> ConfigSource:
    return ConfigSource(application="orders", profile="prod", properties=properties)


async def saved(backend: FilesystemConfigBackend, changes: dict[str, JsonValue]) -> None:
    """Save the stored bundle with changes; `None` removes a key."""
    found = await backend.fetch("orders", "prod")
    assert found is not None
    properties = merged_properties(found.documents) | changes
    wanted: dict[str, Any] = {key: one for key, one in properties.items() if one is not None}
    await backend.commit(bundle(wanted), expected=found.version or ANY)


async def test_a_save_changes_the_lines_of_its_values(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    text = "# pool\r\ndb:\r\n    pool: 5   # tuned\r\n    url: 'x'\r\n"
    path = write("main/orders-prod.yaml", text)
    with save_remarks() as remarks:
        await backend.save(bundle({"db": {"pool": 6, "url": "x"}}))
    assert path.read_bytes().decode() == text.replace("5", "6")
    assert not remarks


async def test_what_was_written_anew_is_told(
    backend: FilesystemConfigBackend, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write("main/orders-prod.yaml", "a: [ # broken\n")
    with save_remarks() as remarks, caplog.at_level(logging.WARNING):
        await backend.save(bundle({"a": "secret"}))
    told = ["main/orders-prod.yaml: it was written anew, without comments"]
    assert [*remarks] == told == caplog.messages


async def test_a_properties_file_keeps_its_comments_and_separators(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    text = "! of all\nserver.port : 8080\nserver.name=a\\\n  b\n\nz\n"
    path = write("main/orders-prod.properties", text)
    with save_remarks() as remarks:
        await backend.save(
            bundle({"server": {"port": 9090, "name": "ab", "ssl": True}, "z": "=\u00e9"})
        )
    assert path.read_text(encoding="utf-8") == (
        "! of all\nserver.port : 9090\nserver.name=a\\\n  b\nserver.ssl=true\n\nz==\\u00E9\n"
    )
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties["server.port"] == "9090"  # such files hold texts only
    assert not remarks


async def test_an_ignored_properties_file_is_not_removed(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    write("main/orders-prod.properties", "a=1\n")
    path = write("main/orders-prod.yaml", "a: 1\n")
    with pytest.raises(ConfigObstructedError, match=r"orders-prod\.properties.*never removed"):
        await backend.save(bundle({"a": 2}))
    with pytest.raises(ConfigObstructedError, match=r"orders-prod\.properties.*never removed"):
        await backend.delete(bundle({}).key, expected=ANY)
    assert path.read_text(encoding="utf-8") == "a: 1\n"


async def test_a_properties_file_is_removed_with_its_bundle(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    path = write("main/orders-prod.properties", "a=1\n")
    found = await backend.fetch("orders", "prod")
    assert found is not None
    with pytest.raises(ConfigConflictError):
        await backend.delete(found.key, expected="another")
    await backend.delete(found.key, expected=found.version or "")
    assert not path.exists()
    assert await backend.fetch("orders", "prod") is None


@pytest.mark.parametrize("name", ["orders-prod.yaml", "orders-prod.properties"])
async def test_a_file_of_several_documents_is_not_removed(
    backend: FilesystemConfigBackend, write: Write, name: str
) -> None:
    separator = "#---" if name.endswith("s") else "---"
    text = f"a: 1\n{separator}\nspring.config.activate.on-profile: eu\nb: 2\n"
    path = write(f"main/{name}", text)
    with pytest.raises(ConfigObstructedError, match=r"several documents.*by hand"):
        await backend.delete(bundle({}).key, expected=ANY)
    assert path.read_text(encoding="utf-8") == text


DOCUMENTS = """\
a: 1 # for all
shared: {x: 1}
---
spring.config.activate.on-profile: eu
b: 2 # for Europe
---
spring.config.activate.on-profile: us
c:
  d: 3
"""


@pytest.mark.parametrize(
    ("name", "changes", "old", "new"),
    [
        ("orders-prod.yaml", {"a": 9}, "a: 1", "a: 9"),
        ("orders-prod.yaml", {"b": None}, "b: 2 # for Europe\n", ""),
        ("orders-prod.yaml", {"c.d": [1]}, "d: 3", "d:\n    - 1"),
        ("orders-prod.yaml", {"shared.x": 5}, "x: 1", "x: 5"),
        ("orders-prod.properties", {"b": 7}, "b=2", "b=7"),
        ("orders-prod.properties", {"a": 1}, "", ""),
    ],
)
async def test_the_one_document_with_a_changed_key_is_edited(
    backend: FilesystemConfigBackend,
    write: Write,
    name: str,
    changes: dict[str, JsonValue],
    old: str,
    new: str,
) -> None:
    text = DOCUMENTS if name.endswith(".yaml") else "a=1\n#---\n\nx=0\nb=2\n"
    path = write(f"main/{name}", text)
    await saved(backend, changes)
    assert path.read_text(encoding="utf-8") == text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"new": 1}, "none of its documents has the key 'new'"),
        (
            {"spring.config.activate.on-profile": "asia"},
            "several of its documents have the key 'spring.config.activate.on-profile', in lines "
            "4 and 7",
        ),
    ],
)
async def test_a_change_that_is_not_in_one_document_is_refused(
    backend: FilesystemConfigBackend,
    write: Write,
    changes: dict[str, JsonValue],
    reason: str,
) -> None:
    path = write("main/orders-prod.yaml", DOCUMENTS)
    with pytest.raises(ConfigObstructedError) as refused:
        await saved(backend, changes)
    assert refused.value.reason == reason
    assert path.read_text(encoding="utf-8") == DOCUMENTS


async def test_a_document_does_not_lose_its_condition_unseen(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    text = "a: 1\n---\nspring.config.activate.on-profile: eu\nb: 2\n"
    path = write("main/orders-prod.yaml", text)
    with pytest.raises(ConfigObstructedError, match="would count for every request"):
        await backend.save(bundle({"a": 1, "b": 3}))
    assert path.read_text(encoding="utf-8") == text
    await backend.save(bundle({"a": 1}))  # the whole document goes with it
    assert path.read_text(encoding="utf-8") == "a: 1\n---\n{}\n"


async def test_a_key_with_two_spellings_in_a_document_is_refused(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    write("main/orders-prod.yaml", "a.b: 1\na:\n  b: 2\n---\nc: 3\n")
    with pytest.raises(ConfigObstructedError, match=r"'a\.b' is given twice: as 'a\.b' and 'a' / "):
        await saved(backend, {"a.b": 5})


async def test_a_save_of_several_documents_needs_the_current_version(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    write("main/orders-prod.yaml", DOCUMENTS)
    with pytest.raises(ConfigConflictError):
        await backend.commit(bundle({"a": 2}), expected="another")


async def test_one_of_several_files_is_edited(tmp_path: Path) -> None:
    (tmp_path / "orders-prod.yml").write_text("# yml\na: 1 # a\n", encoding="utf-8")
    (tmp_path / "orders-prod.properties").write_text("# p\nb = 2\n", encoding="utf-8")
    backend: Any = open_backend(f"{tmp_path.as_uri()}?layout=spring")
    await saved(backend, {"a": 3})
    await saved(backend, {"b": 4})
    with pytest.raises(ConfigObstructedError, match=r"properties.*orders-prod\.yml"):
        await saved(backend, {"a": 5, "b": 6})
    await backend.aclose()
    assert (tmp_path / "orders-prod.yml").read_text(encoding="utf-8") == "# yml\na: 3 # a\n"
    assert (tmp_path / "orders-prod.properties").read_text(encoding="utf-8") == "# p\nb = 4\n"


async def test_what_json_cannot_hold_is_refused(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    path = write("main/orders-prod.json", '{"a": 1}')
    with pytest.raises(ConfigFormatError):
        await backend.save(bundle({"a": [float("nan")]}))
    assert path.read_text(encoding="utf-8") == '{"a": 1}'


async def test_a_rename_keeps_what_a_server_composes(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    write("main/orders-prod.yaml", "a: &x {n: 1}\nb: *x\n")
    server = ConfigServer(backend)
    await backend.save(bundle({"c": {"n": 1}, "b": {"n": 1}}))
    document: Any = await server.fetch("orders", "prod")
    assert document["propertySources"][0]["source"] == {"b.n": 1, "c.n": 1}


async def test_an_edit_by_hand_during_a_save_is_not_lost(
    backend: FilesystemConfigBackend, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("main/other.yaml", "{}\n")
    flush = os.fsync
    by_hand: list[str] = []

    def flushed_after_an_edit(descriptor: int) -> None:
        if by_hand:
            write("main/orders-prod.yaml", by_hand.pop())
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flushed_after_an_edit)
    by_hand.append("a: 1 # by hand\n")
    with pytest.raises(ConfigConflictError):
        await backend.commit(bundle({"a": 2}), expected=ABSENT)
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"a": 1}
    by_hand.append("a: 3 # by hand, too\n")
    with pytest.raises(ConfigConflictError):
        await backend.commit(bundle({"a": 2}), expected=found.version or ABSENT)
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"a": 3}
    by_hand.append("a: 3 # by hand, too\n")  # the same content in another file
    await backend.commit(bundle({"a": 2}), expected=found.version or ABSENT)
    found = await backend.fetch("orders", "prod")
    assert found is not None
    assert found.properties == {"a": 2}


@pytest.mark.slow
@pytest.mark.measured
async def test_a_save_of_a_large_text_costs_the_event_loop_nothing(
    backend: FilesystemConfigBackend, write: Write
) -> None:
    keys = [f"app.service{number}.url.internal" for number in range(17_000)]
    text = "".join(f"{key}: value # a comment of the owner\n" for key in keys)
    path = write("main/orders-prod.yaml", text)
    source = bundle({key: "new" if key == keys[9_000] else "value" for key in keys})
    loop, everything = time.thread_time(), time.process_time()
    await backend.commit(source, expected=ANY)
    loop, everything = time.thread_time() - loop, time.process_time() - everything
    assert path.read_text(encoding="utf-8") == text.replace(
        f"{keys[9_000]}: value", f"{keys[9_000]}: new"
    )
    assert loop < 3 * 0.02, loop  # measured: 0.01
    assert everything < 3 * 1.2, everything  # measured: 1.0 for 1 MiB
