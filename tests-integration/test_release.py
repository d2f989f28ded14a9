"""`scripts/release`: what it refuses, and what it builds."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

CHECKOUT = Path(__file__).parent.parent
PACKAGE = "pyfly-config-client"


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments], check=True, cwd=directory, capture_output=True
    )
    return done.stdout.decode()


@pytest.fixture(scope="module")
def committed(once: Callable[..., Path]) -> Path:
    """A repository with all files of the checkout, in which the client is ready for a release."""

    def make(directory: Path) -> None:
        listed = git(CHECKOUT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, listed.split("\0")):
            if (CHECKOUT / name).is_file():
                target = directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(CHECKOUT / name, target)
        changelog = directory / "packages" / PACKAGE / "CHANGELOG.md"
        text = changelog.read_text(encoding="utf-8")
        dated = text.replace("[Unreleased]", "[0.1.0] - 2026-12-01", 1)
        changelog.write_text(dated, encoding="utf-8")
        git(directory, "init", "--quiet", "--initial-branch=main")
        git(directory, "add", "--all")
        git(directory, "commit", "--quiet", "--message=all")

    return once("committed", make)


@pytest.fixture
def repository(committed: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", str(committed), "repository")
    return tmp_path / "repository"


def release(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, repository / "scripts" / "release.py", *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_dry_run_builds_what_the_workflow_publishes(repository: Path) -> None:
    done = release(repository, "--dry-run", PACKAGE)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"publishes for the tag {PACKAGE}-v0.1.0:" in done.stdout
    assert "Release pyfly-config-core-v0.1.0 before it." in done.stdout
    output = repository / "dist" / "release"
    names = sorted(path.name for path in (output / "packages").iterdir())
    stem = "pyfly_config_client-0.1.0"
    assert names == [f"{stem}-py3-none-any.whl", f"{stem}.tar.gz"]
    for name in names:
        digest = hashlib.sha256((output / "packages" / name).read_bytes()).hexdigest()
        assert re.search(rf"{re.escape(name)}  [\d,]+ bytes  sha256 {digest}", done.stdout)
    bill = json.loads((output / "sbom.cdx.json").read_text(encoding="utf-8"))
    found = {row["name"]: row["licenses"][0]["license"]["name"] for row in bill["components"]}
    assert found["pyyaml"] == "MIT License"
    assert found["pyfly-config-core"] == "Apache-2.0"
    assert "pytest" not in found
    notes = (output / "notes.md").read_text(encoding="utf-8")
    assert notes.startswith("### ")
    assert "## [" not in notes


def test_a_tag_of_another_version_is_refused(repository: Path) -> None:
    done = release(repository, "--tag", f"{PACKAGE}-v0.2.0")
    assert done.returncode == 1
    assert done.stderr == (
        f"scripts/release: the tag is {PACKAGE}-v0.2.0, but the version makes it {PACKAGE}-v0.1.0\n"
    )


def test_all_problems_are_told_at_once(repository: Path) -> None:
    member = repository / "packages" / PACKAGE
    core = repository / "packages" / "pyfly-config-core" / "pyproject.toml"
    changed = core.read_text(encoding="utf-8").replace('version = "0.1.0"', 'version = "0.2.0"')
    core.write_text(changed, encoding="utf-8")
    (member / "CHANGELOG.md").write_text("## [Unreleased]\n\n- much\n", encoding="utf-8")
    (member / "README.md").write_text("[more](../../docs/index.md)\n" * 20, encoding="utf-8")
    git(repository, "commit", "--quiet", "--all", "--message=change")
    git(repository, "tag", f"{PACKAGE}-v0.1.0")
    (member / "left.txt").write_text("over", encoding="utf-8")
    done = release(repository, "--dry-run", PACKAGE)
    assert done.returncode == 1
    for problem in (
        "not everything is committed:\n?? packages/pyfly-config-client/left.txt",
        f"the tag {PACKAGE}-v0.1.0 exists",
        "CHANGELOG.md has no entries below '## [0.1.0] - <year>-<month>-<day>'",
        "requires pyfly-config-core<0.2,>=0.1, but this workspace has 0.2.0",
        "README links to ../../docs/index.md",
    ):
        assert problem in done.stderr
    assert "left.txt" not in done.stdout


def test_a_version_that_another_distribution_excludes_is_refused(repository: Path) -> None:
    core = repository / "packages" / "pyfly-config-core"
    project = (core / "pyproject.toml").read_text(encoding="utf-8")
    (core / "pyproject.toml").write_text(
        project.replace('version = "0.1.0"', 'version = "0.2.0"'), encoding="utf-8"
    )
    git(repository, "commit", "--quiet", "--all", "--message=change")
    done = release(repository, "--dry-run", "pyfly-config-core")
    assert done.returncode == 1
    for other in ("client", "git", "litestar", "s3", "server", "sql"):
        assert f"pyfly-config-{other} requires pyfly-config-core" in done.stderr
    assert "which excludes 0.2.0" in done.stderr


def test_a_distribution_that_is_not_there_is_named(repository: Path) -> None:
    done = release(repository, "--dry-run", "pyfly-config-etcd")
    assert done.returncode == 2
    assert "there is no distribution 'pyfly-config-etcd'" in done.stderr


LICENSES = """
import sys
from email.message import Message
sys.path.insert(0, "scripts")
from sbom import is_allowed, license_of, licenses_in
import release
metadata = Message()
for field in sys.argv[1:]:
    name, _, value = field.partition("=")
    metadata[name] = value
stated = license_of(metadata)
component = {"name": "x", "version": "1", "licenses": [{"license": {"name": stated}}]}
print(stated, len(release.license_problems({"components": [component]})))
"""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["License-Expression=MIT OR GPL-3.0-only", "License=x"], "MIT OR GPL-3.0-only 0"),
        (["Classifier=License :: OSI Approved :: BSD License"], "BSD License 0"),
        (["License=GPLv3"], "GPLv3 1"),
        ([], " 1"),
    ],
    ids=["expression", "classifier", "text", "none"],
)
def test_a_license_that_binds_users_is_a_problem(fields: list[str], expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LICENSES, *fields],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=CHECKOUT,
    )
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")
