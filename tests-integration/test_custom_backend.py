"""Stores of other authors: built as wheels, installed beside ours, found by scheme, served."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.packaging


def run(*command: object, directory: Path, code: int = 0) -> str:
    """Run a command as in a shell of its own; return both streams."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYFLY_", "PYTHON"))}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
        check=False,
        cwd=directory,
        env=environment,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def build(
    uv: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Path]:
    """Build the wheel of a project that lies outside the workspace."""

    def build(project: Path) -> Path:
        wheels = tmp_path_factory.mktemp("wheels")
        uv("build", "--quiet", "--wheel", "--out-dir", wheels, project)
        (wheel,) = wheels.glob("*.whl")
        return wheel

    return build


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    """The example package, copied away from the workspace."""
    path = tmp_path_factory.mktemp("elsewhere") / "pyfly-config-example-backend"
    source = checkout / "docs" / "examples" / path.name
    shutil.copytree(source, path, ignore=shutil.ignore_patterns("__pycache__", ".*", "dist"))
    return path


@pytest.fixture(scope="module")
def with_example(
    example: Path, build: Callable[[Path], Path], install: Callable[..., Path]
) -> Path:
    return install("pyfly-config-server", build(example), "pytest", "anyio")


def test_the_example_passes_the_published_suite_and_its_own_tests(
    with_example: Path, example: Path, checkout: Path
) -> None:
    where = "import pyfly.config_server.testing as t, pyfly_config_example as e"
    printed = run(
        with_example, "-c", f"{where}; print(t.__file__, e.__file__)", directory=example.parent
    )
    assert str(checkout) not in printed  # the wheels are tested, not the workspace
    told = run(with_example, "-m", "pytest", "-q", example / "tests", directory=example.parent)
    assert " passed" in told
    assert " failed" not in told
    assert int(told.rpartition(" passed")[0].split()[-1]) > 100, told


def test_the_example_is_found_by_its_scheme_filled_and_served(
    with_example: Path, start_server: Callable[..., Any], tmp_path: Path, checkout: Path
) -> None:
    store = f"example://{tmp_path}"
    command = with_example.with_name("pyfly-config")
    files = checkout / "docs" / "examples" / "config"
    copied = run(command, "copy", files, store, directory=tmp_path)
    assert copied == "16 created, 0 updated, 0 unchanged\n"
    run(command, "put", store, "orders", "prod", "db.pool-size=21", directory=tmp_path)
    assert "+ db.pool-size: 21" in run(
        *(command, "diff", files, "orders", "prod", "--to-store", store), directory=tmp_path
    )
    server = start_server(store, python=with_example)
    assert "bundles       16" in server.output()
    code = (
        "import json, urllib.request as u;"
        f"r = u.Request('{server.url}/config/orders/prod');"
        "r.add_header('Cache-Control', 'no-cache');"
        "print(json.load(u.urlopen(r))['propertySources'][0])"
    )
    assert "'db.pool-size': 21" in run(with_example, "-c", code, directory=tmp_path)
    run(command, "delete", store, "orders", "prod", "--expect", "any", directory=tmp_path)
    assert "'db.pool-size'" not in run(with_example, "-c", code, directory=tmp_path)


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory, install: Callable[..., Path]) -> Path:
    """The package of a new store, as the installed command writes it."""
    directory = tmp_path_factory.mktemp("new")
    command = install("pyfly-config-server").with_name("pyfly-config")
    printed = run(command, "new-backend", "key-value", "project", directory=directory)
    assert "cd project" in printed
    return directory / "project"


def test_a_new_package_outside_the_workspace_is_green_and_served(
    new_project: Path,
    tmp_path: Path,
    build: Callable[[Path], Path],
    install: Callable[..., Path],
    start_server: Callable[..., Any],
) -> None:
    python = install("pyfly-config-server", build(new_project), "pytest", "anyio")
    tests = run(python, "-m", "pytest", "-q", new_project / "tests", directory=tmp_path)
    assert " passed" in tests
    assert int(tests.rpartition(" passed")[0].split()[-1]) > 300, tests
    store = f"key-value://{tmp_path}/store.db?pool=2"
    command = python.with_name("pyfly-config")
    run(command, "put", store, "orders", "prod", "a=1", directory=tmp_path)
    server = start_server(store, python=python)
    assert "bundles       1" in server.output()
    with urllib.request.urlopen(f"{server.url}/config/orders/prod", timeout=60) as response:
        assert json.load(response)["propertySources"][0]["source"] == {"a": 1}


def test_the_types_of_a_new_package_are_right(new_project: Path, checkout: Path) -> None:
    python = f"--python-executable={sys.executable}"
    typed = ["src", "tests/typing_conformance.py"]
    found = run(
        *("env", "MYPYPATH=src", sys.executable, "-m", "mypy", python, *typed),
        directory=new_project,
    )
    assert "Success" in found


@pytest.mark.parametrize("name", ["Etcd", "file"])
def test_a_name_that_cannot_be_used_is_refused(name: str, checkout: Path) -> None:
    printed = run(checkout / "scripts" / "new-backend", name, directory=checkout, code=2)
    assert repr(name) in printed
    assert not (checkout / "packages" / f"pyfly-config-{name}").exists()


def test_a_new_member_of_the_workspace_is_green_at_once(tmp_path: Path, checkout: Path) -> None:
    copy = tmp_path / "checkout"
    listed = run("git", "ls-files", "-co", "--exclude-standard", directory=checkout)
    for name in listed.splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if (checkout / name).exists():
            shutil.copy(checkout / name, copy / name)
    if (checkout / ".mypy_cache").exists():  # what mypy knows of all but the new member
        shutil.copytree(checkout / ".mypy_cache", copy / ".mypy_cache")
    told = run(copy / "scripts" / "new-backend", "template-store", directory=tmp_path)
    assert "imported as pyfly.config_template_store" in told
    member = copy / "packages" / "pyfly-config-template-store"
    namespace = copy / "packages" / "pyfly-config-core" / "tests" / "test_namespace.py"
    told = run("uv", "run", "--frozen", "pytest", "-q", member, namespace, directory=copy)
    assert " passed" in told
    for check in (
        ["uv", "lock", "--check"],
        ["uv", "run", "--frozen", "ruff", "check"],
        ["uv", "run", "--frozen", "ruff", "format", "--check"],
        ["uv", "run", "--frozen", "mypy"],
        ["uv", "run", "--frozen", "lint-imports"],
        ["uv", "run", "--frozen", "pyright", member],
        [copy / "scripts" / "build"],
    ):
        run(*check, directory=copy)
