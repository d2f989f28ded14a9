"""The suite itself: it fails for stores that are wrong, and cannot be made to pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import pytest
from pyfly.config_core import ConfigKey
from pyfly.config_core import ConfigKey
from pyfly.config_server import InMemoryConfigBackend
from pyfly.config_server.testing import *
from pyfly.config_server.testing import BackendConformance, KeysConformance


class Kept:
    def __init__(self):
        self.kept = {}

    async def fetch(self, application, profile, label="main"):
        from pyfly.config_core import ConfigKey
        return self.kept.get(ConfigKey(application=application, profile=profile, label=label))

    async def save(self, source):
        self.kept[source.key] = source

    async def list(self):
        order = lambda key: (key.label, key.application, key.profile)
        return [self.kept[key] for key in sorted(self.kept, key=order)]
"""

FORGOTTEN = """
class TestForgotten(BackendConformance):
    @pytest.fixture
    def backend(self):
        return InMemoryConfigBackend()
"""

REPLACED = """
class TestReplaced(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Kept()

    async def test_an_empty_store_lists_nothing(self, backend):
        assert True
"""

ALIASED = """
class TestAliased(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Kept()
"""

LOST_TYPE = """
from dataclasses import replace


class Stringly(Kept):
    async def save(self, source):
        texts = {key: str(value) for key, value in source.properties.items()}
        await super().save(replace(source, properties=texts))


class TestLostType(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Stringly()
"""

GOOD = """
from dataclasses import replace


class Copying(Kept):
    async def fetch(self, application, profile, label="main"):
        found = await super().fetch(application, profile, label)
        return None if found is None else replace(found)

    async def save(self, source):
        await super().save(replace(source, version=None, resource=None, documents=()))

    async def list(self):
        return [replace(source) for source in await super().list()]


class TestGood(BackendConformance):
    @pytest.fixture
    def backend(self):
        return Copying()
"""


def run(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(HEAD + code, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nstrict = true\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"CI": "true"},  # where pytest shows every difference whole
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_three_right_methods_pass(tmp_path: Path) -> None:
    done = run(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (FORGOTTEN, "SupportsKeys"),
        (REPLACED, "replaces"),
        (ALIASED, "alias"),
        (LOST_TYPE, "comes_back_exactly"),
    ],
)
def test_a_wrong_store_or_class_fails(tmp_path: Path, code: str, said: str) -> None:
    if code is REPLACED:
        code = code.replace("test_an_empty_store_lists_nothing", name_of_some_test())
    done = run(tmp_path, code)
    assert done.returncode in {1, 2}, done.stdout
    assert said in done.stdout


def name_of_some_test() -> str:
    from pyfly.config_server.testing import BackendConformance  # noqa: PLC0415

    return next(name for name in vars(BackendConformance) if name.startswith("test"))
