"""What the README and the documentation show is what happens."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from pyfly.config_server.testing import MIXINS

CHECKOUT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *CHECKOUT.glob("*.md"),
        *CHECKOUT.glob("packages/*/README.md"),
        *CHECKOUT.glob("docs/**/*.md"),
    ]
)
REPOSITORY = "https://github.com/pyfly/pyfly-config/blob/main/"
SERVERS = ("http://127.0.0.1:8888", "http://config:8888")


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", text)


def of(pages: list[Path], language: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{page.relative_to(CHECKOUT)}:{number}")
        for page in pages
        for number, block in enumerate(blocks(page, language))
    ]


def without_code(page: Path) -> str:
    """Return the text without what is set as code in a line: a link in it is an example."""
    return re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))


def at(text: str, server: Any) -> str:
    """Return the text with the address of a running server instead of the documented one."""
    for documented in SERVERS:
        text = text.replace(documented, server.url)
    return text


def run(command: list[str], directory: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYFLY_")}
    environment["PYFLY_CONFIG_SNAPSHOT_DIR"] = "off"
    done = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        cwd=directory,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(text: str, server: Any) -> str:
    """Run the curl command in a console block."""
    (command,) = re.findall(r"^\$ (curl .*)$", text, re.MULTILINE)
    arguments = shlex.split(at(command, server))
    return run([*arguments, "--silent", "--show-error", "--fail"], CHECKOUT)


def test_the_curl_of_the_readme_gets_the_answer_of_the_readme(examples: Any) -> None:
    page = CHECKOUT / "README.md"
    (command,) = [block for block in blocks(page, "console") if "$ curl" in block]
    (answer,) = blocks(page, "json")
    assert curl(command, examples) == answer.rstrip("\n")


def test_the_python_of_the_readme_prints_the_configuration(examples: Any) -> None:
    (block,) = blocks(CHECKOUT / "README.md", "python")
    printed = run([sys.executable, "-c", at(block, examples)], CHECKOUT)
    assert printed == "postgres://db.internal.example/orders 4\n"


@pytest.mark.server
def test_the_picture_of_the_readme_shows_what_the_commands_print() -> None:
    drawn = run([sys.executable, "scripts/picture.py", "--print"], CHECKOUT)
    kept = (CHECKOUT / "docs" / "images" / "terminal.svg").read_text(encoding="utf-8")
    assert drawn == kept, "run scripts/picture.py"
    assert "docs/images/terminal.svg" in (CHECKOUT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", of(PAGES, "python"))
def test_every_python_block_runs(block: str, examples: Any, tmp_path: Path) -> None:
    code = at(block, examples)
    code = code.replace('"docs/examples/config"', repr(f"{CHECKOUT}/docs/examples/config"))
    code = code.replace('"/etc/pyfly"', '"etc"')
    (tmp_path / "etc").mkdir()
    (tmp_path / "config").mkdir()
    run([sys.executable, "-W", "error", "-c", code], tmp_path)


# those of the tutorial and the guides run with their pages, in documentation/test_pages.py
OTHERS = [page for page in PAGES if page.parent.name not in {"guides", "tutorial"}]


@pytest.mark.parametrize(
    "block", [b for b in of(OTHERS, "console") if "$ curl" in str(b.values[0])]
)
def test_every_curl_is_answered(block: str, examples: Any) -> None:
    assert curl(block, examples).startswith('{"')


def test_what_serve_prints_is_what_the_reference_shows(
    start_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = [
        block
        for block in blocks(CHECKOUT / "docs" / "reference" / "serve.md", "console")
        if "Serving ./config at" in block
    ]
    (tmp_path / "config").symlink_to(CHECKOUT / "docs" / "examples" / "config")
    monkeypatch.chdir(tmp_path)
    server = start_server("./config")
    _, _, expected = at(shown, server).partition("\n")
    assert server.output().startswith(expected)


def test_the_commands_on_a_store_print_what_the_reference_shows(tmp_path: Path) -> None:
    (block,) = blocks(CHECKOUT / "docs" / "reference" / "stores.md", "console")
    shutil.copytree(CHECKOUT / "docs" / "examples" / "config", tmp_path / "config")
    shown = ""
    for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        name, *arguments = shlex.split(line)
        done = run([str(Path(sys.executable).with_name(name)), *arguments], tmp_path)
        shown += f"$ {line}\n" + re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", done)
    assert shown == block


def test_the_client_command_prints_what_the_reference_shows(examples: Any) -> None:
    (block,) = blocks(CHECKOUT / "docs" / "reference" / "client.md", "console")
    shown = ""
    for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        name, *arguments = shlex.split(at(line, examples))
        program = Path(sys.executable).with_name(name)
        shown += f"$ {line}\n" + run([str(program), *arguments], CHECKOUT)
    assert shown == block


def test_the_embedded_server_stands_beside_its_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, _ = blocks(CHECKOUT / "docs" / "guides" / "embed-in-litestar.md", "python")
    (tmp_path / "embedded_as_documented.py").write_text(block, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(CHECKOUT)
    app = importlib.import_module("embedded_as_documented").app
    with TestClient(app) as client:
        assert client.get("/").text == "the neighbour"
        assert client.get("/config/orders/prod").status_code == 401
        credential = {"Authorization": "Bearer a-long-random-token"}
        answer = client.get("/config/orders/prod", headers=credential)
        assert answer.json()["propertySources"][0]["name"] == "main/orders-prod.yaml"


def test_an_application_of_the_guide_may_be_started_again(
    examples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(CHECKOUT / "docs" / "examples" / "services")
    monkeypatch.setenv("PYFLY_CONFIG_URL", examples.url)
    monkeypatch.setenv("PYFLY_CONFIG_PROFILE", "prod")
    monkeypatch.setenv("PYFLY_CONFIG_SNAPSHOT_DIR", "off")
    app = importlib.import_module("fastapi_app").app
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/pool-size").json() == 20


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(CHECKOUT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", without_code(page))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_links_into_the_repository_lead_somewhere() -> None:
    shown = {
        f"{page.relative_to(CHECKOUT)}: {target}": CHECKOUT / target
        for page in PAGES
        for target in re.findall(
            re.escape(REPOSITORY) + r"([^)#\s\"]+)", page.read_text(encoding="utf-8")
        )
    }
    assert shown
    assert [name for name, path in shown.items() if not path.exists()] == []


def test_the_page_on_stores_names_every_ability_its_methods_and_its_suite() -> None:
    text = (CHECKOUT / "docs" / "reference" / "store-interface.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(Supports\w+)` \| (.*?) \| .* \| `(\w+)` \|$", text)
    shown = [(ability, re.findall(r"`(\w+)`", methods), suite) for ability, methods, suite in rows]
    assert shown == [
        (kind.__name__, [name for name in vars(kind) if not name.startswith("_")], suite.__name__)
        for kind, suite in sorted(MIXINS.items(), key=lambda item: item[0].__name__)
    ]


def test_the_page_on_stores_names_every_member_that_a_test_class_overrides() -> None:
    text = (CHECKOUT / "docs" / "reference" / "store-interface.md").read_text(encoding="utf-8")
    members = {
        name
        for suite in MIXINS.values()
        for name in vars(suite)
        if not name.startswith(("_", "test_"))
    }
    assert {*re.findall(r"(?m)^\| `([a-z_]+)` \| the ", text)} == members
