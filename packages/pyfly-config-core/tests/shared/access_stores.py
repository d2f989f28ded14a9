"""Stores that hold the bundles and files of the access matrix."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from access_principals import BUNDLES, FILES, file_text, tree_of
from access_requests import Kind

from pyfly.config_server import (
    ConfigBackend,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    RoutingBackend,
    StandbyBackend,
    StoreRoute,
)
from pyfly.config_server.files.layouts import SpringLayout
from pyfly.config_server.storage import ConfigSource

GUESSED = ("orders-service.yml", "a: 1\n")
"""A file that is a guess in the layout of Spring: `orders-service`, or the profile `service`."""


def texts(label: str) -> dict[str, str]:
    """Return the files of a label: their texts by path."""
    found: dict[str, str] = {}
    for application, profile, one in BUNDLES:
        if one == label:
            stem = application if profile == "-" else f"{application}-{profile}"
            found[f"{stem}.yml"] = json.dumps(tree_of((application, profile, label)))
    for one, path in FILES:
        if one == label:
            found[path] = file_text(label, path)
    return found


def _write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


async def in_memory(root: Path) -> InMemoryConfigBackend:
    del root
    store = InMemoryConfigBackend()
    for application, profile, label in BUNDLES:
        await store.save(
            ConfigSource(
                application=application,
                profile=profile,
                label=label,
                properties=tree_of((application, profile, label)),
            )
        )
    for label, path in FILES:
        store.put_resource(label, path, file_text(label, path).encode())
    return store


async def in_labels(root: Path) -> FilesystemConfigBackend:
    for label in ("main", "feature/x"):
        _write(root / label, texts(label))
    return FilesystemConfigBackend(root)


async def in_spring(root: Path) -> FilesystemConfigBackend:
    _write(root, texts("main") | dict([GUESSED]))
    return FilesystemConfigBackend(root, layout=SpringLayout(profiles=frozenset({"prod"})))


async def routed(root: Path) -> RoutingBackend:
    """Two stores that both hold everything; one of them serves the application `billing`."""
    main, other = await in_labels(root / "one"), await in_labels(root / "two")
    return RoutingBackend(main, [StoreRoute(backend=other, applications=("billing*",))])


async def behind_standby(root: Path) -> StandbyBackend:
    return StandbyBackend(await in_labels(root / "store"), root / "standby")


@dataclass(frozen=True)
class Opened:
    """How a store is opened in an empty directory, and what is known about it."""

    open: Callable[[Path], Awaitable[ConfigBackend]]
    kind: Kind


STORES = {
    "memory": Opened(in_memory, Kind(has_files=False)),
    "labels": Opened(in_labels, Kind()),
    "spring": Opened(in_spring, Kind(is_spring=True, has_one_label=True)),
    "routed": Opened(routed, Kind(apart="billing")),
    "standby": Opened(behind_standby, Kind()),
}
