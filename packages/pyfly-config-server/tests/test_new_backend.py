"""`pyfly-config new-backend`; `test_backend_template` looks at what it writes."""

from pathlib import Path
from typing import Any

import pytest


def test_a_package_is_made_and_the_next_steps_are_printed(tmp_path: Path, run: Any) -> None:
    directory = tmp_path / "my stores" / "key value"
    done = run("new-backend", "key-value", directory)
    assert (done.code, done.err) == (0, "")
    assert f"Made {directory}: pyfly-config-key-value, imported as pyfly_config_key" in done.out
    assert f"cd '{directory}'\n" in done.out
    assert 'serve "key-value://$PWD/key-value.db"' in done.out
    assert (directory / "src" / "pyfly_config_key_value" / "_backend.py").exists()


def test_a_package_lies_below_the_current_directory_by_default(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("new-backend", "etcd").code == 0
    assert (tmp_path / "pyfly-config-etcd" / "pyproject.toml").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Etcd", "'Etcd' cannot be"),
        *((name, "is taken") for name in ("s3", "sqlite", "postgresql", "postgres", "mysql")),
        ("mariadb", "is taken"),
    ],
)
def test_a_name_that_cannot_be_used_is_explained(
    name: str, said: str, tmp_path: Path, run: Any
) -> None:
    done = run("new-backend", name, tmp_path / "x")
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "x").exists()


def test_a_directory_that_exists_is_left_alone(tmp_path: Path, run: Any) -> None:
    done = run("new-backend", "etcd", tmp_path)
    assert done.code == 2
    assert "exists; name another directory" in done.err
    assert [*tmp_path.iterdir()] == []


def test_a_directory_that_cannot_be_made_is_explained(tmp_path: Path, run: Any) -> None:
    (tmp_path / "file").touch()
    done = run("new-backend", "etcd", tmp_path / "file" / "x")
    assert done.code == 2
    assert f"cannot make '{tmp_path}/file/x': Not a directory" in done.err
