"""The package of a new store, as it is written; `tests-integration` installs and serves it."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from pyfly.config_cli.backend_template import create_backend, name_fault


def test_the_package_has_the_names_of_the_store(tmp_path: Path) -> None:
    made = create_backend("key-value", tmp_path / "new" / "project")
    assert made.distribution == "pyfly-config-key-value"
    assert made.package == "pyfly_config_key_value"
    assert made.class_name == "KeyValueConfigBackend"
    project = tomllib.loads((made.directory / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == "pyfly-config-key-value"
    assert project["project"]["entry-points"]["pyfly.config_server.backends"] == {
        "key-value": "pyfly_config_key_value:KeyValueConfigBackend"
    }
    assert project["tool"]["mypy"]["disable_error_code"] == ["type-abstract"]
    package = made.directory / "src" / "pyfly_config_key_value"
    assert "class KeyValueConfigBackend:" in (package / "_backend.py").read_text(encoding="utf-8")
    assert (package / "py.typed").exists()
    assert (made.directory / "LICENSE").read_bytes()[:40].strip()


def test_a_package_below_a_namespace_lies_in_its_directories(tmp_path: Path) -> None:
    made = create_backend("etcd", tmp_path / "x", package="pyfly.config_etcd")
    assert (made.directory / "src" / "pyfly" / "config_etcd" / "_backend.py").exists()
    assert not (made.directory / "src" / "pyfly" / "__init__.py").exists()


def test_nothing_of_the_template_is_left(tmp_path: Path) -> None:
    made = create_backend("etcd", tmp_path / "x")
    files = [path for path in made.directory.rglob("*") if path.is_file()]
    assert len(files) > 12
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search("template", text, re.IGNORECASE), path
        if path.suffix == ".py":
            ast.parse(text)


@pytest.mark.parametrize("name", ["Etcd", "e", "é", "a--b", "a_b", "1a", "a" * 41, "file", "core"])
def test_a_name_that_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    reason = name_fault(name)
    assert reason is not None
    assert repr(name) in reason
    with pytest.raises(ValueError, match=re.escape(reason)):
        create_backend(name, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_directory_that_exists_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        create_backend("etcd", tmp_path)
    assert [*tmp_path.iterdir()] == []
