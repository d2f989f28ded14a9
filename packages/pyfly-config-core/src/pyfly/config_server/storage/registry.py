"""Finding the backend for a URL among the installed distributions."""

import difflib
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Protocol, cast

from pyfly.config_core import (
    AmbiguousBackendError,
    BackendLookupError,
    BackendNotInstalledError,
    UnknownBackendError,
)
from pyfly.config_server.storage import ConfigBackend

__all__ = [
    "GROUP",
    "installed_schemes",
    "open_backend",
]

GROUP: Final = "pyfly.config_server.backends"
"""The group of entry points in which distributions register stores by the schemes of URLs."""

_PACKAGES: Final = {
    "git+file": "pyfly-config-git",
    "git+http": "pyfly-config-git",
    "git+https": "pyfly-config-git",
    "git+ssh": "pyfly-config-git",
    "mariadb": "pyfly-config-sql[mysql]",
    "mysql": "pyfly-config-sql[mysql]",
    "postgres": "pyfly-config-sql[postgres]",
    "postgresql": "pyfly-config-sql[postgres]",
    "s3": "pyfly-config-s3",
    "sqlite": "pyfly-config-sql",
}
"""The schemes of published stores, with the requirements to install."""


class _Openable(Protocol):
    """The form of an entry point of the group: a class, usually the backend."""

    def from_url(self, url: str) -> ConfigBackend:
        """Return a backend for the URL; the caller closes it."""
        ...


def open_backend(url: str) -> ConfigBackend:
    """Return the backend for a URL such as `file:///etc/pyfly` or `memory:`.

    The scheme is the name of an entry point in the group `pyfly.config_server.backends`, whose
    class makes the backend with `from_url(url)`. Only that distribution is imported. URLs may
    contain credentials, so errors of this function show the scheme only.

    Raises:
        UnknownBackendError: No installed distribution serves the scheme.
        BackendNotInstalledError: The scheme is known, its distribution is not installed.
        AmbiguousBackendError: Several distributions claim the scheme.
        BackendLookupError: The text has no scheme, or the backend refuses the URL.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or not scheme:
        raise BackendLookupError(
            "a backend URL must begin with a scheme, as in file:///directory or memory:"
        )
    found = {_distribution(point): point for point in entry_points(group=GROUP, name=scheme)}
    if not found:
        raise _missing(scheme)
    if len(found) > 1:
        raise AmbiguousBackendError(scheme, sorted(found))
    (point,) = found.values()
    made = cast("_Openable", point.load())  # not checked: a third-party package may differ
    return made.from_url(url)


def installed_schemes() -> list[str]:
    """Return the schemes of the installed backends, sorted."""
    return sorted({point.name for point in _all()})


def _missing(scheme: str) -> BackendLookupError:
    if scheme in _PACKAGES:
        return BackendNotInstalledError(scheme, _PACKAGES[scheme])
    installed = installed_schemes()
    near = difflib.get_close_matches(scheme.lower(), {*installed, *_PACKAGES}, 1)
    return UnknownBackendError(scheme, installed, near=near[0] if near else None)


def _all() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
