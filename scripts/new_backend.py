"""Makes the package of a new store a member of this workspace; see --help."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyfly.config_cli.backend_template import NewBackend, create_backend, name_fault

CHECKOUT: Final = Path(__file__).resolve().parent.parent

DESCRIPTION: Final = """\
Make the package of a new store for pyfly-config, as a member of this workspace.

NAME is the scheme of its URLs and the end of its names: 'etcd' makes packages/pyfly-config-etcd,
imported as pyfly.config_etcd, named in pyproject.toml and uv.lock, and installed. It works at
once: it keeps bundles in an SQLite database and passes the suite for stores.

For a project of its own, use 'pyfly-config new-backend NAME DIRECTORY'.
"""
STEPS: Final = """\
Made {directory}: {distribution}, imported as {package}.

1. Run its tests:
     scripts/test packages/{distribution}
2. Serve it:
     scripts/serve "{name}://$PWD/{name}.db"
3. Put your store in the place of the database:
     docs/guides/write-a-backend.md
"""


def registered(text: str, made: NewBackend) -> str:
    """Return the workspace's `pyproject.toml` with a package wherever the adapter is.

    Raises:
        ValueError: It does not look as it is expected to.
    """
    for anchor, row in (
        ('    "pyfly-config-litestar",\n', f'    "{made.distribution}",\n'),
        (
            "pyfly-config-litestar = { workspace = true }\n",
            f"{made.distribution} = {{ workspace = true }}\n",
        ),
        ('    "pyfly.config_litestar",\n', f'    "{made.package}",\n'),
        ('    "pyfly.config_litestar | ', f"{made.package} | "),
        ("source_modules = [ # the stores\n", f'    "{made.package}",\n'),
    ):
        if anchor not in text:
            raise ValueError(f"pyproject.toml has no line {anchor.strip()!r} to add a row to")
        text = text.replace(anchor, anchor + row)
    return text


def join_workspace(made: NewBackend) -> None:
    """Name the package in the configuration of the workspace, and install it.

    Raises:
        ValueError: The configuration does not look as it is expected to.
        subprocess.CalledProcessError: A tool failed; it has said why.
    """
    workspace = CHECKOUT / "pyproject.toml"
    text = registered(workspace.read_text(encoding="utf-8"), made)
    workspace.write_text(text, encoding="utf-8")
    run = ["uv", "run", "--quiet", "--frozen", "ruff"]
    for command in (
        ["uv", "lock", "--quiet"],
        ["uv", "sync", "--quiet", "--frozen"],
        [*run, "format", "--quiet", str(made.directory)],  # the lengths of lines
        [*run, "check", "--quiet", "--fix", str(made.directory)],  # the order of imports
    ):
        subprocess.run(command, check=True, cwd=CHECKOUT)  # noqa: S603 - ours


def main(argv: Sequence[str] | None = None) -> int:
    """Make the package and say what is left to do; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/new-backend",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="scheme of the store's URLs")
    name: str = parser.parse_args(argv).name
    if reason := name_fault(name):
        parser.error(reason)
    directory = CHECKOUT / "packages" / f"pyfly-config-{name}"
    try:
        made = create_backend(name, directory, package=f"pyfly.config_{name.replace('-', '_')}")
        join_workspace(made)
    except FileExistsError:
        parser.error(f"{directory} exists; name another store, or move it away")
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"scripts/new-backend: {error}", file=sys.stderr)
        return 1
    print(
        STEPS.format(
            directory=made.directory,
            distribution=made.distribution,
            package=made.package,
            name=made.name,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
