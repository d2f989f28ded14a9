"""Makes the package of a new store from backend-template/; see --help."""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent
TEMPLATE: Final = Path(__file__).resolve().parent / "backend-template"
TAKEN: Final = frozenset({"cli", "client", "core", "file", "litestar", "memory", "server", "sql"})

DESCRIPTION: Final = """\
Make the package of a new store for pyfly-config.

NAME is the scheme of its URLs and the end of its names: 'etcd' makes the distribution
pyfly-config-etcd with the class EtcdConfigBackend, opened by 'etcd:'. Use 2 to 40 lower-case
letters, digits and dashes, beginning with a letter.

Without DIRECTORY the package becomes a member of this workspace, packages/pyfly-config-NAME,
imported as pyfly.config_NAME, named in pyproject.toml and uv.lock, and installed. With any
other directory it is a project of its own, imported as pyfly_config_NAME.

The package works at once: it keeps bundles in memory, saves conditionally, and passes the
published suite for stores. Then put your store in the place of its dict;
docs/guides/write-a-backend.md goes on from there.
"""
EPILOG: Final = """\
examples:
  scripts/new-backend etcd
  scripts/new-backend etcd ~/src/pyfly-config-etcd
"""

MEMBER_STEPS: Final = """\
1. Run its tests:
     scripts/test packages/{distribution}
2. Serve it:
     scripts/serve {name}:
"""
STRANGER_STEPS: Final = """\
1. Install it beside the packages of this checkout:
     cd {directory}
     python3 -m venv .venv
     .venv/bin/pip install -e {core} -e {litestar} -e {server} -e .
2. Run its tests:
     .venv/bin/pytest
3. Serve it:
     .venv/bin/pyfly-config serve {name}:
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPackage:
    """What is made, and where."""

    name: str
    directory: Path

    @property
    def is_member(self) -> bool:
        return self.directory.parent == CHECKOUT / "packages"

    @property
    def distribution(self) -> str:
        return f"pyfly-config-{self.name}"

    @property
    def leaf(self) -> str:
        return "config_" + self.name.replace("-", "_")

    @property
    def package(self) -> str:
        """The import package: only members of this workspace live below `pyfly`."""
        return f"pyfly{'.' if self.is_member else '_'}{self.leaf}"

    def adapted(self, text: str) -> str:
        """Return a text of the template with the names of this package."""
        names = {
            "pyfly_config_template": self.package,
            "Template": "".join(part.capitalize() for part in self.name.split("-")),
            "template": self.name,
        }
        return re.sub("|".join(names), lambda found: names[found[0]], text)

    def write(self) -> None:
        """Make the directory and everything in it."""
        self.directory.mkdir(parents=True)
        for source in sorted(TEMPLATE.rglob("*")):
            if source.is_dir() or "__pycache__" in source.parts:
                continue
            place = str(source.relative_to(TEMPLATE))
            place = place.replace("pyfly_config_template", self.package.replace(".", "/"))
            target = self.directory / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(self.adapted(source.read_text(encoding="utf-8")), encoding="utf-8")
        shutil.copyfile(CHECKOUT / "LICENSE", self.directory / "LICENSE")

    def join_workspace(self) -> None:
        """Name the package in the configuration of the workspace, and install it.

        Raises:
            ValueError: The configuration does not look as it is expected to.
            subprocess.CalledProcessError: A tool failed; it has said why.
        """
        workspace = CHECKOUT / "pyproject.toml"
        text = self.registered(workspace.read_text(encoding="utf-8"))
        workspace.write_text(text, encoding="utf-8")
        run = ["uv", "run", "--quiet", "--frozen", "ruff"]
        for command in (
            ["uv", "lock", "--quiet"],
            ["uv", "sync", "--quiet", "--frozen"],
            [*run, "check", "--quiet", "--fix", str(self.directory)],  # the order of imports
            [*run, "format", "--quiet", str(self.directory)],
        ):
            subprocess.run(command, check=True, cwd=CHECKOUT)  # noqa: S603 - ours

    def registered(self, text: str) -> str:
        """Return the workspace's `pyproject.toml` with this package wherever the adapter is."""
        for anchor, row in (
            ('    "pyfly-config-litestar",\n', f'    "{self.distribution}",\n'),
            (
                "pyfly-config-litestar = { workspace = true }\n",
                f"{self.distribution} = {{ workspace = true }}\n",
            ),
            ('    "pyfly.config_litestar",\n', f'    "{self.package}",\n'),
            ('    "pyfly.config_litestar | ', f"{self.package} | "),
        ):
            if anchor not in text:
                raise ValueError(f"pyproject.toml has no line {anchor.strip()!r} to stand beside")
            text = text.replace(anchor, anchor + row)
        return text

    def steps(self) -> str:
        """Return what is left to do."""
        packages = CHECKOUT / "packages"
        return (MEMBER_STEPS if self.is_member else STRANGER_STEPS).format(
            name=self.name,
            distribution=self.distribution,
            directory=shlex.quote(str(self.directory)),
            core=shlex.quote(f"{packages / 'pyfly-config-core'}[testing]"),
            litestar=shlex.quote(str(packages / "pyfly-config-litestar")),
            server=shlex.quote(str(packages / "pyfly-config-server")),
        )


def fault(name: str) -> str | None:
    """Return why a name cannot be used, or `None`."""
    if not re.fullmatch(r"(?=.{2,40}\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        return (
            f"{name!r} cannot be the name of a store: use 2 to 40 lower-case letters, digits and "
            "single dashes between them, beginning with a letter"
        )
    return f"{name!r} is taken by a package of this project" if name in TAKEN else None


def main(argv: Sequence[str] | None = None) -> int:
    """Make the package and say what is left to do; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/new-backend",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="scheme of the store's URLs")
    parser.add_argument("directory", metavar="DIRECTORY", nargs="?", help="where to make it")
    arguments = parser.parse_args(argv)
    name: str = arguments.name
    if reason := fault(name):
        parser.error(reason)
    directory = Path(arguments.directory or CHECKOUT / "packages" / f"pyfly-config-{name}")
    if directory.exists() or directory.is_symlink():
        parser.error(f"{directory} exists; name another directory, or move it away")
    made = NewPackage(name=name, directory=directory.resolve())
    try:
        made.write()
        if made.is_member:
            made.join_workspace()
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"scripts/new-backend: {error}", file=sys.stderr)
        return 1
    print(f"Made {directory}: {made.distribution}, imported as {made.package}.\n\n{made.steps()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
