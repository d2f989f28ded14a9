"""What the sources of this repository may import and touch: public names only."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.untraced  # it reads the sources and runs none of them

CHECKOUT = Path(__file__).resolve().parents[3]
ROOTS = ("packages", "tests-integration", "docs/examples", "benchmarks", "proofs", "scripts")

OURS = "pyfly.config_server:"
"""The stores of the server itself, whose modules are its own."""


def stores() -> dict[str, str]:
    """Return the import packages of all stores, and the directories of their sources."""
    found = {
        "pyfly_config_example": "docs/examples/pyfly-config-example-backend/src",
        "pyfly_config_template": (
            "packages/pyfly-config-server/src/pyfly/config_cli/_backend_template/src"
        ),
    }
    for path in CHECKOUT.glob("packages/*/pyproject.toml"):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        points = project.get("entry-points", {}).get("pyfly.config_server.backends", {})
        for target in points.values():
            if not target.startswith(OURS):
                found[target.partition(":")[0]] = f"packages/{path.parent.name}/src"
    return found


OPEN_TO_STORES = (
    "pyfly.config_core",
    "pyfly.config_server",  # the names of the package itself, not its rooms
    "pyfly.config_server.storage",
    "pyfly.config_server.formats",
    "pyfly.config_server.files",
    "pyfly.config_server.testing",
)
DOCUMENTED = {"os._exit", "sys._getframe", "sys._current_frames", "sys._MEIPASS"}
"""Names of the standard library that begin with an underscore and are public nevertheless."""
NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}
"""Public names of every named tuple."""
INSIDERS = {"benchmarks", "proofs", "tests-integration", "scripts"}

HOMES = {
    package.name: f"packages/{package.parents[2].name}"
    for package in CHECKOUT.glob("packages/*/src/pyfly/*")
}
"""The distribution of each package below `pyfly`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An imported name, or an attribute of one."""

    name: str
    line: int


def imports(nodes: list[ast.AST]) -> Iterator[tuple[str, str, Use]]:
    """Yield what each import binds: the local name, what it stands for, what is imported."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for one in node.names:
                first = one.name.partition(".")[0]
                bound = (one.asname, one.name) if one.asname else (first, first)
                yield *bound, Use(name=one.name, line=node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for one in node.names:
                name = f"{node.module}.{one.name}"
                yield one.asname or one.name, name, Use(name=name, line=node.lineno)


def uses(tree: ast.Module) -> Iterator[Use]:
    """Yield every imported name, and every attribute of a name that stands for something imported.

    `import a; x = a.B(); x._c` is a use of `a.B._c`, and so is `def f(x: a.B): x._c`. `getattr`
    and its like count as the attribute that they name, also of a value from an unknown place.
    """
    nodes = [*ast.walk(tree)]
    found = [*imports(nodes)]
    yield from (use for _, _, use in found)
    bound = {local: name for local, name, _ in found if not name.startswith("typing.")}
    for _ in range(2):  # a value of a value
        bound = {**dict(_derived(nodes, bound)), **bound}
    for node in nodes:
        if isinstance(node, ast.Attribute):
            if name := _dotted(node, bound):
                yield Use(name=name, line=node.lineno)
        elif isinstance(node, ast.Call) and (name := _by_text(node, bound)):
            yield Use(name=name, line=node.lineno)


def _derived(nodes: list[ast.AST], bound: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield local names whose value or type is something imported."""
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=local)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=local), annotation=value):
                pass
            case ast.arg(arg=local, annotation=ast.expr() as value):
                pass
            case ast.withitem(
                context_expr=ast.Call(func=ast.Attribute(attr="closing"), args=[value]),
                optional_vars=ast.Name(id=local),
            ):
                pass  # `contextlib.closing` gives what it was given
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=local)):
                pass
            case _:
                continue
        inner = value.func if isinstance(value, ast.Call) else value
        if name := _dotted(inner, bound):
            yield local, name


def _dotted(node: ast.expr, bound: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return bound.get(node.id)
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value, bound)
        return inner and f"{inner}.{node.attr}"
    if isinstance(node, ast.Call):
        return _dotted(node.func, bound)
    return None


def _by_text(node: ast.Call, bound: dict[str, str]) -> str | None:
    match node:
        case ast.Call(
            func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
            args=[value, ast.Constant(value=str() as attribute), *_],
        ):
            is_own = isinstance(value, ast.Name) and value.id in {"self", "cls"}
            inner = _dotted(value, bound) or (None if is_own else "unknown")
            return inner and f"{inner}.{attribute}"
        case ast.Call(
            func=ast.Attribute(attr="setattr" | "delattr"),  # monkeypatch
            args=[value, ast.Constant(value=str() as attribute), *_],
        ):
            inner = _dotted(value, bound)
            return inner and f"{inner}.{attribute}"
        case _:
            return None


def is_private(part: str) -> bool:
    return part.startswith("_") and not (part.startswith("__") and part.endswith("__"))


def owner(path: Path) -> str:
    """Return the distribution of a file: the directory of its `pyproject.toml`."""
    parts = path.relative_to(CHECKOUT).parts
    return "/".join(parts[:2]) if parts[0] == "packages" else "elsewhere"


def home(name: str) -> str | None:
    """Return the distribution that an imported name of ours belongs to."""
    parts = name.split(".")
    return HOMES.get(parts[1]) if parts[0] == "pyfly" and len(parts) > 1 else None


LOCAL = {
    *(path.stem for root in ROOTS for path in (CHECKOUT / root).rglob("*.py")),
    *("pyfly_config_template", "pyfly_config_example"),
}
"""Modules of this repository that are imported by their bare names."""


def fault(path: Path, name: str) -> bool:
    """True if a file uses a private name of another distribution."""
    first, *rest = name.split(".")
    private = [part for part in rest if is_private(part) and part not in NAMED_TUPLE]
    if not private or name in DOCUMENTED or first in LOCAL:
        return False
    # Tests, benchmarks and scripts look at private parts of ours, and of nobody else's.
    looks_inside = path.relative_to(CHECKOUT).parts[0] in INSIDERS or "tests" in path.parts
    return first != "pyfly" or not (looks_inside or home(name) in {None, owner(path)})


def sources() -> list[Path]:
    found = (path for root in ROOTS for path in (CHECKOUT / root).rglob("*.py"))
    hidden = {".venv", "__pycache__", "dist", "build"}
    return sorted(path for path in found if not hidden.intersection(path.parts))


@pytest.mark.slow
def test_no_private_name_of_another_distribution_is_used() -> None:
    faults = [
        f"{path.relative_to(CHECKOUT)}:{use.line}: {use.name}"
        for path in sources()
        for use in uses(ast.parse(path.read_text(encoding="utf-8")))
        if fault(path, use.name)
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "text",
    [
        "import httpx._client",
        "from httpx import _client",
        "from httpx._client import Client",
        "import httpx\nhttpx._client",
        "import httpx as h\nh.Client()._transport",
        "from httpx import Client as C\none = C()\none._transport.close()",
        "import httpx\ndef f(one: httpx.Client) -> None:\n    one._transport",
        "import httpx\nwith httpx.Client() as one:\n    one._transport",
        "import contextlib as c, httpx\nwith c.closing(httpx.Client()) as one:\n    one._transport",
        "def f(one: object) -> None:\n    getattr(one, '_transport', None)",
        "import httpx\ngetattr(httpx.Client, '_transport')",
        "import httpx\nmonkeypatch.setattr(httpx.Client, '_transport', None)",
        "from pyfly.config_core import _key",
        "from pyfly.config_core._key import check_name",
        "import pyfly.config_core\npyfly.config_core._key.check_name",
    ],
)
def test_a_private_name_of_another_distribution_is_noticed(text: str) -> None:
    path = CHECKOUT / "packages" / "pyfly-config-client" / "src" / "x.py"
    assert any(fault(path, use.name) for use in uses(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "import httpx\nhttpx.__version__\nhttpx.Client().close()",
        "from pyfly.config_client import _client",
        "import os\nos._exit(1)",
        "import contextlib\nwith contextlib.closing(Own()) as one:\n    one._part",
        "class A:\n    def f(self) -> None:\n        self._x",
    ],
)
def test_a_public_name_is_allowed(text: str) -> None:
    path = CHECKOUT / "packages" / "pyfly-config-client" / "src" / "x.py"
    assert not any(fault(path, use.name) for use in uses(ast.parse(text)))


def is_open_to_stores(name: str, store: str) -> bool:
    if not name.startswith("pyfly.") or name.startswith(f"{store}."):
        return True
    room = next(
        (one for one in sorted(OPEN_TO_STORES, key=len)[::-1] if name.startswith(f"{one}.")), None
    )
    if room == "pyfly.config_server":
        module = name.removeprefix("pyfly.config_server.").partition(".")[0]
        rooms = {
            path.name
            for path in (CHECKOUT / "packages/pyfly-config-core/src/pyfly/config_server").iterdir()
        }
        return module not in rooms or f"{room}.{module}" in OPEN_TO_STORES
    return room is not None


@pytest.mark.parametrize(("store", "directory"), sorted(stores().items()))
def test_a_store_imports_public_modules_only(store: str, directory: str) -> None:
    root = CHECKOUT / directory
    paths = sorted(root.rglob("*.py"))
    assert paths
    faults = [
        f"{path.relative_to(root)}:{use.line}: {use.name}"
        for path in paths
        for _, _, use in imports([*ast.walk(ast.parse(path.read_text(encoding="utf-8")))])
        if not is_open_to_stores(use.name, store)
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("name", "is_open"),
    [
        ("pyfly.config_server.ConfigSource", True),
        ("pyfly.config_server.storage", True),
        ("pyfly.config_server.storage.ANY", True),
        ("pyfly.config_server.files.layouts.file_names", True),
        ("pyfly.config_core.limits.MAX_DEPTH", True),
        ("pyfly.config_server.composition.reader.StoreReader", False),
        ("pyfly.config_server.http", False),
        ("pyfly.config_client.ConfigClient", False),
        ("pyfly.config_sql.SqlConfigBackend", False),
    ],
)
def test_the_rooms_of_the_server_that_a_store_may_use(name: str, *, is_open: bool) -> None:
    assert is_open_to_stores(name, "pyfly.config_s3") is is_open


def test_import_linter_holds_every_store_of_the_workspace() -> None:
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        one
        for one in contracts["tool"]["importlinter"]["contracts"]
        if one["name"] == "A store imports the public modules of the server only"
    )
    members = {name for name in stores() if name.startswith("pyfly.")}
    assert len(members) > 1
    assert members == {*contract["source_modules"]}


@pytest.mark.parametrize(
    "package", sorted(CHECKOUT.glob("packages/*/src/pyfly/config_*")), ids=lambda one: one.name
)
def test_no_two_modules_of_a_package_share_a_name(package: Path) -> None:
    names = [
        path.name
        for path in package.rglob("*.py")
        if path.name != "__init__.py" and "_backend_template" not in path.parts
    ]
    assert sorted({name for name in names if names.count(name) > 1}) == []
