"""Checks that every wheel in a directory holds its import packages and nothing else."""

import sys
import zipfile
from pathlib import Path

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


def faults(wheel: Path) -> list[str]:
    """Return what is wrong with one wheel."""
    distribution = wheel.name.split("-")[0]
    names = zipfile.ZipFile(wheel).namelist()
    files = [name for name in names if not name.endswith("/")]
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
    return found


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
