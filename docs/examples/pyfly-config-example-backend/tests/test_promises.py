"""What the published suite cannot know: other processes, crashes, damage, URLs."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pyfly_config_example import ExampleConfigBackend

from pyfly.config_core import (
    BackendLookupError,
    BackendUnavailableError,
    ConfigFormatError,
    UnsupportedOperationError,
)
from pyfly.config_server import ConfigSource, open_backend
from pyfly.config_server.storage import (
    BundleChange,
    SupportsChanges,
    SupportsConditionalSave,
    SupportsDelete,
    ability,
)

COUNT = """
import asyncio, sys
from pyfly_config_example import ExampleConfigBackend
from pyfly.config_core import ConfigConflictError
from pyfly.config_server import ConfigSource
from pyfly.config_server.storage import ABSENT

async def main():
    backend = ExampleConfigBackend(sys.argv[1])
    done = 0
    while done < int(sys.argv[2]):
        found = await backend.fetch("orders", "prod")
        number = found.properties["number"] + 1 if found else 1
        source = ConfigSource(application="orders", profile="prod", properties={"number": number})
        try:
            await backend.commit(source, expected=found.version if found else ABSENT)
        except ConfigConflictError:
            continue
        done += 1
        print(number, flush=True)

asyncio.run(main())
"""


def counting(directory: Path, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COUNT, str(directory), str(times)],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


def stored(directory: Path) -> ConfigSource:
    found = asyncio.run(ExampleConfigBackend(directory).fetch("orders", "prod"))
    assert found is not None
    return found


def test_of_several_processes_none_overwrites_another(tmp_path: Path) -> None:
    processes = [counting(tmp_path, 25) for _ in range(4)]
    printed = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sorted(int(number) for lines in printed for number in lines) == [*range(1, 101)]
    assert stored(tmp_path).properties == {"number": 100}


def test_a_killed_process_loses_nothing_that_it_has_told(tmp_path: Path) -> None:
    told = 0
    for saves in range(1, 21):
        with counting(tmp_path, 1_000_000) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(saves)]
            process.kill()
            told = int([*lines, *process.stdout][-1])
        number = stored(tmp_path).properties["number"]
        assert number in {told, told + 1}  # the last one may have been killed before it told


def test_a_directory_that_is_not_there_is_no_empty_store(tmp_path: Path) -> None:
    backend = ExampleConfigBackend(tmp_path / "absent")
    source = ConfigSource(application="orders", profile="prod", properties={})
    for call in (backend.check(), backend.list(), backend.save(source)):
        with pytest.raises(BackendUnavailableError, match="No such file or directory"):
            asyncio.run(call)


@pytest.mark.parametrize("line", ["{", "[]", "7", "{}", '{"password": "hunter2"}', '"\xff"'])
def test_a_damaged_line_is_named_without_what_it_holds(tmp_path: Path, line: str) -> None:
    asyncio.run(
        ExampleConfigBackend(tmp_path).save(
            ConfigSource(application="orders", profile="prod", properties={})
        )
    )
    with (tmp_path / "bundles.jsonl").open("a", encoding="latin-1") as file:
        file.write(line)
    with pytest.raises(ConfigFormatError, match="jsonl, line 2: not a bundle") as damage:
        stored(tmp_path)
    assert "hunter2" not in str(damage.value)


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    backend = ExampleConfigBackend(tmp_path)
    asyncio.run(backend.save(ConfigSource(application="a", profile="b", properties={})))
    assert (tmp_path / "bundles.jsonl").stat().st_mode & 0o777 == 0o600


def test_it_is_opened_by_its_url(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    backend = open_backend(f"example://{tmp_path}/a%20b")
    assert isinstance(backend, ExampleConfigBackend)
    asyncio.run(backend.check())


@pytest.mark.parametrize(
    "url",
    ["example:", "example:relative", "example://host/x", "example:///x?y", "example:///a%00b"],
)
def test_another_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(
        BackendLookupError, match=r"is written example:///absolute/directory\[\?read-only\]$"
    ):
        ExampleConfigBackend.from_url(url)


def test_a_read_only_store_says_that_it_cannot_write(tmp_path: Path) -> None:
    source = ConfigSource(application="orders", profile="prod", properties={"number": 1})
    asyncio.run(ExampleConfigBackend(tmp_path).save(source))
    backend = open_backend(f"example://{tmp_path}?read-only")
    assert ability(backend, SupportsConditionalSave) is None
    assert ability(backend, SupportsDelete) is None
    assert ability(backend, SupportsChanges) is backend
    with pytest.raises(UnsupportedOperationError, match="read-only"):
        asyncio.run(backend.save(source))
    assert asyncio.run(backend.list()) == [stored(tmp_path)]


def test_what_other_processes_write_is_a_change(tmp_path: Path) -> None:
    backend = ExampleConfigBackend(tmp_path)
    start = asyncio.run(backend.changes_since(None))
    with counting(tmp_path, 25) as process:
        process.wait(timeout=60)
    batch = asyncio.run(backend.changes_since(start.cursor))
    assert batch.changes == (BundleChange(key=stored(tmp_path).key),)
    assert asyncio.run(ExampleConfigBackend(tmp_path).changes_since(batch.cursor)).changes == ()
