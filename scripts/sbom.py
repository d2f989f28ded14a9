"""The bill of materials of a distribution: what it installs, with licenses, as CycloneDX."""

import importlib.metadata
import json
import subprocess
from pathlib import Path
from typing import Any, Final

ALLOWED: Final = ("MIT", "Apache", "BSD", "ISC", "PSF", "MPL", "Mozilla Public License")
"""A license that names one of these lets a user of any license install what we depend on."""

NOT_INSTALLED: Final = "not installed here"
"""What only another platform installs, such as `tzdata`."""


def license_of(metadata: importlib.metadata.PackageMetadata) -> str:
    """Return the license that a distribution states; empty if it states none.

    The SPDX expression comes first, then the classifiers, then the first line of the old field,
    which may hold a whole license.
    """
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = metadata.get_all("Classifier") or []
    names = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    return " OR ".join(names) or str(metadata.get("License") or "").partition("\n")[0]


def installed_license(name: str) -> str:
    """Return the license of a distribution of this environment, or `NOT_INSTALLED`."""
    try:
        return license_of(importlib.metadata.metadata(name))
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED


def is_allowed(text: str) -> bool:
    """True if a license is one of those that do not bind the user of a library."""
    return text == NOT_INSTALLED or any(word in text for word in ALLOWED)


def bill_of_materials(package: str, *, checkout: Path) -> dict[str, Any]:
    """Return the locked dependencies of a distribution and its extras, as CycloneDX 1.5.

    Raises:
        subprocess.CalledProcessError: uv failed; it has said why.
    """
    command = ["uv", "export", "--quiet", "--frozen", "--no-dev", "--all-extras"]
    done = subprocess.run(  # noqa: S603 - ours
        [*command, "--package", package, "--format", "cyclonedx1.5"],
        check=True,
        cwd=checkout,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    document: dict[str, Any] = json.loads(done.stdout)
    for component in document["components"]:
        stated = installed_license(component["name"])
        component["licenses"] = [{"license": {"name": stated or "unknown"}}]
    return document


def licenses_in(document: dict[str, Any]) -> dict[str, str]:
    """Return the license of every component, by name and version."""
    return {
        f"{component['name']} {component.get('version', '')}".strip(): component["licenses"][0][
            "license"
        ]["name"]
        for component in document["components"]
    }
