"""Checks the wheels in a directory: what they hold, and what a registry would show of them."""

import email
import email.message
import re
import sys
import zipfile
from pathlib import Path

from pyroma import ratings

MEMBERS = Path(__file__).resolve().parent.parent / "packages"
PACKAGES = {
    member.name.replace("-", "_"): {
        package.parent.name for package in member.glob("src/pyfly/*/__init__.py")
    }
    for member in MEMBERS.iterdir()
    if member.is_dir()
}
"""The import packages of every distribution, as the workspace lays them out."""

TEMPLATE = "/_backend_template/"
"""The package of a new store, with its tests; `pyfly-config new-backend` copies it."""

BEST_RATING = 10

PRIVATE = "Private :: Do Not Upload"
"""The classifier of what no registry gets, as a new store has it."""

LOCAL_LINK = re.compile(r"\]\((?!https://|#)([^)]*)\)")
"""A link of Markdown that leads nowhere on the page of a registry."""


def faults(wheel: Path) -> list[str]:
    """Return what is wrong with one wheel."""
    distribution = wheel.name.split("-")[0]
    archive = zipfile.ZipFile(wheel)
    files = [name for name in archive.namelist() if not name.endswith("/")]
    children = {name.split("/")[1] for name in files if name.startswith("pyfly/")}
    expected = PACKAGES.get(distribution, set())
    found = [f"holds pyfly/{name}, expected {sorted(expected)}" for name in children ^ expected]
    found += [f"lacks pyfly/{n}/py.typed" for n in expected if f"pyfly/{n}/py.typed" not in files]
    tops = {name.split("/")[0] for name in files} - {"pyfly"}
    found += [f"holds {top} at its top" for top in tops if not top.endswith(".dist-info")]
    tests = [name for name in files if "/tests/" in name and TEMPLATE not in name]
    found += [f"holds a test: {name}" for name in tests]
    if not any("dist-info/licenses/LICENSE" in name for name in files):
        found.append("lacks its license")
    (metadata,) = [name for name in files if name.endswith(".dist-info/METADATA")]
    return found + metadata_faults(email.message_from_bytes(archive.read(metadata)))


def metadata_faults(metadata: email.message.Message) -> list[str]:
    """Return what is wrong with the metadata: links of the README, and what pyroma rates."""
    readme = str(metadata.get_payload())
    found = [f"README links to {target}" for target in LOCAL_LINK.findall(readme)]
    if PRIVATE in metadata.get_all("Classifier", []):
        return found
    fields = {
        key.lower(): values if len(values) > 1 else values[0]
        for key in metadata
        if (values := metadata.get_all(key))
    }
    rating, reasons = ratings.rate(
        {**fields, "description": readme},
        skip_tests=["AuthorEmail"],  # the maintainers are reached at the project's URLs
    )
    return found if rating == BEST_RATING else [*found, *reasons]


def main() -> int:
    """Print every fault; return 1 when there is one."""
    wheels = sorted(Path(sys.argv[1]).glob("*.whl"))
    wrong = [f"{wheel.name}: {fault}" for wheel in wheels for fault in faults(wheel)]
    missing = PACKAGES.keys() - {wheel.name.split("-")[0] for wheel in wheels}
    wrong += [f"no wheel of {name}" for name in sorted(missing)]
    print("\n".join(wrong) or f"{len(wheels)} wheels are as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
