"""The documentation site builds without a warning, and has all that a reader may look up."""

import html
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from pyfly.config_cli._commands.catalogue import ACCESS_COMMANDS, COMMANDS
from pyfly.config_cli._settings.model import ServerSettings
from pyfly.config_cli._settings.names import PREFIX
from pyfly.config_client._command import _COMMANDS as CLIENT_COMMANDS
from pyfly.config_client._environ import VARIABLES
from pyfly.config_server.http.endpoints import ENDPOINTS

pytestmark = [pytest.mark.slow, pytest.mark.untraced]

CHECKOUT = Path(__file__).parent.parent
PINNED = CHECKOUT / "packages/pyfly-config-core/tests/data/public_names.json"


@pytest.fixture(scope="session")
def site(once: Callable[..., Path]) -> Path:
    """The built site. It is strict, so a link or an anchor that leads nowhere fails the build."""

    def build(directory: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(directory)],
            capture_output=True,
            encoding="utf-8",
            timeout=400,
            check=False,
            cwd=CHECKOUT,
            env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return once("docs-site", build)


def public_names() -> Iterator[tuple[str, str]]:
    """Yield the module and the name of every export."""
    yield from (
        (module, name)
        for module, names in json.loads(PINNED.read_text(encoding="utf-8")).items()
        for name in names
    )
    core = ("pyfly.config_core", "pyfly.config_server")
    for _, package, _ in pkgutil.iter_modules(importlib.import_module("pyfly").__path__, "pyfly."):
        if package in core:
            continue
        path = importlib.import_module(package).__path__
        inner = [name for _, name, is_package in pkgutil.iter_modules(path) if not is_package]
        for module in (package, *(f"{package}.{one}" for one in inner if one[0] != "_")):
            yield from ((module, name) for name in importlib.import_module(module).__all__)


def anchors(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    return {html.unescape(one) for one in re.findall(r'\s(?:id|name)="([^"]+)"', text)}


def test_every_export_is_in_the_reference(site: Path) -> None:
    _, _, _, _, packed = (site / "objects.inv").read_bytes().split(b"\n", 4)
    documented = {line.split(" ")[0] for line in zlib.decompress(packed).decode().splitlines()}

    def is_documented(module: str, name: str) -> bool:
        parts = module.split(".")
        packages = (".".join(parts[:length]) for length in range(2, len(parts) + 1))
        inner = f"{module}.{name}.{name}"  # where a module has the name of its function
        return inner in documented or any(f"{one}.{name}" in documented for one in packages)

    names = [*public_names()]
    assert ("pyfly.config_client.testing", "FakeConfigServer") in names
    missing = [f"{module}.{name}" for module, name in names if not is_documented(module, name)]
    assert not missing, "add the module to a page of docs/reference/api"


def test_every_route_is_in_the_reference(site: Path) -> None:
    ids = {endpoint.id.lower() for endpoint in ENDPOINTS}
    assert len(ids) == len(ENDPOINTS)
    assert ids - anchors(site / "reference" / "routes.html") == set()


def test_every_command_is_in_the_reference(site: Path) -> None:
    commands = {f"pyfly-config-{entry.name}" for entry in COMMANDS}
    commands |= {f"pyfly-config-access-{entry.name}" for entry in ACCESS_COMMANDS}
    assert commands - anchors(site / "reference" / "commands.html") == set()
    of_client = {f"pyfly-config-client-{action.__name__}" for action, *_ in CLIENT_COMMANDS}
    assert of_client - anchors(site / "reference" / "client-commands.html") == set()


def test_every_setting_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "serve.html").read_text(encoding="utf-8")
    settings = [f"{PREFIX}{name.upper()}" for name in ServerSettings.model_fields]
    assert [name for name in settings if f"<code>{name}</code>" not in page] == []
    page = (site / "reference" / "client.html").read_text(encoding="utf-8")
    assert [name for name in VARIABLES if name not in page] == []


def links(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r'<(?:a|img|link|script)\b[^>]*?\s(?:href|src)="([^"]*)"', text):
        yield html.unescape(link)


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    pages = {page: anchors(page) for page in site.rglob("*.html")}
    broken: list[str] = []
    for page in pages:
        for link in links(page):
            target: Any = urlsplit(link)
            if target.scheme or page.name == "404.html":
                continue
            path = (page.parent / unquote(target.path)).resolve() if target.path else page
            path = path / "index.html" if path.is_dir() else path
            is_anchor = not target.fragment or unquote(target.fragment) in pages.get(path, set())
            if not path.exists() or not is_anchor:
                broken.append(f"{page.relative_to(site)}: {link}")
    assert len(pages) > 50
    assert not broken, broken[:20]


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    links_of_search_engines = r'(?! rel="(?:canonical|next|prev)")'
    loaded = re.compile(
        rf"<(?:script|img|iframe|link{links_of_search_engines})\b[^>]*?\s"
        r'(?:src|href)="((?:https?:)?//[^"]*)'
    )
    found = {
        one
        for page in site.rglob("*.html")
        for one in loaded.findall(page.read_text(encoding="utf-8"))
    }
    sheets = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert (
        found | {*re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*\)|@import[^;]*;", sheets)} == set()
    )
