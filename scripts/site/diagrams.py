"""Draws the diagrams of `docs/explanation` from the code: `scripts/docs diagrams`.

Packages, rooms and arrows are the imports that there are; the layers of the client are those of
import-linter; the diagram of precedence is an answer of a server on the example repository.
"""

import asyncio
import json
import sys
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import grimp
from canvas import Canvas, columns, rows_of

from pyfly.config_server import ConfigServer, FilesystemConfigBackend

ROOT = Path(__file__).parent.parent.parent
TARGET = ROOT / "docs" / "explanation" / "diagrams"
SERVER = "pyfly.config_server"
CLIENT = "pyfly.config_client"
REQUEST = {"application": "orders", "profile": "prod,eu"}


def diagrams() -> dict[str, str]:
    """Return the diagrams by the names of their files."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    linter = settings["tool"]["importlinter"]
    graph = grimp.build_graph(
        *linter["root_packages"], exclude_type_checking_imports=True, cache_dir=None
    )
    rooms = sorted(graph.find_children(SERVER))
    return {
        "packages.svg": _packages(graph, linter),
        "server-rooms.svg": drawn_imports("The rooms of pyfly.config_server", graph, rooms),
        "client-rooms.svg": _client_rooms(linter),
        "precedence.svg": asyncio.run(_precedence()),
    }


def imports(graph: grimp.ImportGraph, nodes: Collection[str]) -> dict[str, set[str]]:
    """Return which of the packages each of them imports, its modules included."""
    owner = {module: node for node in nodes for module in (node, *graph.find_descendants(node))}
    found: dict[str, set[str]] = {node: set() for node in nodes}
    for module, node in owner.items():
        targets = graph.find_modules_directly_imported_by(module)
        found[node] |= {owner[one] for one in targets if one in owner} - {node}
    return found


def without_detours(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the arrows without those that longer ways make superfluous."""

    def below(node: str) -> set[str]:
        return arrows[node].union(*(below(one) for one in arrows[node]))

    return {
        node: {one for one in targets if not any(one in below(other) for other in targets)}
        for node, targets in arrows.items()
    }


def drawn_imports(
    title: str, graph: grimp.ImportGraph, nodes: Collection[str], *, ignored: Collection[str] = ()
) -> str:
    """Return a diagram of packages, with an arrow for what each imports."""
    found = imports(graph, nodes)
    for one in ignored:
        source, _, target = one.partition(" -> ")
        found[source] = {name for name in found[source] if name != target}
    arrows = without_detours(found)
    short = {node: node.rpartition(".")[2] for node in nodes}
    return columns(
        title, rows_of(arrows), arrows, short, note="An arrow leads to what is imported."
    )


def _packages(graph: grimp.ImportGraph, linter: Mapping[str, Any]) -> str:
    """Draw the packages, without the exceptions that the contracts name."""
    exceptions = [
        " -> ".join(".".join(end.split(".")[:2]) for end in one.split(" -> "))
        for contract in linter["contracts"][:2]
        for one in contract["ignore_imports"]
    ]
    roots = linter["root_packages"]
    return drawn_imports("The packages", graph, roots, ignored=exceptions)


def _client_rooms(linter: Mapping[str, Any]) -> str:
    """Draw the layers of the client: a module imports from its own layer and those below."""
    (layers,) = [
        contract["layers"]
        for contract in linter["contracts"]
        if contract["type"] == "layers" and contract.get("containers") == [CLIENT]
    ]
    canvas = Canvas("The layers of pyfly.config_client")
    for layer in layers:
        canvas.band(layer.replace(" : ", ", "))
    canvas.note("A module imports modules of its own layer and of those below.")
    return canvas.text()


async def _precedence() -> str:
    """Draw the sources of a document, highest first, and which of their properties count."""
    backend = FilesystemConfigBackend(ROOT / "docs" / "examples" / "config")
    document: Any = await ConfigServer(backend).fetch(**REQUEST)
    canvas = Canvas("The sources of orders under prod,eu, highest precedence first")
    seen: set[str] = set()
    for number, source in enumerate(document["propertySources"], start=1):
        lines = [
            (f"{key} = {_shown(value)}", key not in seen) for key, value in source["source"].items()
        ]
        canvas.source(f"{number}  {source['name']}", lines)
        seen |= source["source"].keys()
    canvas.note("Struck out: a higher source has the same key.")
    return canvas.text()


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def main(arguments: Sequence[str]) -> int:
    """Write the diagrams; with `--check`, say which of them are not those of the code."""
    changed = [
        name
        for name, text in diagrams().items()
        if not (TARGET / name).exists() or (TARGET / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        print("\n".join(changed), end="")
        return 1 if changed else 0
    for name, text in diagrams().items():
        (TARGET / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
