"""Checks and builds a release of one distribution; see --help."""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from check_wheels import faults
from packaging.requirements import Requirement
from sbom import bill_of_materials, is_allowed, licenses_in

CHECKOUT: Final = Path(__file__).resolve().parent.parent
OUTPUT: Final = CHECKOUT / "dist" / "release"
VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")

DESCRIPTION: Final = """\
Check that a distribution can be released, build it twice, compare, and write what is published to
dist/release: packages/ with the wheel and the source distribution, sbom.cdx.json, notes.md.

Before the tag, `--dry-run pyfly-config-core` says what is left to do. The workflow `release` runs
`--tag pyfly-config-core-v0.1.0`, and publishes nothing if this fails. Nothing is uploaded here.

What is built is what is committed. Exit code 1 if a check fails, 2 if the arguments are wrong.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a `pyproject.toml` of a member says."""

    name: str
    version: str
    requirements: tuple[Requirement, ...]
    """Of the distribution itself and of all its extras."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of one distribution, and its neighbours in the workspace."""

    project: Project
    members: Mapping[str, Project]

    @property
    def tag(self) -> str:
        """The name of its tag."""
        return f"{self.project.name}-v{self.project.version}"


def parse_project(text: str) -> Project:
    """Return the project of a `pyproject.toml`."""
    table = tomllib.loads(text)["project"]
    extras = table.get("optional-dependencies", {})
    rows = [*table.get("dependencies", []), *(row for rows in extras.values() for row in rows)]
    return Project(
        name=table["name"],
        version=table["version"],
        requirements=tuple(Requirement(row) for row in rows),
    )


def notes_of(changelog: str, version: str) -> str:
    """Return the section of a version in a change log; empty if there is none with a date."""
    heading = rf"## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d"
    found = re.search(rf"(?ms)^{heading}\n(.*?)(?=^## |\Z)", changelog)
    return found[1].strip() if found else ""


def version_problems(release: Release, changelog: str) -> list[str]:
    """Return what is wrong with the version, and with the section about it."""
    version = release.project.version
    found: list[str] = []
    if not VERSION.fullmatch(version):
        found.append(f"version {version!r} is not of the form 1.2.3 or 1.2.3rc1")
    if not notes_of(changelog, version):
        found.append(
            f"CHANGELOG.md has no entries below '## [{version}] - <year>-<month>-<day>'; "
            "rename [Unreleased] and give it the date"
        )
    return found


def range_problems(release: Release) -> list[str]:
    """Return the ranges between our distributions that exclude a version of this workspace."""
    own = release.project
    found = [
        f"{own.name} requires {row}, but this workspace has {release.members[row.name].version}"
        for row in own.requirements
        if row.name in release.members and not _contains(row, release.members[row.name])
    ]
    return found + [
        f"{other.name} requires {row}, which excludes {own.version}"
        for other in release.members.values()
        if other.name != own.name
        for row in other.requirements
        if row.name == own.name and not _contains(row, own)
    ]


def _contains(requirement: Requirement, project: Project) -> bool:
    return requirement.specifier.contains(project.version, prereleases=True)


def needed_before(release: Release, tags: frozenset[str]) -> list[str]:
    """Return the tags of our distributions that this one needs and that are not there yet."""
    names = {row.name for row in release.project.requirements} & {*release.members}
    return sorted(
        tag
        for name in names - {release.project.name}
        if (tag := f"{name}-v{release.members[name].version}") not in tags
    )


def git(*arguments: str) -> str:
    """Return what a command of Git prints about the checkout."""
    return _run("git", *arguments, directory=CHECKOUT)


def tree_problems(release: Release, tag: str | None) -> list[str]:
    """Return what is wrong with the checkout, or with the tag that it is built for."""
    found: list[str] = []
    if changed := git("status", "--porcelain").strip():
        found.append(f"not everything is committed:\n{changed}")
    if tag is None:
        if release.tag in git("tag", "--list").split():
            found.append(f"the tag {release.tag} exists; give the next version")
    elif tag != release.tag:
        found.append(f"the tag is {tag}, but the version makes it {release.tag}")
    return found


def build(package: str, directory: Path) -> dict[str, str]:
    """Build what is committed, in a clone of its own; return the digests by name."""
    with tempfile.TemporaryDirectory() as clone:
        _run("git", "clone", "--quiet", str(CHECKOUT), clone, directory=CHECKOUT)
        command = ["uv", "build", "--quiet", "--package", package, "--no-sources"]
        _run(*command, "--out-dir", str(directory), directory=Path(clone))
    (directory / ".gitignore").unlink(missing_ok=True)  # uv writes one
    files = [path for path in directory.iterdir() if path.suffix in {".whl", ".gz"}]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def build_problems(package: str, directory: Path) -> list[str]:
    """Build twice; keep the first; return what is wrong with it."""
    first = build(package, directory)
    with tempfile.TemporaryDirectory() as again:
        second = build(package, Path(again))
    found = [f"two builds of {name} differ" for name in first if first[name] != second.get(name)]
    files = [str(directory / name) for name in first]
    wheels = [file for file in files if file.endswith(".whl")]
    found += [f"{Path(wheel).name}: {fault}" for wheel in wheels for fault in faults(Path(wheel))]
    for command in (["twine", "check", "--strict", *files], ["check-wheel-contents", *wheels]):
        tool = str(Path(sys.executable).with_name(command[0]))
        try:
            _run(tool, *command[1:], directory=CHECKOUT)
        except subprocess.CalledProcessError as error:
            found.append(f"{command[0]}: {error.stdout.strip()}")
    return found


def license_problems(document: dict[str, Any]) -> list[str]:
    """Return the dependencies whose license is not among those allowed."""
    return [
        f"{name} has the license {stated!r}, which scripts/sbom.py does not allow"
        for name, stated in licenses_in(document).items()
        if not is_allowed(stated)
    ]


def _run(*command: str, directory: Path) -> str:
    done = subprocess.run(  # noqa: S603 - ours
        command, check=True, cwd=directory, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return done.stdout


def problems(release: Release, tag: str | None) -> Iterator[str]:
    """Write what is published, and yield all that is wrong."""
    name, version = release.project.name, release.project.version
    changelog = (CHECKOUT / "packages" / name / "CHANGELOG.md").read_text(encoding="utf-8")
    yield from tree_problems(release, tag)
    yield from version_problems(release, changelog)
    yield from range_problems(release)
    os.environ["SOURCE_DATE_EPOCH"] = git("log", "-1", "--format=%ct").strip()
    yield from build_problems(name, OUTPUT / "packages")
    document = bill_of_materials(name, checkout=CHECKOUT)
    yield from license_problems(document)
    (OUTPUT / "sbom.cdx.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    (OUTPUT / "notes.md").write_text(notes_of(changelog, version) + "\n", encoding="utf-8")


def report(release: Release, print_line: Callable[[str], object] = print) -> None:
    """Print what the workflow would publish."""
    print_line(f"The workflow `release` publishes for the tag {release.tag}:")
    for path in sorted((OUTPUT / "packages").iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print_line(f"  {path.name}  {path.stat().st_size:,} bytes  sha256 {digest}")
    document = json.loads((OUTPUT / "sbom.cdx.json").read_text(encoding="utf-8"))
    licenses = licenses_in(document)
    print_line(f"  sbom.cdx.json  {len(licenses)} dependencies, extras included")
    for name, stated in sorted(licenses.items()):
        print_line(f"    {name:32} {stated}")
    print_line(f"  notes.md  {len((OUTPUT / 'notes.md').read_text(encoding='utf-8')):,} characters")
    tags = frozenset(git("tag", "--list").split())
    for tag in needed_before(release, tags):
        print_line(f"Release {tag} before it.")
    print_line("Known vulnerabilities: scripts/audit, which the workflow runs first.")


def load_release(package: str) -> Release:
    """Return the release of a member of this workspace.

    Raises:
        KeyError: There is no such member.
    """
    files = sorted(CHECKOUT.glob("packages/*/pyproject.toml"))
    members = [parse_project(file.read_text(encoding="utf-8")) for file in files]
    by_name = {member.name: member for member in members}
    return Release(project=by_name[package], members=by_name)


def main(argv: Sequence[str] | None = None) -> int:
    """Check, build and report; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dry-run", metavar="PACKAGE", help="before the tag: what is left to do")
    what.add_argument("--tag", metavar="TAG", help="in the workflow: the tag that was pushed")
    arguments = parser.parse_args(argv)
    tag: str | None = arguments.tag
    package = tag.rpartition("-v")[0] if tag else arguments.dry_run
    try:
        release = load_release(package)
    except KeyError:
        parser.error(f"there is no distribution {package!r}")
    if OUTPUT.exists():
        for path in (*OUTPUT.glob("packages/*"), *OUTPUT.glob("*.*")):
            path.unlink()
    (OUTPUT / "packages").mkdir(parents=True, exist_ok=True)
    found = list(problems(release, tag))
    report(release)
    for problem in found:
        print(f"scripts/release: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
