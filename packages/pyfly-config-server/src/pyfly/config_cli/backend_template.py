"""Makes the package of a new store from the template that this distribution carries."""

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

__all__ = ["NewBackend", "create_backend", "name_fault"]

_TEMPLATE: Final = files("pyfly.config_cli").joinpath("_backend_template")
_TAKEN: Final = frozenset(
    {
        *("cli", "client", "console", "core", "file", "git", "http", "https", "litestar"),
        *("mariadb", "memory", "mysql", "postgres", "postgresql", "s3", "server", "sql", "sqlite"),
    }
)
_NAME: Final = re.compile(r"(?=.{2,40}\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBackend:
    """The package of a new store."""

    name: str
    """The scheme of its URLs: lower-case letters, digits and dashes."""
    directory: Path
    """Where it is."""
    package: str
    """What it is imported as."""

    @property
    def distribution(self) -> str:
        """The name to install it by."""
        return f"pyfly-config-{self.name}"

    @property
    def class_name(self) -> str:
        """The class of the store."""
        return f"{_camel_case(self.name)}ConfigBackend"


def name_fault(name: str) -> str | None:
    """Return why a name cannot be that of a new store, or `None` if it can."""
    if not _NAME.fullmatch(name):
        return (
            f"{name!r} cannot be the name of a store: use 2 to 40 lower-case letters, digits and "
            "single dashes between them, beginning with a letter"
        )
    return f"{name!r} is taken by a package of this project" if name in _TAKEN else None


def create_backend(name: str, directory: Path, *, package: str | None = None) -> NewBackend:
    """Write the package of a new store and return what was made.

    It works at once: it keeps bundles in an SQLite database and passes the suite for stores.

    Args:
        name: The scheme of its URLs and the end of its names. `etcd` makes the distribution
            `pyfly-config-etcd` with the class `EtcdConfigBackend`.
        directory: Where to write it. It must not exist.
        package: What it is imported as; `pyfly_config_etcd` by default.

    Raises:
        ValueError: The name cannot be used, see `name_fault`.
        FileExistsError: The directory exists.
        OSError: It cannot be written.
    """
    if reason := name_fault(name):
        raise ValueError(reason)
    package = package or f"pyfly_config_{name.replace('-', '_')}"
    made = NewBackend(name=name, directory=directory, package=package)
    directory.mkdir(parents=True)
    _copy(_TEMPLATE, directory, made)
    return made


def _copy(source: Traversable, target: Path, made: NewBackend) -> None:
    for one in source.iterdir():
        if one.name == "__pycache__":
            continue
        if one.is_file():
            text = _adapted(one.read_text(encoding="utf-8"), made)
            target.joinpath(one.name).write_text(text, encoding="utf-8")
            continue
        parts = made.package.split(".") if one.name == "pyfly_config_template" else [one.name]
        below = target.joinpath(*parts)
        below.mkdir(parents=True)
        _copy(one, below, made)


def _adapted(text: str, made: NewBackend) -> str:
    """Return a text of the template with the names of the new package."""
    names = {
        "pyfly_config_template": made.package,
        "Template": _camel_case(made.name),
        "template": made.name,
    }
    return re.sub("pyfly_config_template|Template|template", lambda found: names[found[0]], text)


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
