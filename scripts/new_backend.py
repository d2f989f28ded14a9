"""Makes the package of a new store from backend-template/; see --help."""

import argparse
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent
TEMPLATE: Final = Path(__file__).resolve().parent / "backend-template"
TAKEN: Final = frozenset({"cli", "client", "core", "file", "litestar", "memory", "server"})

DESCRIPTION: Final = """\
Make the package of a new store for pyfly-config.

NAME is the scheme of its URLs and the end of its names: 'etcd' makes the distribution
pyfly-config-etcd with the class EtcdConfigBackend, opened by 'etcd:'. Use 2 to 40 lower-case
letters, digits and dashes, beginning with a letter.

Without DIRECTORY the package becomes a member of this workspace, packages/pyfly-config-NAME,
imported as pyfly.config_NAME. With any other directory it is a project of its own, imported
as pyfly_config_NAME. What it needs besides is printed.

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
1. Name it in pyproject.toml,
     dependencies of [project]             "{distribution}",
     [tool.uv.sources]                     {distribution} = {{ workspace = true }}
     packages of [tool.mypy]               "{package}",
     root_packages of [tool.importlinter]  "{package}",
     the layer of pyfly.config_litestar    "pyfly.config_litestar | … | {package}",
   in PACKAGES of scripts/check_wheels.py,
     "{normalized}": {{"{leaf}"}},
   and in OURS of packages/pyfly-config-core/tests/test_namespace.py,
     "{distribution}",
2. Install it and put its imports in order:
     uv lock && uv sync && scripts/fmt
3. Run its tests:
     scripts/test packages/{distribution}
4. Serve it:
     scripts/serve {name}:
"""
STRANGER_STEPS: Final = """\
1. Install it beside the packages of this checkout:
     cd {directory}
     python3 -m venv .venv
     .venv/bin/pip install -e . -e {core} -e {litestar}
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
        title = "".join(part.capitalize() for part in self.name.split("-"))
        text = text.replace("pyfly_config_template", self.package)
        return text.replace("Template", title).replace("template", self.name)

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

    def steps(self) -> str:
        """Return what is left to do."""
        packages = CHECKOUT / "packages"
        return (MEMBER_STEPS if self.is_member else STRANGER_STEPS).format(
            name=self.name,
            distribution=self.distribution,
            normalized=self.distribution.replace("-", "_"),
            package=self.package,
            leaf=self.leaf,
            directory=shlex.quote(str(self.directory)),
            core=shlex.quote(f"{packages / 'pyfly-config-core'}[testing]"),
            litestar=shlex.quote(str(packages / "pyfly-config-litestar")),
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
    except OSError as error:
        print(f"scripts/new-backend: {error}", file=sys.stderr)
        return 1
    print(f"Made {directory}: {made.distribution}, imported as {made.package}.\n\n{made.steps()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
