"""Every distribution alone, on every Python that is here, and what a registry shows of it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.packaging

CHECKOUT = Path(__file__).parent.parent
MEMBERS = sorted(path.parent for path in CHECKOUT.glob("packages/*/pyproject.toml"))
PYTHONS = ("3.11", "3.12", "3.13", "3.14")

ALONE = """
import importlib
import importlib.metadata
import sys

name, *packages = sys.argv[1:]
for package in packages:
    importlib.import_module(package)
distribution = importlib.metadata.distribution(name)
for entry in distribution.entry_points:
    if entry.group != "pytest11":  # pytest is not installed
        entry.load()
print(importlib.import_module("pyfly").__file__, distribution.version)
"""


def project(member: Path) -> Any:
    return tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_wheel_alone_can_be_imported(
    member: Path, version: str, install: Callable[..., Path]
) -> None:
    found = subprocess.run(
        [CHECKOUT / "scripts" / "find-python", version],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if found.returncode:
        pytest.skip(found.stderr.strip())
    interpreter = install(member.name, interpreter=found.stdout.strip())
    packages = [f"pyfly.{path.parent.name}" for path in member.glob("src/pyfly/*/__init__.py")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYFLY_", "PYTHON"))}
    done = subprocess.run(
        [interpreter, "-W", "error", "-c", ALONE, member.name, *packages],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=environment,
    )
    assert (done.stdout, done.stderr) == (f"None {project(member)['version']}\n", "")


def test_the_tools_of_registries_accept_what_is_built(wheels: Path) -> None:
    tools = Path(sys.executable).parent
    files = sorted([*wheels.glob("*.whl"), *wheels.glob("*.tar.gz")])
    assert len(files) == 2 * len(MEMBERS)
    for command in (
        [tools / "twine", "check", "--strict", *files],
        [tools / "check-wheel-contents", wheels],
    ):
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=False, cwd=CHECKOUT
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("pattern", "replacement", "fault"),
    [
        (r"\(https://github.com/[^)]*\)", "(../x.md)", "README links to ../x.md"),
        (r"(?m)^Keywords: .*\n", "", "Your package does not have keywords data."),
    ],
    ids=["link", "keywords"],
)
def test_a_wheel_that_a_registry_would_show_badly_is_refused(
    wheels: Path, tmp_path: Path, pattern: str, replacement: str, fault: str
) -> None:
    for wheel in wheels.glob("*.whl"):
        shutil.copy(wheel, tmp_path)
    (bad,) = tmp_path.glob("pyfly_config_git-*.whl")
    with zipfile.ZipFile(bad) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bad, "w") as archive:
        for name, content in files.items():
            if name.endswith("/METADATA"):
                changed = re.sub(pattern, replacement, content.decode(), count=1)
                archive.writestr(name, changed)
            else:
                archive.writestr(name, content)
    done = subprocess.run(
        [sys.executable, CHECKOUT / "scripts" / "check_wheels.py", tmp_path],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, f"{bad.name}: {fault}\n")


def test_the_addresses_of_the_project_are_the_same_everywhere() -> None:
    for member in MEMBERS:
        urls = project(member)["urls"]
        repository = urls["Repository"]
        assert urls == {
            "Documentation": project(MEMBERS[0])["urls"]["Documentation"],
            "Repository": project(MEMBERS[0])["urls"]["Repository"],
            "Changelog": f"{repository}/blob/main/packages/{member.name}/CHANGELOG.md",
            "Issues": f"{repository}/issues",
            "Security": f"{repository}/blob/main/SECURITY.md",
        }
